#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Tests siftr_cdev on a running FreeBSD and prints TAP.  Run it as root in a
# directory that contains siftr_cdev.ko, vmsuite, siftr_cdev_logger and the D
# scripts; tap.sh must be next to suite.sh:
#
#   sh suite.sh [LOADS [CHURN_SECONDS]]
#
# The tests of the installation are skipped unless the archive of `make freebsd`
# is unpacked in /.  The script creates users, jails and network interfaces, and
# changes rc.conf and other settings: run it on a disposable machine.
set -u

loads=${1:-100} churn_s=${2:-30}
here=$(pwd)

# shellcheck source=tests/vm/tap.sh
. "$(dirname "$0")/tap.sh"

# Prints the memory in use of the module's malloc type.
memory_in_use() {
	vmstat -m | awk '$1 == "siftr_cdev" { print $2; found = 1 } END { if (!found) print 0 }'
}

loads_and_unloads() {
	i=0
	while [ $i -lt "$loads" ]; do
		kldload ./siftr_cdev.ko || return 1
		[ -c /dev/tcpstats ] || return 1
		[ $((i % 10)) -ne 0 ] || cat /dev/tcpstats > /dev/null || return 1
		kldunload siftr_cdev || return 1
		[ ! -e /dev/tcpstats ] || return 1
		i=$((i + 1))
	done
	! kldstat -q -m siftr_cdev && is "$(memory_in_use)" 0
}

is_logged_in_dmesg() {
	dmesg | grep -q 'siftr_cdev: version .*, /dev/tcpstats ready, .* bytes per record' &&
	    dmesg | grep -q 'siftr_cdev: unloaded after .* snapshots'
}

second_load_fails() {
	fails_with 'already loaded\|File exists' kldload ./siftr_cdev.ko
}

mode_and_group() {
	is "$(stat -f '%Sp %Su %Sg' /dev/tcpstats)" 'cr--r----- root wheel'
}

mode_by_tunable() {
	kldunload siftr_cdev && kenv net.inet.siftr_cdev.mode=0444 > /dev/null && kenv net.inet.siftr_cdev.gid=69 > /dev/null
	kldload ./siftr_cdev.ko || return 1
	found=$(stat -f '%Sp %g' /dev/tcpstats)
	kldunload siftr_cdev && kenv -u net.inet.siftr_cdev.mode > /dev/null && kenv -u net.inet.siftr_cdev.gid > /dev/null
	kldload ./siftr_cdev.ko && is "$found" 'cr--r--r-- 69'
}

cat_to_head() {
	# shellcheck disable=SC2002 # as a user reads it
	is "$(cat /dev/tcpstats | head -1 | cut -c 1-20)" 'time,snapshot,gencnt'
}

dd_agrees() {
	lines=$(dd if=/dev/tcpstats bs="$1" 2> /dev/null | tail -1)
	case $lines in
	'# snapshot snapshot=1 '*) ;;
	*) echo "last line: $lines"; return 1 ;;
	esac
}

sysctls_are_described() {
	for oid in $(sysctl -N net.inet.siftr_cdev); do
		[ -n "$(sysctl -nd "$oid")" ] || { echo "$oid has no description"; return 1; }
	done
	[ "$(sysctl -N net.inet.siftr_cdev | wc -l)" -ge 14 ]
}

# Succeeds if a socket is in this state on a port of 127.0.0.1.
has() {
	netstat -an -p tcp | grep -q "127\.0\.0\.1\.$2 .*$1"
}

# Opens connections of root and one of user1, which stay open until let_go.
hold() {
	mkfifo held.in held.user
	./vmsuite hold < held.in > held.out &
	exec 8> held.in
	su user1 -c 'nc -l 127.0.0.1 7001' < held.user > /dev/null &
	exec 9> held.user
	while ! grep -q ready held.out; do sleep 0.2; done
	while ! has LISTEN 7001; do sleep 0.2; done
	root_port=$(sed -n 's/^127.0.0.1:\([0-9]*\) .* LISTEN$/\1/p' held.out | head -1)
}

let_go() {
	exec 8>&- 9>&-
	pkill nc
	wait
	rm -f held.in held.user
}

