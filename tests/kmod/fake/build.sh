#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Links a built module into a program that runs on Linux.
#
#   build.sh BUILD TESTS OUT
#
# BUILD is the directory of an amd64 build of the module, TESTS the static library
# of the scenarios, OUT the program to write.
set -eu

fake=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$fake/../../.." && pwd)
. "$top/freebsd/target.sh"
target arch/amd64
build=$1 tests=$2 out=$3
: "${LLVM:=/usr/lib/llvm-19}"
objects=$build/fake
mkdir -p "$objects"

# Compiled as the module's own C file; the build keeps its arguments.
for source in "$fake"/kernel/*.c; do
	object=$objects/$(basename "$source" .c).o
	# shellcheck disable=SC2086 # the flags are split into words
	tr '\n' '\0' < "$build/clang.args" | xargs -0 "$LLVM/bin/clang" "-I$fake/kernel" $KERNEL_CFLAGS \
	    -O2 -g -fno-omit-frame-pointer -fno-common -fwrapv -Wall -Wextra -Werror \
	    -Wno-unused-parameter -Wno-address-of-packed-member -c "$source" -o "$object"
done

# The sections of the module's data get names of their own: their contents are
# restored before it is loaded again.
"$LLVM/bin/llvm-objcopy" --rename-section .data=module_data --rename-section .bss=module_bss \
    "$build/siftr_cdev.ko" "$objects/siftr_cdev.o"

# Some functions of the kernel have namesakes in the C library: they stay local.
# shellcheck disable=SC2046 # a list
"$LLVM/bin/ld.lld" -m elf_x86_64 -r -o "$objects/whole.o" "$objects/siftr_cdev.o" \
    $(for source in "$fake"/kernel/*.c; do echo "$objects/$(basename "$source" .c).o"; done)
"$LLVM/bin/llvm-objcopy" --wildcard --keep-global-symbol='fake_*' "$objects/whole.o" "$objects/fake_kernel.o"

# Static, for low addresses: the code model of the module has addresses of 32 bits.
"$LLVM/bin/clang" --target=x86_64-linux-gnu -fuse-ld=lld -static -pthread \
    -o "$out" "$objects/fake_kernel.o" "$tests"
