#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# collect.sh HOST LOG...: converts logs of a host, in any format and compressed
# or not, to fleet/host=HOST/*.parquet.  What is there already is left alone, so
# that it can be run again after every rotation.
set -eu

host=$1
shift
tcpstats=${TCPSTATS:-tcpstats}
status=0
mkdir -p "fleet/host=$host"
for log; do
	# Rotated logs change their names; the time with which they begin stays.
	begin=$("$tcpstats" convert -F json "$log" - 2>/dev/null | sed -n '1{s/.*"time":\([0-9.]*\).*/\1/p;q;}')
	out=fleet/host=$host/$begin.parquet
	[ -e "$out" ] || "$tcpstats" convert -O all "$log" "$out" || status=1
done
exit $status
