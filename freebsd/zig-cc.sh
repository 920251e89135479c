#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The C compiler of crates and the linker of rustc for FreeBSD/amd64: zig's, which
# brings headers and stubs of FreeBSD's libc.  From the environment: ZIG.
#
# Of the arguments it leaves out libraries that crate libc names and nothing uses,
# of which zig has no stubs; --gc-sections, which would throw away the note by
# which the kernel knows a FreeBSD program; and --target, in words that zig does
# not know.
set -eu

for argument; do
	shift
	case $argument in
	-lkvm | -lmemstat | -lprocstat | -ldevstat | -Wl,--gc-sections | --target=*) ;;
	*) set -- "$@" "$argument" ;;
	esac
done
exec "$ZIG" cc -target x86_64-freebsd.14.0 "$@"