visible_to() {
	su "$1" -c "$here/vmsuite visible $root_port 7001" | tr '\n' ' '
}

outsider_cannot_read() {
	fails_with 'Permission denied' su user1 -c 'cat /dev/tcpstats'
}

others_are_visible() {
	sysctl security.bsd.see_other_uids=1 > /dev/null
	is "$(visible_to user2)" "$root_port 2 7001 1 "
}

others_are_hidden() {
	sysctl security.bsd.see_other_uids=0 > /dev/null
	found=$(visible_to user2)
	chmod 444 /dev/tcpstats
	own=$(visible_to user1)
	chmod 440 /dev/tcpstats
	sysctl security.bsd.see_other_uids=1 > /dev/null
	is "$found" "$root_port 0 7001 0 " && is "$own" "$root_port 0 7001 1 "
}

# A root directory for jails, whose devfs contains the device.
jail_root=/tmp/jail
make_jail_root() {
	for folder in bin etc lib libexec sbin usr "${here#/}"; do
		mkdir -p "$jail_root/$folder" && mount -t nullfs -o ro "/$folder" "$jail_root/$folder" || return 1
	done
	mkdir -p $jail_root/dev $jail_root/tmp && mount -t devfs devfs $jail_root/dev || return 1
	devfs rule -s 77 add 10 include 1 && devfs rule -s 77 add 20 include 2 &&
	    devfs rule -s 77 add 30 path tcpstats unhide && devfs -m $jail_root/dev ruleset 77 &&
	    devfs -m $jail_root/dev rule applyset
}

unmount_jail_root() {
	mount -p | awk -v root="$jail_root/" 'index($2, root) == 1 { print $2 }' | while read -r folder; do
		umount -f "$folder"
	done
}

# jail_run PARAMETERS SCRIPT: runs the script in a new persistent jail named t.
jail_run() {
	# shellcheck disable=SC2086
	jail -c name=t path=$jail_root host.hostname=t persist $1 command=/bin/sh -c "$2"
}

jail_sees_its_own() {
	(jail_run 'ip4=inherit ip6=inherit' 'nc -l 127.0.0.1 7002 & sleep 1') || return 1
	found=$(jexec t "$here/vmsuite" visible "$root_port" 7002 | tr '\n' ' ')
	host=$(./vmsuite visible "$root_port" 7002 | tr '\n' ' ')
	jail -r t
	is "$found" "$root_port 0 7002 1 " && is "$host" "$root_port 2 7002 1 "
}

vnet_jail_sees_its_own() {
	(jail_run 'vnet' 'ifconfig lo0 127.0.0.1/8 up && (nc -l 127.0.0.1 7003 & sleep 1)') || return 1
	found=$(jexec t "$here/vmsuite" visible "$root_port" 7003 | tr '\n' ' ')
	host=$(./vmsuite visible "$root_port" 7003 | tr '\n' ' ')
	all=$(./vmsuite visible-everywhere "$root_port" 7003 | tr '\n' ' ')
	refused=$(jexec t "$here/vmsuite" visible-everywhere 7003 2>&1)
	jail -r t
	is "$found" "$root_port 0 7003 1 " && is "$host" "$root_port 2 7003 0 " &&
	    is "${all%[1-9]* }" "$root_port 2 jid 0 7003 1 jid " || return 1
	case $refused in *'Operation not permitted'*) ;; *) echo "in the jail: $refused"; return 1 ;; esac
}

# logged_ports OPTION ...: logs one snapshot of the listeners on port 7007, and prints their network stacks in CSV.
logged_ports() {
	./siftr_cdev_logger -o - -c 1 -O lport,vnet -e 'lport 7007' "$@" | sed -n 's/^[0-9.]*,[0-9]*,7007,//p'
}

