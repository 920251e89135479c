#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Unpacks the kernel headers of a FreeBSD release from the PyPI package ziglang.
#
#   headers.sh RELEASE OUT
#
# RELEASE is a file of freebsd/release, OUT the directory to write to.
#
# Environment: PYTHON, a Python with pip.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
release=$1 out=$2
. "$top/freebsd/target.sh"
target "release/$release"
rm -rf "$out"
mkdir -p "$out/wheel" "$out/ck"
"${PYTHON:-python3}" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
    -d "$out/wheel" "ziglang==$ZIGLANG"
set -- generic-freebsd
for arch in $(known arch); do
	target "arch/$arch"
	set -- "$@" "$CLANG_ARCH-freebsd-none"
done
"${PYTHON:-python3}" - "$out" "$@" <<'PYTHON'
import pathlib, sys, zipfile
out, folders = pathlib.Path(sys.argv[1]), tuple(f"{name}/" for name in sys.argv[2:])
(wheel,) = (out / "wheel").glob("*.whl")
prefix = "ziglang/lib/libc/include/"
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        inner = name.removeprefix(prefix)
        if inner != name and inner.startswith(folders) and not name.endswith("/"):
            target = out / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
wheel.unlink()
PYTHON
rmdir "$out/wheel"
# sys/ck.h includes Concurrency Kit's headers, which ziglang does not have.
cp /usr/include/ck_*.h "$out/ck/"
cp -R /usr/include/gcc /usr/include/spinlock "$out/ck/"
touch "$out/.complete"
