#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the Rust part of the module into one relocatable object.
#
#   rust.sh ARCH OUT CLANG_ARGUMENT...
#
# ARCH is amd64 or aarch64, OUT a directory; the output is OUT/siftr_cdev_rust.o.
# The clang arguments select the kernel headers of the target.  Environment:
# RUSTC, RUST_SRC (the library directory of rust-src; found automatically), GEN
# (siftr_cdev_gen), CORE (a directory that caches the compiled core library).
#
# RUSTC_BOOTSTRAP=1 lets the stable compiler compile core for the kernel, as the
# build of the Linux kernel does.
set -eu

kmod=$(cd "$(dirname "$0")" && pwd)
arch=$1 out=$2
shift 2
: "${RUSTC:=rustc}" "${CORE:=$out}"
: "${RUST_SRC:=$("$RUSTC" --print sysroot)/lib/rustlib/src/rust/library}"
export RUSTC_BOOTSTRAP=1
mkdir -p "$out" "$CORE"
out=$(cd "$out" && pwd)
CORE=$(cd "$CORE" && pwd)

if [ ! -r "$RUST_SRC/core/src/lib.rs" ]; then
	echo "rust.sh: $RUST_SRC/core/src/lib.rs: not found; set RUST_SRC to the library sources of $RUSTC" >&2
	exit 1
fi

case $arch in
amd64)
	flags='--target x86_64-unknown-none -Crelocation-model=static -Ccode-model=kernel -Cno-redzone=yes -Ctarget-cpu=x86-64'
	;;
aarch64)
	flags='--target aarch64-unknown-none-softfloat -Crelocation-model=pic -Zfixed-x18'
	;;
*)
	echo "rust.sh: $arch: expected amd64 or aarch64" >&2
	exit 1
	;;
esac
# Link-time optimization over all crates removes the unused parts of core.  RELRO
# is off because it makes calls go through a GOT, which the kernel does not support.
flags="$flags -Copt-level=2 -Cpanic=abort -Cforce-frame-pointers=yes -Cforce-unwind-tables=no
    -Ccodegen-units=1 -Cembed-bitcode=yes -Crelro-level=off -Cdebuginfo=line-tables-only
    --remap-path-prefix=$kmod=src/kmod --remap-path-prefix=$RUST_SRC=library --remap-path-prefix=$out=."

core=$CORE/libcore.rlib
if [ ! -e "$core" ] || [ "$RUSTC" -nt "$core" ]; then
	"$RUSTC" $flags --edition 2024 --crate-type rlib --crate-name core -Zforce-unstable-if-unmarked \
	    --cap-lints allow -o "$core.new" "$RUST_SRC/core/src/lib.rs"
	mv "$core.new" "$core"
fi
builtins=$CORE/libcompiler_builtins.rlib
if [ ! -e "$builtins" ] || [ "$core" -nt "$builtins" ]; then
	printf '%s\n' '#![allow(internal_features)]' '#![feature(compiler_builtins)]' '#![compiler_builtins]' '#![no_std]' > "$CORE/builtins.rs"
	"$RUSTC" $flags --edition 2024 --crate-type rlib --crate-name compiler_builtins -Zforce-unstable-if-unmarked \
	    --extern core="$core" -L "$CORE" -o "$builtins" "$CORE/builtins.rs"
fi

"$RUSTC" $flags --edition 2024 --crate-type rlib --crate-name tcpstats \
    --extern core="$core" -L "$CORE" -o "$out/libtcpstats.rlib" "$kmod/../tcpstats/src/lib.rs"

"$GEN" bindings "$kmod/bindings.h" "$out/bindings.rs" "$@"
rm -f "$out/libsiftr_cdev.a"
# tests/kmod compiles other files with the same arguments.
printf '%s\n' "$@" > "$out/clang.args"
printf '%s\n' "$RUSTC" $flags --edition 2024 --extern core="$core" -L "$CORE" > "$out/rustc.args"
BINDINGS=$out/bindings.rs "$RUSTC" $flags --edition 2024 --crate-type staticlib --crate-name siftr_cdev \
    -Clto=fat -Zfunction-sections=no --extern core="$core" --extern tcpstats="$out/libtcpstats.rlib" \
    -L "$CORE" -L "$out" -o "$out/libsiftr_cdev.a" "$kmod/src/lib.rs"

# With fat LTO one member contains all code; the others are empty.
rm -rf "$out/members"
mkdir "$out/members"
(cd "$out/members" && ${AR:-ar} x ../libsiftr_cdev.a)
cp "$out"/members/libsiftr_cdev.siftr_cdev.*.o "$out/siftr_cdev_rust.o"