logger_reads_all_vnets() {
	jail -c name=v vnet persist path=/ && jexec v ifconfig lo0 127.0.0.1/8 up || return 1
	jexec v nc -l 127.0.0.1 7007 &
	nc -l 127.0.0.1 7007 &
	eventually listens_everywhere 7007 || return 1
	sleep 0.5
	own=$(logged_ports)
	all=$(logged_ports --all-vnets | sort)
	changes=$(logged_ports --all-vnets -x | sort)
	jail -r v
	pkill -f 'nc -l 127.0.0.1 7007'
	is "$own" 0 && is "$(echo "$all" | grep -c .)" 2 && is "$(echo "$all" | head -1)" 0 && is "$changes" "$all" &&
	    fails_with 'cannot be combined with -u' ./siftr_cdev_logger --all-vnets -u nobody -o - -c 1 &&
	    fails_with 'available on Linux only' ./siftr_cdev_logger --netns all -o - -c 1 &&
	    fails_with 'requires a device' ./siftr_cdev_logger --all-vnets -d /etc/passwd -o - -c 1
}

vnets_are_created_and_destroyed() {
	./vmsuite churn-everywhere 10 > churn.txt 2>&1 &
	pid=$!
	for i in 1 2 3 4 5; do
		jail -c name=v$i vnet persist path=/ && jail -r v$i || return 1
	done
	wait $pid || { cat churn.txt; return 1; }
}

# A jail that is created again with the same ID has a new network stack, so no connection has the same identity.
recreated_jail_has_new_vnet() {
	rm -f identities.txt
	for _ in 1 2 3; do
		jail -c jid=77 vnet persist path=/ && jexec 77 ifconfig lo0 127.0.0.1/8 up || return 1
		jexec 77 sh -c 'nc -l 127.0.0.1 7004 & nc -l 127.0.0.1 7005 &'
		for port in 7004 7005; do
			eventually listens_everywhere $port || return 1
			./vmsuite identities $port >> identities.txt
		done
		jail -r 77 || return 1
	done
	is "$(wc -l < identities.txt | tr -d ' ')" 6 && is "$(sort identities.txt | uniq -d)" '' &&
	    is "$(cut -d ' ' -f 1 identities.txt | sort -u | grep -vc '^0$')" 3
}

listens_everywhere() {
	[ -n "$(./vmsuite identities "$1")" ]
}

probes_fire() {
	kldstat -q -m dtrace || kldload dtraceall || return 1
	dtrace -q -n 'siftr_cdev:::snapshot-start { start = timestamp; self->expected = arg1; }
	    siftr_cdev:::snapshot-done /arg1 > 0/ { printf("done %d %d %d\n", arg0, arg1, arg2); exit(0); }
	    siftr_cdev:::record-skip { skips++; }' -c './vmsuite visible 1' > d.txt 2>&1
	grep -q '^done 1 [0-9]* [0-9]*$' d.txt || { cat d.txt; return 1; }
}

probe_reports_ends() {
	dtrace -q -s ends.d -c './vmsuite ledger-churn 3' > d.txt 2>&1
	for ending in fin_sent fin_received rst_sent rst_received killed; do
		grep -q "^$ending  *[1-9]" d.txt || { cat d.txt; return 1; }
	done
}

logger_logs() {
	rm -f x.log
	./siftr_cdev_logger -o x.log -s 50000 -c 5 -F "$1" || return 1
	[ -s x.log ] || return 1
	case $1 in
	csv) is "$(grep -c '^# snapshot ' x.log)" 5 && is "$(sed -n 's/^# snapshot .* records=\([0-9]*\) .*/\1/p' x.log |
	    awk '{ n += $1 } END { print n }')" "$(grep -c '^[0-9]' x.log)" ;;
	json) [ "$(grep -c '"state":"LISTEN"' x.log)" -ge 5 ] ;;
	siftr) head -1 x.log | grep -q '^enable_time_secs=.*siftrver=1.3.0.*sysname=FreeBSD' && tail -1 x.log | grep -q '^disable_time_secs=' ;;
	bin) ./siftr_cdev_logger -d x.log -o y.log && is "$(grep -c '^# snapshot ' y.log)" 5; rm -f y.log ;;
	esac
}

