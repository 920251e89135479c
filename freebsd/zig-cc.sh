#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# The C compiler of crates and the linker of rustc for FreeBSD: zig's, which has
# headers and stubs of FreeBSD's libc.
#
# Environment: ZIG; ZIG_TARGET, in zig's words.
#
# It drops three kinds of arguments: libraries that crate libc names, nothing uses
# and zig has no stubs of; --gc-sections, which would drop the note by which the
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
