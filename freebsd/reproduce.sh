#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Builds the source archive, the bills of materials and the packages of a commit in
# two directories and compares them.
#
#   reproduce.sh COMMIT DIRECTORY
#
# DIRECTORY is replaced.  RELEASES and ARCHS in the environment select packages.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
commit=$(git -C "$top" rev-parse --verify "$1^{commit}") directory=$(realpath -m "$2")
unset MAKEFLAGS MFLAGS CARGO_TARGET_DIR

rm -rf "$directory"
for folder in a elsewhere/and/deeper; do
	git clone -q --no-checkout "$top" "$directory/$folder"
	git -C "$directory/$folder" checkout -q --detach "$commit"
	# Both builds use the same downloaded tools.
	[ "$folder" = a ] || ln -s "$directory/a/.venv" "$directory/$folder/.venv"
	make -C "$directory/$folder" dist package ${RELEASES:+"RELEASES=$RELEASES"} ${ARCHS:+"ARCHS=$ARCHS"}
done

for built in dist packages; do
	if ! diff -r "$directory/a/target/$built" "$directory/elsewhere/and/deeper/target/$built"; then
		echo "reproduce.sh: $commit: the files in target/$built differ" >&2
		exit 1
	fi
done
cd "$directory/a/target"
find dist packages -type f | LC_ALL=C sort | xargs sha256sum