# with_msl MS COMMAND: runs a command while connections stay in TIME_WAIT for twice this time.
with_msl() {
	before=$(sysctl -n net.inet.tcp.msl)
	for oid in net.inet.tcp.msl net.inet.tcp.msl_local; do
		sysctl $oid="$1" > /dev/null 2>&1
	done
	shift
	"$@"
	result=$?
	sysctl net.inet.tcp.msl="$before" > /dev/null
	return $result
}

# Prints the number of final records of connections of this port in x.log.
ends() {
	grep -c "^[0-9.]*,[0-9]*,\($1,[1-9][0-9]*\|[1-9][0-9]*,$1\),ENDED\$" x.log
}

have_ended() {
	[ "$(ends "$1")" -ge "$2" ]
}

# A connection opens and ends, and with it its listener, while the other connections are idle.
logger_logs_changes() {
	with_msl 500 changes_are_logged
}

changes_are_logged() {
	rm -f x.log
	./siftr_cdev_logger -x -k 100000 -o x.log -s 50000 -O lport,fport,state &
	logger=$!
	eventually contains '^# snapshot snapshot=5 ' x.log || return 1
	nc -l 127.0.0.1 7006 > /dev/null &
	eventually contains '^# open .* lport=7006 .* state=LISTEN' x.log || return 1
	echo x | nc -N 127.0.0.1 7006
	eventually have_ended 7006 2 && eventually contains '^# close .* lport=7006 .* state=LISTEN' x.log || return 1
	kill $logger
	wait $logger || return 1
	is "$(sed -n -E 's/^# snapshot snapshot=([0-9]+) .* flags=(64|66) .*/\1/p' x.log)" 1 || return 1
	is "$(ends 7006)" 2 &&
	    is "$(grep -c '^# open .* lport=7006 .* state=LISTEN' x.log)" 1 && is "$(grep -c '^# close .* lport=7006 .* state=LISTEN' x.log)" 1 &&
	    is "$(sed -n 's/^# close .* lport=\([0-9]*\) .*/\1/p' x.log)" 7006 &&
	    is "$(awk -F , '/^[0-9]/ && $2 > 1 && $3 != 7006 && $4 != 7006' x.log)" ''
}

# As nobody, the logger logs the owners that sockstat(1) prints, and continues without them if its helper is killed.
logger_logs_owners() {
	rm -f x.log
	nc -l 127.0.0.1 7011 > /dev/null &
	eventually has LISTEN 7011 || return 1
	nc -d 127.0.0.1 7011 > /dev/null &
	eventually has ESTABLISHED 7011 || return 1
	./siftr_cdev_logger -P -u nobody -o - -c 1 -O pid,command,lport,fport -e 'port 7011 and command nc' |
	    sed -n 's/^[0-9.]*,[0-9]*,//p' | sort > owners.txt
	sockstat -4q -P tcp -p 7011 |
	    sed -E -e 's/\*$/0/' -e 's/^[^ ]+ +([^ ]+) +([0-9]+) .*:([0-9]+) +[^ ]*:([0-9]+) *$/\2,\1,\3,\4/' | sort > expected.txt
	./siftr_cdev_logger -P -u nobody -s 200000 -o x.log -O pid,lport -e 'port 7011' 2> messages.txt &
	logger=$!
	eventually contains '^# snapshot snapshot=3 ' x.log || return 1
	helper=$(pgrep -P $logger)
	user=$(ps -o user= -p "$helper")
	open=$(procstat -h files "$helper" | awk '$3 ~ /^[0-9]+$/' | wc -l)
	kill -9 "$helper"
	eventually contains 'continuing without owners' messages.txt || return 1
	at=$(grep -c '^# snapshot ' x.log)
	eventually contains "^# snapshot snapshot=$((at + 3)) " x.log || return 1
	kill $logger
	wait $logger || return 1
	pkill -f 'nc .*127.0.0.1 7011'
	is "$(diff owners.txt expected.txt)" '' && [ "$(grep -c . expected.txt)" -ge 2 ] && is "$user $((open))" 'nobody 4' &&
	    is "$(tail -1 x.log | cut -c 1-5)" '# end' && is "$(grep '^[0-9]' x.log | head -1 | grep -c ',[0-9]*,[0-9][0-9]*,')" 1
}

