#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Builds the programs for FreeBSD on Debian, using only packages from Debian, PyPI
# and crates.io.
#
#   cross.sh ARCH OUT
#
# ARCH is a file of freebsd/arch, OUT the directory to write the programs to:
# siftr_cdev_logger, tcpstats and vmsuite, the test program of tests/vm.  They run
# on the oldest release of freebsd/release and on later ones.
#
# Environment: ZIG, the zig of the oldest release's ziglang.
#
# Debian's compiler builds the standard library from Debian's sources, which
# requires RUSTC_BOOTSTRAP=1.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
arch=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
. "$top/freebsd/target.sh"
target "arch/$arch"
: "${ZIG:?must name the zig program}" "${LLVM:=/usr/lib/llvm-19}" "${CARGO:=/usr/bin/cargo}" "${RUSTC:=/usr/bin/rustc}"
ZIG_TARGET=$ZIG_TARGET.$(oldest_release).0
export ZIG ZIG_TARGET RUSTC RUSTC_BOOTSTRAP=1
sources=$("$RUSTC" --print sysroot)/lib/rustlib/src/rust
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="-Clinker=$top/freebsd/zig-cc.sh -Clinker-flavor=gcc --remap-path-prefix=$top=siftr_cdev
    --remap-path-prefix=$cargo_home=cargo --remap-path-prefix=$sources=rust"
# For the C code of crates.
export TARGET_CC="$top/freebsd/zig-cc.sh" TARGET_AR="$LLVM/bin/llvm-ar"
export TARGET_CFLAGS="-ffile-prefix-map=$cargo_home=cargo -ffile-prefix-map=$top=siftr_cdev"

# build PACKAGE PROGRAM STD CARGO_ARGUMENT...
build() {
	package=$1 program=$2 std=$3
	shift 3
	"$CARGO" build --release --locked --manifest-path "$top/Cargo.toml" --target "$RUST_TARGET" \
	    --target-dir "$out/cargo" "-Zbuild-std=$std" "$@" -p "$package"
	# zig's linker leaves the OS/ABI of the header, FreeBSD's brand, at 0.
	"$LLVM/bin/llvm-objcopy" -O "$ELF_FORMAT" "$out/cargo/$RUST_TARGET/release/$program" "$out/$program"
}

build siftr_cdev_logger siftr_cdev_logger std,panic_abort
# vmsuite catches the panics of its tests.
build vmsuite vmsuite std,panic_abort,panic_unwind --config 'profile.release.panic="unwind"'
build tcpstats_viewer tcpstats std,panic_abort
