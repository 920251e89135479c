#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The linker that rustc calls for FreeBSD/amd64, and the compiler of what is in
# C: zig's, which brings stubs of FreeBSD's libc, and its headers.  From the
# environment: ZIG.
#
# Of rustc's arguments it leaves out libraries that crate libc names and nothing
# uses, of which zig has no stubs, and --gc-sections, which would throw away the
# note by which the kernel knows a FreeBSD program; of a compiler's, the target in
# a spelling that zig does not know.
set -eu

for argument; do
	shift
	case $argument in
	-lkvm | -lmemstat | -lprocstat | -ldevstat | -Wl,--gc-sections | --target=*) ;;
	*) set -- "$@" "$argument" ;;
	esac
done
exec "$ZIG" cc -target x86_64-freebsd.14.0 "$@"