# The helper of a logger that is killed exits.
helper_ends_with_logger() {
	./siftr_cdev_logger -P -s 200000 -o x.log &
	logger=$!
	sleep 2
	helper=$(pgrep -P $logger)
	kill -9 $logger
	[ -n "$helper" ] && eventually eval "! kill -0 $helper 2> /dev/null"
}

# Connections stay in TIME_WAIT for 10 s instead of 60 s, so that they are gone before the service logs all connections.
readers_against_churn() {
	with_msl 5000 ./vmsuite churn "$churn_s" && eventually few_are_in_time_wait
}

# Connections end while ledger readers open and close the device, network stacks with connections are created and
# destroyed, and, while there certainly is a reader, attempts are made to unload the module.
ledger_against_churn() {
	kldload -n tcp_rack 2> /dev/null
	./vmsuite ledger-churn "$churn_s" > churn.txt 2>&1 &
	pid=$! i=0
	eventually ledger_is_on || return 1
	end=$(($(date +%s) + churn_s / 2))
	while [ $i -lt 200 ] && [ "$(date +%s)" -lt $end ] && kill -0 $pid 2> /dev/null; do
		i=$((i + 1))
		if kldunload siftr_cdev 2> /dev/null; then echo 'unloaded while the ledger was on'; return 1; fi
		[ $((i % 20)) -ne 0 ] || { jail -c name=v vnet persist path=/ && jexec v ifconfig lo0 127.0.0.1/8 up &&
		    jexec v "$here/vmsuite" ends 1 > /dev/null && jail -r v; } || return 1
		case $((i % 4)) in
		0) sysctl net.inet.tcp.functions_default=rack > /dev/null 2>&1 ;;
		2) sysctl net.inet.tcp.functions_default=freebsd > /dev/null ;;
		esac
	done
	wait $pid
	passed=$?
	cat churn.txt
	sysctl net.inet.tcp.functions_default=freebsd > /dev/null
	[ $passed -eq 0 ] && is "$(sysctl -n net.inet.siftr_cdev.ledger_readers)" 0
}

ledger_is_on() {
	[ "$(sysctl -n net.inet.siftr_cdev.ledger_readers)" -gt 0 ]
}

few_are_in_time_wait() {
	[ "$(netstat -an -p tcp | grep -c TIME_WAIT)" -lt 100 ]
}

# The installation: the rc script, the logger as a service, and the viewer.
script=/usr/local/etc/rc.d/tcpstats_logger
viewer=/usr/local/bin/tcpstats
log=/var/log/tcpstats/tcpstats.log
pidfile=/var/run/siftr_cdev_logger.pid

contains() {
	grep -q "$1" "$2" 2> /dev/null
}

# Reads a log, and succeeds if every snapshot occurs once, in order, with all its rows.
is_complete() {
	awk '/^[0-9]/ { rows++ }
	    /^# snapshot / {
		split($3, number, "="); for (i = 4; i <= NF; i++) if ($i ~ /^records=/) split($i, records, "=")
		if (seen && number[2] != last + 1) { print "snapshot " number[2] " follows " last; wrong = 1 }
		if (rows != records[2]) { print "snapshot " number[2] " has " rows " rows of " records[2]; wrong = 1 }
		last = number[2]; seen++; all += rows; rows = 0
	    }
	    END { if (seen < 3 || !all) print "only " seen " snapshots, " all " rows"; exit wrong || seen < 3 || !all }'
}

service_starts() {
	kldunload siftr_cdev
	sysrc tcpstats_logger_enable=YES tcpstats_logger_interval=100000 > /dev/null || return 1
	service tcpstats_logger start || return 1
	kldstat -q -m siftr_cdev && service tcpstats_logger status | grep "is running as pid $(cat $pidfile)" &&
	    eventually contains '^# snapshot snapshot=3 ' $log && is "$(stat -f '%Sp %Su' $log)" '-rw-r----- nobody'
}

second_start_fails() {
	pid=$(cat $pidfile)
	service tcpstats_logger start
	fails_with 'is locked\|already\|another' ./siftr_cdev_logger -b -p $pidfile -o second.log && is "$(cat $pidfile)" "$pid"
}

