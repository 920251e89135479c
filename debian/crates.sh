#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Prints the crates that are linked into programs, and the texts of their licences,
# which must accompany the programs.
#
#   crates.sh PACKAGE...
#
# PACKAGE is a package of the workspace that contains a program.
#
# Environment: CARGO; CARGO_HOME, where cargo has unpacked the crates.
set -eu

for package in "$@"; do
	"$CARGO" tree --locked --edges normal,no-proc-macro --prefix none --format '{p}|{l}' --package "$package"
done | grep -v '(/' | sed 's/ (\*)$//' | LC_ALL=C sort -u | while IFS='|' read -r crate licence; do
	printf '%s: %s\n\n' "$crate" "$licence"
	folder=$(find "$CARGO_HOME"/registry/src -mindepth 2 -maxdepth 2 -name "${crate% v*}-${crate##* v}" | LC_ALL=C sort | head -1)
	for text in "${folder:?no source of $crate in $CARGO_HOME}"/*; do
		case $(basename "$text" | tr '[:lower:]' '[:upper:]') in
		# One of two choices is sufficient.
		*APACHE*) [ -z "$(find "$folder" -maxdepth 1 -iname '*MIT*')" ] || continue ;;
		LICEN[CS]E* | COPYING* | NOTICE* | UNLICENSE*) ;;
		*) continue ;;
		esac
		[ ! -f "$text" ] || { cat "$text" && printf '\n'; }
	done
done
