#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# collect.sh HOST LOG...: converts logs of a host, in any format and compressed
# or not, to fleet/host=HOST/*.parquet.  A file is there complete or not at all.
# Logs that were converted already and have not changed since are skipped, so
# that it can be run again after every rotation, and after a failure.
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
	# Rotated logs change their names; the time with which they start stays.
	start=$("$tcpstats" convert -F json "$log" - 2>/dev/null | sed -n '/"time":/{s/.*"time":\([0-9.]*\).*/\1/p;q;}')
	if [ -z "$start" ]; then
		# Prints why.
		"$tcpstats" summary "$log" >/dev/null && echo "collect.sh: $log: the log is empty" >&2
		status=1
		continue
	fi
	out=$fleet/$start.parquet
	if is_parquet "$out" && [ -z "$(find -L "$log" -newer "$out")" ]; then
		continue
	fi
	# Queries and Spark pass over a name that starts with a dot.
	part=$fleet/.$start.parquet.part
	touch -r "$log" "$part.time"
	# What precedes a damage is kept; a file that the disk had no room for is not.
	"$tcpstats" convert -f -F parquet -O all "$log" "$part" || status=1
	if is_parquet "$part"; then
		touch -r "$part.time" "$part"
		mv -f "$part" "$out"
	fi
	rm -f "$part" "$part.time"
	part=
done
exit $status