logger_is_confined() {
	is "$(ps -o user= -p "$(cat $pidfile)")" nobody &&
	    is "$(procstat -h -s "$(cat $pidfile)" | awk '{ print $10 }')" C
}

service_reloads() {
	mv $log $log.before && service tcpstats_logger reload && eventually contains '^# snapshot ' $log || return 1
	cat $log.before $log | is_complete
}

newsyslog_rotates() {
	cp $log before.log
	cp /usr/local/etc/newsyslog.conf.d/tcpstats_logger.conf.sample /usr/local/etc/newsyslog.conf.d/tcpstats_logger.conf &&
	    newsyslog -F $log && eventually contains '^# snapshot ' $log && eventually test -s $log.0.bz2 || return 1
	! grep 'logfile turned over' $log && is "$(stat -f '%Sp %Su' $log)" '-rw-r----- nobody' || return 1
	bzcat $log.0.bz2 | cat - $log | is_complete &&
	    is "$(bzcat $log.0.bz2 | head -c "$(stat -f %z before.log)" | cmp - before.log)" ''
}

service_restarts() {
	pid=$(cat $pidfile)
	service tcpstats_logger restart || return 1
	[ "$(cat $pidfile)" != "$pid" ] && ! kill -0 "$pid" && is "$(grep -c '^# end ' $log)" 1 &&
	    eventually contains '^# end \(.*\)' $log && service tcpstats_logger status
}

service_stops() {
	service tcpstats_logger stop || return 1
	! service tcpstats_logger status && [ ! -s $pidfile ] && is "$(tail -1 $log | cut -c 1-6)" '# end '
}

# The service for metrics.
metrics=/usr/local/etc/rc.d/tcpstats_serve

scrape() {
	fetch -qo metrics.txt http://127.0.0.1:9812/metrics
}

has_metrics() {
	scrape && grep -q '^tcpstats_connections{lport="[0-9]*",state="listen"} [1-9]' metrics.txt
}

serve_runs() {
	sysrc tcpstats_serve_enable=YES tcpstats_serve_by=lport tcpstats_serve_filter="lport != 9" > /dev/null
	service tcpstats_serve start && eventually has_metrics || return 1
	pid=$(cat /var/run/tcpstats_serve.pid)
	service tcpstats_serve status | grep "is running as pid $pid" && is "$(ps -o user= -p "$pid")" nobody &&
	    is "$(procstat -h -s "$pid" | awk '{ print $10 }')" C && grep 'tcpstats_serve.*serving http://127.0.0.1:9812/' /var/log/messages
}

serve_stops() {
	service tcpstats_serve restart && eventually has_metrics && service tcpstats_serve stop || return 1
	! service tcpstats_serve status && [ ! -e /var/run/tcpstats_serve.pid ] && ! scrape && sysrc -x tcpstats_serve_enable tcpstats_serve_by tcpstats_serve_filter
}

# Prints local port, foreign port and state of the permanent connections, sorted.
netstat_connections() {
	netstat -an -p tcp | awk '$NF == "LISTEN" || $NF == "ESTABLISHED" {
		sub(/.*\./, "", $4); sub(/.*\./, "", $5); print $4, ($5 == "*" ? 0 : $5), $NF }' | sort
}

viewer_shows() {
	$viewer "$1" -o lport,fport,state -e 'state listen or state established' > shown.txt || return 1
	netstat_connections > expected.txt
	is "$(sed 1d shown.txt | awk '{ print $1, $2, $3 }' | sort | diff - expected.txt)" '' &&
	    [ "$(grep -c ESTABLISHED expected.txt)" -ge 2 ]
}

viewer_reports_errors() {
	fails_with 'srt' $viewer show -o srt &&
	    fails_with '/dev/nowhere' $viewer show -d /dev/nowhere &&
	    fails_with 'ermission' su user1 -c "$viewer show" && ! grep 'os error' output.txt
}

# Prints the complete log of both runs of the service.  The log of the first run was rotated twice.
service_log() {
	bzcat $log.0.bz2 | cat $log.before - $log
}

