#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the module for a FreeBSD release on Debian, with packages from Debian,
# PyPI and crates.io only.
#
#   cross.sh RELEASE ARCH HEADERS OUT
#
# RELEASE is 14 or 15, ARCH amd64 or aarch64, HEADERS the output directory of
# headers.sh for that release, OUT a directory; the output is OUT/siftr_cdev.ko.
# Environment: GEN (siftr_cdev_gen), CORE (see rust.sh).
set -eu

kmod=$(cd "$(dirname "$0")" && pwd)
release=$1 arch=$2 headers=$3 out=$4
: "${LLVM:=/usr/lib/llvm-19}"
: "${RUSTC:=/usr/bin/rustc}"
: "${RUST_SRC:=/usr/src/rustc-$("$RUSTC" -V | cut -d' ' -f2)/library}"
export RUSTC RUST_SRC AR="$LLVM/bin/llvm-ar" LIBCLANG_PATH="${LIBCLANG_PATH:-$LLVM/lib}"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$kmod/../../Cargo.toml")

# __FreeBSD_version of the kernel, which rejects modules built for another one.
# OSVERSION overrides it for a kernel with the same structures.
case $release in
14) osversion=${OSVERSION:-1402000} ;;
15) osversion=${OSVERSION:-1500068} ;;
*) echo "cross.sh: $release: expected 14 or 15" >&2; exit 1 ;;
esac
case $arch in
amd64)
	triple=x86_64 emulation=elf_x86_64_fbsd
	machine='-mcmodel=kernel -mno-red-zone -mno-mmx -mno-sse -msoft-float -fno-pic'
	;;
aarch64)
	triple=aarch64 emulation=aarch64elf
	machine='-mgeneral-regs-only -ffixed-x18 -mno-outline-atomics -fPIC'
	;;
*) echo "cross.sh: $arch: expected amd64 or aarch64" >&2; exit 1 ;;
esac

# The option headers that the build of a GENERIC kernel generates.
mkdir -p "$out/opt"
printf '#define %s 1\n' SMP MAC VIMAGE > "$out/opt/opt_global.h"
echo '#define INET 1' > "$out/opt/opt_inet.h"
echo '#define INET6 1' > "$out/opt/opt_inet6.h"

includes="--target=$triple-unknown-freebsd$release.0 -nostdinc
    -isystem $headers/$triple-freebsd-none -isystem $headers/generic-freebsd -I$headers/ck -I$out/opt -I$kmod
    -include $out/opt/opt_global.h -D_KERNEL -DKLD_MODULE -D__FreeBSD_version=$osversion -std=gnu17 -ffreestanding"

# shellcheck disable=SC2086 # the lists are split on purpose
{
	sh "$kmod/rust.sh" "$arch" "$out" $includes
	objects=
	for source in "$kmod"/*.c; do
		object=$out/$(basename "$source" .c).o
		"$LLVM/bin/clang" $includes $machine -O2 -g -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
		    -fno-common -fwrapv -Wall -Wextra -Wno-missing-field-initializers -Werror -Wno-unused-parameter \
		    -Wno-address-of-packed-member "-ffile-prefix-map=$kmod=src/kmod" \
		    "-DSIFTR_CDEV_VERSION=\"$version\"" -c "$source" -o "$object"
		objects="$objects $object"
	done
	"$LLVM/bin/ld.lld" -m $emulation -r --no-relax -o "$out/siftr_cdev.kld" $objects "$out/siftr_cdev_rust.o"
}
# The kernel needs no symbol of the module: it finds the linker sets by section.
"$LLVM/bin/llvm-objcopy" --strip-debug --keep-global-symbol=none "$out/siftr_cdev.kld" "$out/siftr_cdev.local"
case $arch in
amd64) mv "$out/siftr_cdev.local" "$out/siftr_cdev.ko" ;;
aarch64)
	# Modules for aarch64 are shared objects.
	"$LLVM/bin/ld.lld" -m $emulation -Bshareable -znotext -znorelro --no-relax -o "$out/siftr_cdev.ko" \
	    "$out/siftr_cdev.local"
	"$LLVM/bin/llvm-objcopy" --strip-debug "$out/siftr_cdev.ko"
	;;
esac
