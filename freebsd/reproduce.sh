#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Builds the packages of a commit in two directories and compares them.
#
#   reproduce.sh COMMIT DIRECTORY
#
# DIRECTORY is replaced.  RELEASES and ARCHS in the environment select packages.
set -eu

commit=$1 directory=$(realpath -m "$2")
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
export SOURCE_DATE_EPOCH
unset MAKEFLAGS MFLAGS CARGO_TARGET_DIR

rm -rf "$directory"
for folder in a elsewhere/and/deeper; do
	mkdir -p "$directory/$folder"
	git archive "$commit" | tar -x -C "$directory/$folder"
	# Both builds use the same downloaded tools.
	[ "$folder" = a ] || ln -s "$directory/a/.venv" "$directory/$folder/.venv"
	make -C "$directory/$folder" package ${RELEASES:+"RELEASES=$RELEASES"} ${ARCHS:+"ARCHS=$ARCHS"}
done

if ! diff -r "$directory/a/target/packages" "$directory/elsewhere/and/deeper/target/packages"; then
	echo "reproduce.sh: $commit: the packages differ" >&2
	exit 1
fi
(cd "$directory/a/target/packages" && sha256sum ./*/*.pkg)
