#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the programs for FreeBSD/amd64, release 14 and later, on Debian, from
# packages of Debian, PyPI and crates.io alone.
#
#   cross.sh OUT
#
# OUT is a folder; OUT/siftr_cdev_logger and OUT/tcpstats come out, and
# OUT/vmsuite, the test program of tests/vm.  From the environment: ZIG, the zig
# of the PyPI package ziglang 0.15.2.
#
# The standard library is compiled from Debian's sources of it by Debian's own
# compiler, which RUSTC_BOOTSTRAP=1 lets do that.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
mkdir -p "$1"
out=$(cd "$1" && pwd)
: "${ZIG:?is to name zig}" "${LLVM:=/usr/lib/llvm-19}" "${CARGO:=/usr/bin/cargo}" "${RUSTC:=/usr/bin/rustc}"
export ZIG RUSTC RUSTC_BOOTSTRAP=1
target=x86_64-unknown-freebsd
export CARGO_TARGET_X86_64_UNKNOWN_FREEBSD_LINKER="$here/zig-cc.sh"
sources=$("$RUSTC" --print sysroot)/lib/rustlib/src/rust
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# What some crates have of C.
export CC_x86_64_unknown_freebsd="$here/zig-cc.sh" AR_x86_64_unknown_freebsd="$LLVM/bin/llvm-ar"
export CFLAGS_x86_64_unknown_freebsd="-ffile-prefix-map=$cargo_home=cargo -ffile-prefix-map=$top=siftr_cdev"
export CARGO_TARGET_X86_64_UNKNOWN_FREEBSD_RUSTFLAGS="-Clinker-flavor=gcc --remap-path-prefix=$top=siftr_cdev
    --remap-path-prefix=$cargo_home=cargo --remap-path-prefix=$sources=rust"

# build PACKAGE PROGRAM STD CARGO_ARGUMENT...
build() {
	package=$1 program=$2 std=$3
	shift 3
	"$CARGO" build --release --locked --manifest-path "$top/Cargo.toml" --target $target \
	    --target-dir "$out/cargo" "-Zbuild-std=$std" "$@" -p "$package"
	# zig's linker leaves the OS/ABI of the header, FreeBSD's brand, at 0.
	"$LLVM/bin/llvm-objcopy" -O elf64-x86-64-freebsd "$out/cargo/$target/release/$program" "$out/$program"
}

build siftr_cdev_logger siftr_cdev_logger std,panic_abort
build tcpstats_viewer tcpstats std,panic_abort
# It catches the panics of its tests.
build vmsuite vmsuite std,panic_abort,panic_unwind --config 'profile.release.panic="unwind"'