viewer_checks() {
	$viewer check $log.before $log.0.bz2 $log > checked.txt
	# A slow machine may miss ticks, which is not an error of the log.
	is "$(sed '$d' checked.txt | grep -v ': missed [0-9]* ticks*$')" '' || return 1
	is "$(sed -n '$s/^.*problems*: \(.* records\), .*$/\1/p' checked.txt)" "$(service_log |
	    awk '/^# snapshot / { snapshots++ } /^[0-9]/ { rows++ } END { print snapshots " snapshots, " rows " records" }')" || return 1
	sed '$d' $log > unfinished.log
	fails_with 'no closing line' $viewer check unfinished.log
}

# Compares ports, minimum srtt and maximum srtt of each connection that can carry data.
viewer_summarizes() {
	$viewer summary --csv $log.before $log.0.bz2 $log | awk -F , '
	    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
	    $at["srtt_min_us"] != "" { print $at["lport"], $at["fport"], $at["srtt_min_us"], $at["srtt_max_us"] }' | sort > summary.txt
	service_log | awk -F , '
	    /^time,/ { for (i = 1; i <= NF; i++) at[$i] = i }
	    /^[0-9]/ && $at["state"] !~ /LISTEN|CLOSED|TIME_WAIT/ && $at["srtt"] != "" {
		key = $at["gencnt"]; srtt = $at["srtt"] + 0; ports[key] = $at["lport"] " " $at["fport"]
		if (!(key in least) || srtt < least[key]) least[key] = srtt
		if (srtt > greatest[key]) greatest[key] = srtt
	    }
	    END { for (key in ports) print ports[key], least[key], greatest[key] + 0 }' | sort > expected.txt
	is "$(diff summary.txt expected.txt)" '' && [ "$(wc -l < expected.txt)" -ge 2 ]
}

# The logger and the viewer convert the same frames identically, and a log is unchanged after conversion to all formats.
viewer_converts() {
	rm -f x.bin x.csv y.csv x.parquet
	./siftr_cdev_logger -o x.bin -s 50000 -c 5 -F bin && ./siftr_cdev_logger -d x.bin -o y.csv && $viewer convert x.bin x.csv || return 1
	for whose in x y; do
		grep -v '^# log \|^# end ' $whose.csv > $whose.rows
	done
	[ "$(grep -c '^# snapshot ' x.rows)" -eq 5 ] && cmp x.rows y.rows || return 1
	$viewer convert -f $log x.parquet && $viewer convert -f x.parquet x.bin && $viewer convert -f x.bin x.csv && cmp x.csv $log
}

viewer_plots() {
	$viewer plot -e 'state established' -o x.png $log && $viewer plot -e 'state established' -o x.svg $log &&
	    is "$(head -c 4 x.png | tail -c 3)" PNG && is "$(tail -c 7 x.svg)" '</svg>'
}

logger_writes_to_syslogd() {
	touch /var/log/tcpstats.syslog
	mkdir -p /usr/local/etc/syslog.d && echo 'local3.* /var/log/tcpstats.syslog' > /usr/local/etc/syslog.d/tcpstats.conf
	service syslogd onerestart && ./siftr_cdev_logger -c 2 -s 100000 -l local3.info &&
	    eventually contains 'siftr_cdev_logger.*: end ' /var/log/tcpstats.syslog &&
	    is "$(grep -c 'siftr_cdev_logger.*: snapshot ' /var/log/tcpstats.syslog)" 2
}

man_finds_pages() {
	is "$(man -w siftr_cdev)" /usr/local/share/man/man4/siftr_cdev.4.gz &&
	    is "$(man -w siftr_cdev_logger)" /usr/local/share/man/man8/siftr_cdev_logger.8.gz &&
	    is "$(man -w 5 tcpstats)" /usr/local/share/man/man5/tcpstats.5.gz
}

pages_are_readable() {
	for page in /usr/local/share/man/man?/siftr_cdev* /usr/local/share/man/man?/tcpstats*; do
		[ "$(mandoc -T ascii "$page" | wc -l)" -gt 100 ] || { echo "$page"; return 1; }
	done
}

