#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Builds the Rust part of the module into one relocatable object.
#
#   rust.sh ARCH OUT CLANG_ARGUMENT...
#
# ARCH is a file of freebsd/arch, OUT the directory to write siftr_cdev_rust.o to.
# The clang arguments say where the target's kernel headers are.
#
# Environment: GEN (the built siftr_cdev_gen); RUSTC; RUST_SRC (the library
# directory of rust-src, by default that of RUSTC); CORE, a directory that keeps
# the compiled core library between builds.
#
# RUSTC_BOOTSTRAP=1 allows the stable compiler to compile core for the kernel,
# as the Linux kernel's build does.
set -eu

kmod=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$kmod/../.." && pwd)
arch=$1 out=$2
shift 2
. "$top/freebsd/target.sh"
target "arch/$arch"
: "${RUSTC:=rustc}" "${CORE:=$out}"
: "${RUST_SRC:=$("$RUSTC" --print sysroot)/lib/rustlib/src/rust/library}"
export RUSTC_BOOTSTRAP=1
mkdir -p "$out" "$CORE"
out=$(cd "$out" && pwd)
CORE=$(cd "$CORE" && pwd)

if [ ! -r "$RUST_SRC/core/src/lib.rs" ]; then
	echo "rust.sh: $RUST_SRC: no core/src/lib.rs; set RUST_SRC to the library sources of $RUSTC" >&2
	exit 1
fi

# The bitcode of every crate is linked as one, which drops the parts of core that
# nothing calls.  With RELRO, calls would go through a GOT, which the kernel does
# not have.
flags="$KERNEL_RUSTFLAGS -Copt-level=2 -Cpanic=abort -Cforce-frame-pointers=yes -Cforce-unwind-tables=no
    -Ccodegen-units=1 -Cembed-bitcode=yes -Crelro-level=off -Cdebuginfo=line-tables-only
    --remap-path-prefix=$kmod=src/kmod --remap-path-prefix=$RUST_SRC=library --remap-path-prefix=$out=."

# compile CRATE TYPE ARGUMENT...
compile() {
	crate=$1 type=$2
	shift 2
	# shellcheck disable=SC2086 # the flags are split into words
	"$RUSTC" $flags --edition 2024 --crate-name "$crate" --crate-type "$type" "$@"
}

# shellcheck disable=SC3013 # every sh that builds this has -nt
is_newer() {
	[ "$1" -nt "$2" ]
}

core=$CORE/libcore.rlib
if [ ! -e "$core" ] || is_newer "$RUSTC" "$core" || is_newer "$top/freebsd/arch/$arch" "$core"; then
	compile core rlib -Zforce-unstable-if-unmarked --cap-lints allow -o "$core.new" "$RUST_SRC/core/src/lib.rs"
	mv "$core.new" "$core"
fi
builtins=$CORE/libcompiler_builtins.rlib
if [ ! -e "$builtins" ] || is_newer "$core" "$builtins"; then
	printf '%s\n' '#![allow(internal_features)]' '#![feature(compiler_builtins)]' '#![compiler_builtins]' '#![no_std]' > "$CORE/builtins.rs"
	compile compiler_builtins rlib -Zforce-unstable-if-unmarked --extern core="$core" -L "$CORE" -o "$builtins" "$CORE/builtins.rs"
fi

compile tcpstats rlib --extern core="$core" -L "$CORE" -o "$out/libtcpstats.rlib" "$kmod/../tcpstats/src/lib.rs"

"$GEN" bindings "$kmod/bindings.h" "$out/bindings.rs" "$@"
rm -f "$out/libsiftr_cdev.a"
# tests/kmod compiles other files with the same arguments.
printf '%s\n' "$@" > "$out/clang.args"
# shellcheck disable=SC2086 # the flags are split into words
printf '%s\n' "$RUSTC" $flags --edition 2024 --extern core="$core" -L "$CORE" > "$out/rustc.args"
BINDINGS=$out/bindings.rs compile siftr_cdev staticlib -Clto=fat -Zfunction-sections=no --extern core="$core" \
    --extern tcpstats="$out/libtcpstats.rlib" -L "$CORE" -L "$out" -o "$out/libsiftr_cdev.a" "$kmod/src/lib.rs"

# Fat LTO puts all code into one member of the archive.
rm -rf "$out/members"
mkdir "$out/members"
(cd "$out/members" && ${AR:-ar} x ../libsiftr_cdev.a)
cp "$out"/members/libsiftr_cdev.siftr_cdev.*.o "$out/siftr_cdev_rust.o"
