#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Builds the module for a FreeBSD release on Debian, with packages from Debian,
# PyPI and crates.io only.
#
#   cross.sh RELEASE ARCH HEADERS OUT
#
# RELEASE and ARCH are files of freebsd/release and freebsd/arch, HEADERS is the
# directory that headers.sh filled for the release, OUT the directory to write
# siftr_cdev.ko to.
#
# Environment: GEN (the built siftr_cdev_gen); CORE (see rust.sh); OSVERSION, the
# __FreeBSD_version to build for, for a release with the same structures.
set -eu

kmod=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$kmod/../.." && pwd)
release=$1 arch=$2 headers=$3 out=$4
. "$top/freebsd/target.sh"
target "release/$release" "arch/$arch"
: "${LLVM:=/usr/lib/llvm-19}"
: "${RUSTC:=/usr/bin/rustc}"
: "${RUST_SRC:=/usr/src/rustc-$("$RUSTC" -V | cut -d' ' -f2)/library}"
export RUSTC RUST_SRC AR="$LLVM/bin/llvm-ar" LIBCLANG_PATH="${LIBCLANG_PATH:-$LLVM/lib}"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml")

# The headers that a kernel build generates for the options of GENERIC.
mkdir -p "$out/opt"
printf '#define %s 1\n' SMP MAC VIMAGE > "$out/opt/opt_global.h"
echo '#define INET 1' > "$out/opt/opt_inet.h"
echo '#define INET6 1' > "$out/opt/opt_inet6.h"

includes="--target=$CLANG_ARCH-unknown-freebsd$release.0 -nostdinc
    -isystem $headers/$CLANG_ARCH-freebsd-none -isystem $headers/generic-freebsd -I$headers/ck -I$out/opt -I$kmod
    -include $out/opt/opt_global.h -D_KERNEL -DKLD_MODULE -D__FreeBSD_version=${OSVERSION:-$DEFAULT_OSVERSION}
    -std=gnu17 -ffreestanding"

# shellcheck disable=SC2086 # the lists are split into words
{
	sh "$kmod/rust.sh" "$arch" "$out" $includes
	objects=
	for source in "$kmod"/*.c; do
		object=$out/$(basename "$source" .c).o
		"$LLVM/bin/clang" $includes $KERNEL_CFLAGS -O2 -g -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
		    -fno-common -fwrapv -Wall -Wextra -Wno-missing-field-initializers -Werror -Wno-unused-parameter \
		    -Wno-address-of-packed-member "-ffile-prefix-map=$kmod=src/kmod" \
		    "-DSIFTR_CDEV_VERSION=\"$version\"" -c "$source" -o "$object"
		objects="$objects $object"
	done
	"$LLVM/bin/ld.lld" -m "$LD_EMULATION" -r --no-relax -o "$out/siftr_cdev.kld" $objects "$out/siftr_cdev_rust.o"
}
# The kernel looks up the linker sets only.
"$LLVM/bin/llvm-objcopy" --strip-debug --keep-global-symbol=none "$out/siftr_cdev.kld" "$out/siftr_cdev.local"
case $KLD in
relocatable) mv "$out/siftr_cdev.local" "$out/siftr_cdev.ko" ;;
shared)
	"$LLVM/bin/ld.lld" -m "$LD_EMULATION" -Bshareable -znotext -znorelro --no-relax -o "$out/siftr_cdev.ko" \
	    "$out/siftr_cdev.local"
	"$LLVM/bin/llvm-objcopy" --strip-debug "$out/siftr_cdev.ko"
	;;
esac