unloads_without_leak() {
	kldunload siftr_cdev && [ ! -e /dev/tcpstats ] && is "$(memory_in_use)" 0 && ! sysctl -q net.inet.siftr_cdev > /dev/null
}

pw useradd user1 2> /dev/null; pw useradd user2 -G wheel 2> /dev/null

test_that "the module loads and unloads $loads times without a leak" loads_and_unloads
test_that 'loading and unloading are logged in dmesg' is_logged_in_dmesg
kldload ./siftr_cdev.ko || exit 1
test_that 'the module cannot be loaded twice' second_load_fails
test_that 'the device is root:wheel 0440' mode_and_group
test_that 'tunables set mode and group of the device' mode_by_tunable
test_that 'every sysctl has a description' sysctls_are_described
test_that 'cat | head -1 terminates' cat_to_head
test_that 'dd bs=1 reads a complete snapshot' dd_agrees 1
test_that 'dd bs=1m reads a complete snapshot' dd_agrees 1m
hold
test_that 'the device can be shown in a jail' make_jail_root
test_that 'users outside the group cannot read the device' outsider_cannot_read
test_that 'a user in wheel sees the connections of other users' others_are_visible
test_that 'see_other_uids=0 hides the connections of other users' others_are_hidden
test_that 'a jail sees its own connections' jail_sees_its_own
test_that 'a vnet jail sees its own connections, and root on the host can read all' vnet_jail_sees_its_own
test_that 'the logger reads all network stacks with --all-vnets' logger_reads_all_vnets
test_that 'all network stacks can be read while some are created and destroyed' vnets_are_created_and_destroyed
test_that 'a jail that is created again has a new network stack' recreated_jail_has_new_vnet
for format in csv json siftr bin; do
	test_that "the logger logs $format from the device" logger_logs $format
done
test_that "the logger logs changes from the device" logger_logs_changes
test_that 'the logger logs the owners of connections as nobody' logger_logs_owners
test_that 'a helper process exits if its logger is killed' helper_ends_with_logger
test_that 'the DTrace probes fire' probes_fire
test_that 'a DTrace script counts how connections end' probe_reports_ends
let_go
unmount_jail_root
test_that 'vmsuite passes' ./vmsuite
test_that 'byte counters are exact with packet loss' ./vmsuite values 10
test_that 'every connection that ends has one final record' ./vmsuite ledger 20
test_that 'every change is in the changes' ./vmsuite changes 10
test_that 'owners of connections match sockstat' ./vmsuite owners 10
test_that "final records are exact for $churn_s s while readers open and close the device" ledger_against_churn
test_that "reading works for $churn_s s while connections are opened and closed" readers_against_churn
hold
needs $script 'the service loads the module and logs' service_starts
needs $script 'a second logger with the same pidfile fails' second_start_fails
needs $script 'the logger runs as nobody in a sandbox' logger_is_confined
needs $script 'the service reopens its log without loss' service_reloads
needs $script 'newsyslog rotates without loss' newsyslog_rotates
needs $script 'the service restarts' service_restarts
needs $script 'the service stops, and its log has an end note' service_stops
for command in show top; do
	needs $viewer "tcpstats $command agrees with netstat" viewer_shows $command
done
needs $viewer 'tcpstats reports errors' viewer_reports_errors
needs $metrics 'the service for metrics runs as nobody in a sandbox' serve_runs
needs $metrics 'the service for metrics stops' serve_stops
needs $viewer 'tcpstats check accepts the log and rejects one without its end' viewer_checks
needs $viewer 'tcpstats summary agrees with the log' viewer_summarizes
needs $viewer 'tcpstats convert agrees with the logger and is reversible' viewer_converts
needs $viewer 'tcpstats plot plots the log' viewer_plots
let_go
needs syslogd 'the logger logs to syslogd' logger_writes_to_syslogd
# A machine with man(1) but without our pages has no installation.
if command -v man > /dev/null; then man=/usr/local/share/man/man4/siftr_cdev.4.gz; else man='man'; fi
needs $man 'man finds the pages' man_finds_pages
needs $script 'the pages are readable' pages_are_readable
test_that 'the module unloads without a leak' unloads_without_leak

summary
