#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Writes what a release publishes besides packages.  The output depends only on the
# commit and the version of the compiler.
#
#   dist.sh COMMIT OUT
#
# OUT, which is replaced, then contains the source, siftr_cdev-VERSION.tar.gz; the
# bills of materials, siftr_cdev-VERSION-SYSTEM.cdx.json; and the port that fetches
# this source, port/.
#
# Environment: GEN (the built siftr_cdev_gen); SOURCE_DATE_EPOCH, the time of the
# commit.
set -eu

commit=$1
rm -rf "$2"
mkdir -p "$2/.work"
out=$(cd "$2" && pwd)
: "${GEN:?must name siftr_cdev_gen}" "${SOURCE_DATE_EPOCH:?must be the time of the commit}"

version=$(git show "$commit:Cargo.toml" | sed -n 's/^version = "\(.*\)"/\1/p')
name=siftr_cdev-$version
git archive --format=tar --prefix="$name/" "$commit" | gzip -9n > "$out/$name.tar.gz"
tar -xzf "$out/$name.tar.gz" -C "$out/.work"
cd "$out/.work/$name"

time=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
# The compiler of the programs for FreeBSD, see cross.sh.
RUSTC=/usr/bin/rustc "$GEN" sbom freebsd "$time" "$out/$name-freebsd.cdx.json"
"$GEN" sbom linux "$time" "$out/$name-linux.cdx.json"

# The Makefile without its comment, the parts that use the directory as the
# source, and the .endif that ends the last of them.
mkdir -p "$out/port/files"
sed -e '1,/^$/d' -e '/^# Not in a ports tree/,/^# End of what is not/d' -e '$d' Makefile > "$out/port/Makefile"
cp Makefile.crates pkg-descr* pkg-message* pkg-plist "$out/port"
for file in files/*.in; do
	cat "$file" > "$out/port/$file"
done
sum=$(sha256sum "$out/$name.tar.gz" | cut -d ' ' -f 1)
{
	echo "TIMESTAMP = $SOURCE_DATE_EPOCH"
	echo "SHA256 ($name.tar.gz) = $sum"
	echo "SIZE ($name.tar.gz) = $(stat -c %s "$out/$name.tar.gz")"
	sed 1d distinfo
} > "$out/port/distinfo"
rm -rf "$out/.work"
