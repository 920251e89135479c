#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The siftr_cdev maintainers
#
# collect.sh HOST LOG...: converts the logs of a host, in any format, compressed
# or not, to fleet/host=HOST/*.parquet.  A file appears completely or not at all.
# Logs that were converted before and have not changed are skipped, so the script
# can be run again after every rotation and after a failure.
set -eu

host=$1
shift
tcpstats=${TCPSTATS:-tcpstats}
status=0
fleet=fleet/host=$host
part=
mkdir -p "$fleet"
trap '[ -z "$part" ] || rm -f "$part" "$part.time"' EXIT
trap 'exit 1' HUP INT TERM

is_parquet() {
	[ -s "$1" ] && [ "$(tail -c 4 "$1" | tr -d '\000')" = PAR1 ]
}

for log; do
	# Rotated logs change their names, but not the time at which they start.
	start=$("$tcpstats" convert -F json "$log" - 2>/dev/null | sed -n '/"time":/{s/.*"time":\([0-9.]*\).*/\1/p;q;}')
	if [ -z "$start" ]; then
		# Prints the reason.
		"$tcpstats" summary "$log" >/dev/null && echo "collect.sh: $log: the log is empty" >&2
		status=1
		continue
	fi
	out=$fleet/$start.parquet
	if is_parquet "$out" && [ -z "$(find -L "$log" -newer "$out")" ]; then
		continue
	fi
	# Queries and Spark skip names that start with a dot.
	part=$fleet/.$start.parquet.part
	touch -r "$log" "$part.time"
	# Keep the part of a log before any damage, but not a file that did not fit on the disk.
	"$tcpstats" convert -f -F parquet -O all "$log" "$part" || status=1
	if is_parquet "$part"; then
		touch -r "$part.time" "$part"
		mv -f "$part" "$out"
	fi
	rm -f "$part" "$part.time"
	part=
done
exit $status
