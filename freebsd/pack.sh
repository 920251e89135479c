#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Packs what was built for FreeBSD/amd64 as a tar that unpacks over /.
#
#   pack.sh OUT KO TAR
#
# OUT is the folder that cross.sh filled, KO the module, TAR the result.  From
# the environment: GEN (the built siftr_cdev_gen) and TCPSTATS (the viewer, built
# for this machine, which prints its completions).
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
out=$1 ko=$2 tar=$3
: "${GEN:?is to name siftr_cdev_gen}" "${TCPSTATS:?is to name tcpstats}" "${LLVM:=/usr/lib/llvm-19}"
stage=$out/stage
rm -rf "$stage"

# put MODE FILE... FOLDER
put() {
	mode=$1
	shift
	for folder; do :; done
	install -d "$stage/$folder"
	while [ $# -gt 1 ]; do
		install -m "$mode" "$1" "$stage/$folder/"
		shift
	done
}

put 0555 "$ko" boot/modules
put 0555 "$out/siftr_cdev_logger" usr/local/sbin
put 0555 "$out/tcpstats" usr/local/bin
"$LLVM/bin/llvm-strip" "$stage/usr/local/sbin/siftr_cdev_logger" "$stage/usr/local/bin/tcpstats"
put 0555 "$top/rc.d/tcpstats_logger" usr/local/etc/rc.d
"$GEN" header "$out/tcpstats.h"
put 0444 "$out/tcpstats.h" usr/local/include/netinet
for page in "$top"/man/*; do
	put 0444 "$page" "usr/local/share/man/man${page##*.}"
done
put 0444 "$top/files/skips.d" "$top/files/snapshots.d" "$top/files/devfs.conf" usr/local/share/examples/siftr_cdev
put 0444 "$top/files/newsyslog.conf.d/tcpstats_logger.conf" usr/local/share/examples/siftr_cdev/newsyslog.conf.d

# completion SHELL FILE: what completes the command line, where that shell looks for it
completion() {
	install -d "$stage/${2%/*}"
	"$TCPSTATS" completions "$1" > "$stage/$2"
	chmod 0444 "$stage/$2"
}

completion bash usr/local/share/bash-completion/completions/tcpstats
completion fish usr/local/share/fish/vendor_completions.d/tcpstats.fish
completion zsh usr/local/share/zsh/site-functions/_tcpstats

# Files alone: a folder in it would change the mode of one that is there.
(cd "$stage" && find . -type f | sed 's,^\./,,' | sort) |
    tar -C "$stage" -c -z -f "$tar.new" --owner=root:0 --group=wheel:0 --files-from=-
mv "$tar.new" "$tar"
