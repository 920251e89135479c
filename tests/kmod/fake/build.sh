#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
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

# Compile the files like the C file of the module; its build has saved the arguments.
for source in "$fake"/kernel/*.c; do
	object=$objects/$(basename "$source" .c).o
	# shellcheck disable=SC2086 # the flags are split into words
	tr '\n' '\0' < "$build/clang.args" | xargs -0 "$LLVM/bin/clang" "-I$fake/kernel" $KERNEL_CFLAGS \
	    -O2 -g -fno-omit-frame-pointer -fno-common -fwrapv -Wall -Wextra -Werror \
	    -Wno-unused-parameter -Wno-address-of-packed-member -c "$source" -o "$object"
done

# Rename the sections of the module's data, so that their contents can be restored
# before it is loaded again.
"$LLVM/bin/llvm-objcopy" --rename-section .data=module_data --rename-section .bss=module_bss \
    "$build/siftr_cdev.ko" "$objects/siftr_cdev.o"

# Some functions of the kernel have the names of functions of the C library.  Keep
# them local.
# shellcheck disable=SC2046 # split into words
"$LLVM/bin/ld.lld" -m elf_x86_64 -r -o "$objects/combined.o" "$objects/siftr_cdev.o" \
    $(for source in "$fake"/kernel/*.c; do echo "$objects/$(basename "$source" .c).o"; done)
"$LLVM/bin/llvm-objcopy" --wildcard --keep-global-symbol='fake_*' "$objects/combined.o" "$objects/fake_kernel.o"

# Link statically, at low addresses: the code model of the module has 32-bit addresses.
"$LLVM/bin/clang" --target=x86_64-linux-gnu -fuse-ld=lld -static -pthread \
    -o "$out" "$objects/fake_kernel.o" "$tests"
