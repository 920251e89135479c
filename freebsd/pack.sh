#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Packs a build for FreeBSD as a tar archive to unpack over /.
#
#   pack.sh BUILD KO TAR
#
# BUILD is the directory that cross.sh wrote to, KO the module, TAR the archive to
# write.
#
# Environment: GEN (the built siftr_cdev_gen); TCPSTATS, the viewer built for this
# machine, which prints its completions.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd) ko=$(realpath "$2") tar=$3
: "${GEN:?must name siftr_cdev_gen}" "${TCPSTATS:?must name tcpstats}" "${LLVM:=/usr/lib/llvm-19}"
stage=$build/stage
rm -rf "$stage"

# The port defines what is installed, and where.  bmake does not know the flags of
# GNU make.
unset MAKEFLAGS MFLAGS
"$GEN" header "$build/tcpstats.h"
bmake -s -C "$top" PORTSDIR=/nonexistent DESTDIR="$stage" PROGRAMS="$build" KMODULE="$ko" HEADER="$build/tcpstats.h" \
    VIEWER="$TCPSTATS" STRIP="-s --strip-program=$LLVM/bin/llvm-strip" stage

# Files only: a directory in the archive would change the mode of an existing one.
(cd "$stage" && find . -type f | sed 's,^\./,,' | sort) |
    tar -C "$stage" -c -z -f "$tar.new" --owner=root:0 --group=wheel:0 --files-from=-
mv "$tar.new" "$tar"
