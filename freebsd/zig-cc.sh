#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Compiles the C code of crates, and links for rustc, with zig cc, which contains
# the headers and stubs of FreeBSD's libc.
#
# Environment: ZIG; ZIG_TARGET, the target as zig spells it.
#
# It drops three kinds of arguments: libraries that the crate libc links although
# nothing uses them, and of which zig has no stubs; --gc-sections, which would drop the note by which the
# kernel recognizes a FreeBSD program; and --target, which zig spells differently.
set -eu

for argument; do
	shift
	case $argument in
	-lkvm | -lmemstat | -lprocstat | -ldevstat | -Wl,--gc-sections | --target=*) ;;
	*) set -- "$@" "$argument" ;;
	esac
done
exec "$ZIG" cc -target "$ZIG_TARGET" "$@"
