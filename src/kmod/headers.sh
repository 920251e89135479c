#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Downloads the kernel headers of a FreeBSD release, from the PyPI package ziglang.
#
#   headers.sh RELEASE OUT
#
# RELEASE is 14 or 15.  Environment: PYTHON, a Python with pip.
set -eu

release=$1 out=$2
case $release in
14) package=ziglang==0.15.2 ;;
15) package=ziglang==0.16.0 ;;
*) echo "headers.sh: $release: expected 14 or 15" >&2; exit 1 ;;
esac
[ ! -e "$out/.complete" ] || exit 0
rm -rf "$out"
mkdir -p "$out/wheel" "$out/ck"
"${PYTHON:-python3}" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
    -d "$out/wheel" "$package"
"${PYTHON:-python3}" - "$out" <<'PYTHON'
import pathlib, sys, zipfile
out = pathlib.Path(sys.argv[1])
(wheel,) = (out / "wheel").glob("*.whl")
prefix = "ziglang/lib/libc/include/"
folders = ("generic-freebsd/", "x86_64-freebsd-none/", "aarch64-freebsd-none/")
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
# sys/ck.h includes headers of Concurrency Kit, which the package does not contain.
cp /usr/include/ck_*.h "$out/ck/"
cp -R /usr/include/gcc /usr/include/spinlock "$out/ck/"
touch "$out/.complete"
