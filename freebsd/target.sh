# shellcheck shell=sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Reads the descriptions of a target.  A script sets top to the top of the tree
# and sources this file.

: "${top:?}"

# target arch/ARCH | release/RELEASE...
target() {
	for target_file; do
		if [ ! -f "$top/freebsd/$target_file" ]; then
			echo "${0##*/}: ${target_file#*/}: unknown ${target_file%%/*}; expected one of$(known "${target_file%%/*}")" >&2
			exit 1
		fi
		# shellcheck source=/dev/null
		. "$top/freebsd/$target_file"
	done
}

# known arch | release
known() {
	for known_file in "$top/freebsd/$1"/*; do
		printf ' %s' "${known_file##*/}"
	done
}

# Prints the release whose libc the programs are linked with.
oldest_release() {
	known release | tr ' ' '\n' | sort -n | sed -n '/./{p;q;}'
}
