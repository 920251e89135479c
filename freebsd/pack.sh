#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Packs what was built for FreeBSD/amd64 as a tar that unpacks over /.
#
#   pack.sh OUT KO TAR
#
# OUT is the folder that cross.sh filled, KO the module, TAR the result.  From
# the environment: GEN (the built siftr_cdev_gen) and TCPSTATS (the viewer, built
# for this machine, which prints its completions).
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
out=$(cd "$1" && pwd) ko=$(realpath "$2") tar=$3
: "${GEN:?is to name siftr_cdev_gen}" "${TCPSTATS:?is to name tcpstats}" "${LLVM:=/usr/lib/llvm-19}"
stage=$out/stage
rm -rf "$stage"

# The port says what is installed, and where.  GNU make's flags are not bmake's.
unset MAKEFLAGS MFLAGS
"$GEN" header "$out/tcpstats.h"
bmake -s -C "$top" PORTSDIR=/nonexistent DESTDIR="$stage" PROGRAMS="$out" KMODULE="$ko" HEADER="$out/tcpstats.h" \
    VIEWER="$TCPSTATS" STRIP="-s --strip-program=$LLVM/bin/llvm-strip" stage

# Files alone: a folder in it would change the mode of one that is there.
(cd "$stage" && find . -type f | sed 's,^\./,,' | sort) |
    tar -C "$stage" -c -z -f "$tar.new" --owner=root:0 --group=wheel:0 --files-from=-
mv "$tar.new" "$tar"
