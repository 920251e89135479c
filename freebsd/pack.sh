#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Packs a build for FreeBSD as a tar archive to unpack over /.
#
#   pack.sh BUILD KO TAR
#
# BUILD is the directory that cross.sh wrote to, KO the module, TAR the archive to
# write.
#
# Environment: see stage.sh.
set -eu

build=$1 ko=$2 tar=$3
stage=$build/stage
sh "$(dirname "$0")/stage.sh" "$build" "$ko" "$stage"

# Files only: a directory in the archive would change the mode of an existing one.
(cd "$stage" && find . -type f | sed 's,^\./,,' | sort) |
    tar -C "$stage" -c -z -f "$tar.new" --owner=root:0 --group=wheel:0 --files-from=-
mv "$tar.new" "$tar"
