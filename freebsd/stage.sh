#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Installs a build for FreeBSD in a staging directory.
#
#   stage.sh BUILD KO STAGE
#
# BUILD is the directory that cross.sh wrote to, KO the module, STAGE the directory
# to use as the root directory.  An existing STAGE is replaced.
#
# Environment: GEN (the built siftr_cdev_gen); TCPSTATS, the viewer built for this
# machine, which prints its completions.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd) ko=$(realpath "$2") stage=$(realpath -m "$3")
: "${GEN:?must name siftr_cdev_gen}" "${TCPSTATS:?must name tcpstats}" "${LLVM:=/usr/lib/llvm-19}"
rm -rf "$stage"

# The port defines what is installed, and where.  bmake does not know the flags of
# GNU make.
unset MAKEFLAGS MFLAGS
"$GEN" header "$build/tcpstats.h"
bmake -s -C "$top" PORTSDIR=/nonexistent DESTDIR="$stage" PROGRAMS="$build" KMODULE="$ko" HEADER="$build/tcpstats.h" \
    VIEWER="$TCPSTATS" STRIP="-s --strip-program=$LLVM/bin/llvm-strip" stage
