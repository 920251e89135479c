#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Tests what a user does with the packages, from installation to removal, on a
# running FreeBSD with pkg(8), and prints TAP.  Run it as root:
#
#   sh package.sh REPOSITORY NEWER
#
# Both are directories that make repository wrote, signed with the same key.  NEWER
# has packages with a higher version (make package PORTREVISION=1).  tap.sh must be
# next to package.sh.
#
# The script installs and deletes packages, and changes rc.conf and loader.conf:
# run it on a disposable machine.
set -u

# shellcheck source=tests/vm/tap.sh
. "$(dirname "$0")/tap.sh"
repository=$(realpath "$1") newer=$(realpath "$2")
for folder in "$repository" "$newer"; do
	[ -e "$folder/siftr_cdev.fingerprint" ] || { echo "$folder: not a repository of make repository" >&2; exit 1; }
done
work=$(mktemp -d)
cd "$work" || exit 1
trust=/usr/local/etc/pkg/fingerprints/siftr_cdev
configuration=/usr/local/etc/pkg/repos/siftr_cdev.conf
log=/var/log/tcpstats/tcpstats.log
pidfile=/var/run/siftr_cdev_logger.pid
rotation=/usr/local/etc/newsyslog.conf.d/tcpstats_logger.conf
# shellcheck disable=SC2016 # pkg(8) replaces them
here='${ABI}/${VERSION_MINOR}'
export ASSUME_ALWAYS_YES=yes

# Prints the names of everything that a package could leave behind.
everything() {
	find -x / \( -path "$work" -o -path /tmp -o -path /var/db/pkg -o -path /var/cache/pkg -o -path /usr/local/etc/pkg \
	    -o -path /dev \) -prune -o -print | sort
}

# use URL: follows the instructions in the README, with nothing cached.
use() {
	rm -rf /var/db/pkg/repos /var/cache/pkg
	mkdir -p "$trust/trusted" "$trust/revoked" "${configuration%/*}"
	cp "$repository/siftr_cdev.fingerprint" "$trust/trusted/"
	echo "siftr_cdev: { url: \"$1/$here\", signature_type: \"fingerprints\", fingerprints: \"$trust\" }" > "$configuration"
}

# Prints the directory of this machine's packages in a repository.
packages_of() {
	echo "$1/$(pkg config ABI)/$(pkg config OSVERSION | awk '{ print int($1 / 1000) % 100 }')"
}

# altered_copy NAME: copies the repository, and prints the directory of the copy's packages.
altered_copy() {
	rm -rf "${work:?}/$1"
	cp -R "$repository" "$work/$1"
	packages_of "$work/$1"
}

update() {
	pkg update -f
}

# is_refused WORDS: succeeds if pkg(8) prints the words and installs nothing.
is_refused() {
	{ update; pkg install siftr_cdev; } > output.txt 2>&1
	cat output.txt
	grep -q "$1" output.txt && is "$(pkg query -a %n)" ''
}

another_key_is_refused() {
	use "file://$repository"
	sed -i '' 's/^fingerprint: ./&0/' "$trust/trusted/siftr_cdev.fingerprint"
	is_refused 'No trusted'
}

no_key_is_refused() {
	use "file://$repository"
	rm "$trust/trusted/siftr_cdev.fingerprint"
	is_refused 'No trusted'
}

altered_catalogue_is_refused() {
	folder=$(altered_copy catalogue)
	mkdir parts && tar -xf "$folder/data.pkg" -C parts && sed -i '' 's/"comment":"/&x/' parts/data || return 1
	(cd parts && tar -c -f "$folder/data.pkg" --zstd data.sig data.pub data) || return 1
	use "file://$work/catalogue"
	is_refused 'signature verification failure'
}

installs_from_a_directory() {
	use "file://$repository" && update && pkg install siftr_cdev && is_installed && pkg delete siftr_cdev siftr_cdev-kmod
}

is_installed() {
	is "$(pkg query %n siftr_cdev siftr_cdev-kmod | sort | tr '\n' ' ')" 'siftr_cdev siftr_cdev-kmod '
}

# Starts a web server, made of inetd(8) and a script, for the files in the directory that ./served names.
start_server() {
	cat > httpd.sh <<-EOF
		read -r method path version
		while read -r line && [ "\${#line}" -gt 1 ]; do :; done
		path="\$(cat "$work/served")\$(echo "\$path" | sed 's/%3A/:/g')"
		if [ -f "\$path" ]; then
			printf 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n' "\$(stat -f %z "\$path")"
			[ "\$method" = HEAD ] || cat "\$path"
		else
			printf 'HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
		fi
	EOF
	echo "http stream tcp nowait/0/0/0 root /bin/sh sh $work/httpd.sh" > inetd.conf
	inetd -a 127.0.0.1 -p "$work/inetd.pid" "$work/inetd.conf"
}

# serve DIRECTORY
serve() {
	echo "$1" > served
	[ -e inetd.pid ] || start_server
}

# Replaces a package with one that is valid, but has a different checksum.
replaced_package_is_refused() {
	folder=$(altered_copy package)
	cp "$(packages_of "$newer")"/All/siftr_cdev-kmod-*.pkg "$(echo "$folder"/All/siftr_cdev-kmod-*.pkg)" || return 1
	serve "$work/package" && use http://127.0.0.1 && is_refused 'expected package size'
}

# Changes one byte of a package.
damaged_package_is_refused() {
	folder=$(altered_copy package)
	for file in "$folder"/All/siftr_cdev-kmod-*.pkg; do
		printf x | dd of="$file" bs=1 seek=20000 conv=notrunc && ! cmp "$file" "$repository/${file#"$work"/package/}" || return 1
	done
	serve "$work/package" && use http://127.0.0.1 && is_refused 'failed checksum'
}

installs_over_http() {
	serve "$repository" && use http://127.0.0.1 && update && pkg install siftr_cdev && is_installed
}

is_intact() {
	pkg check -s -a && pkg check -d -a -n
}

# audit_finds NAME COMPARISON VERSION PACKAGE...: succeeds if pkg audit reports
# exactly these packages for an advisory about NAME.
audit_finds() {
	cat > vuln.xml <<-EOF
		<?xml version="1.0" encoding="utf-8"?>
		<vuxml xmlns="http://www.vuxml.org/apps/vuxml-1">
		  <vuln vid="00000000-0000-11f1-0000-000000000000">
		    <topic>siftr_cdev -- made for a test</topic>
		    <affects>
		      <package><name>$1</name><range><$2>$3</$2></range></package>
		    </affects>
		    <description><body xmlns="http://www.w3.org/1999/xhtml"><p>x</p></body></description>
		    <references><cvename>CVE-2026-0000</cvename></references>
		    <dates><discovery>2026-01-01</discovery><entry>2026-01-01</entry></dates>
		  </vuln>
		</vuxml>
	EOF
	shift 3
	pkg audit -f vuln.xml -q > found.txt
	status=$?
	is "$(sort found.txt | tr '\n' ' ')" "$*" && is $((status != 0)) $(($# != 0))
}

# The versions in advisories are those without the __FreeBSD_version.
audit_reports_the_affected_package() {
	version=$(pkg query %v siftr_cdev) plain=$(pkg query %v siftr_cdev | sed 's/\.[^.]*$//')
	audit_finds siftr_cdev lt 3 "siftr_cdev-$version " &&
	    audit_finds siftr_cdev-kmod lt 3 "siftr_cdev-kmod-$version " &&
	    audit_finds 'siftr_cdev*' lt 3 "siftr_cdev-$version" "siftr_cdev-kmod-$version " &&
	    audit_finds siftr_cdev lt "${plain%.*}.999" "siftr_cdev-$version " &&
	    audit_finds siftr_cdev lt "$plain" && audit_finds siftr_cdev-kmod lt "$plain" && audit_finds siftr_cdev ge 3
}

pages_are_found() {
	for page in 'siftr_cdev 4' 'tcpstats 1' 'tcpstats 5' 'siftr_cdev_logger 8'; do
		is "$(man -w "${page#* }" "${page% *}")" "/usr/local/share/man/man${page#* }/${page% *}.${page#* }.gz" || return 1
	done
	[ "$(man 4 siftr_cdev | wc -l)" -gt 100 ]
}

is_loaded_at_boot() {
	sysrc -f /boot/loader.conf siftr_cdev_load=YES && grep '^siftr_cdev_load="YES"$' /boot/loader.conf &&
	    kldxref -d /boot/modules | grep siftr_cdev
}

device_is_readable() {
	# shellcheck disable=SC2002 # as a user reads it
	kldload siftr_cdev && is "$(cat /dev/tcpstats | head -c 20)" 'time,snapshot,gencnt' && kldunload siftr_cdev
}

snapshots() {
	grep -c '^# snapshot ' $log
}

logs_more_than() {
	[ "$(snapshots)" -gt "$1" ]
}

service_starts() {
	sysrc tcpstats_logger_enable=YES tcpstats_logger_interval=100000 && service tcpstats_logger start &&
	    kldstat -q -m siftr_cdev && eventually logs_more_than 2
}

upgrades_while_it_runs() {
	pid=$(cat $pidfile) before=$(pkg query %v siftr_cdev)
	use "file://$newer" && update && pkg upgrade || return 1
	[ "$(pkg query %v siftr_cdev)" != "$before" ] && is "$(cat $pidfile)" "$pid" && kill -0 "$pid" || return 1
	eventually logs_more_than "$(snapshots)"
}

restarts_with_the_new_packages() {
	pid=$(cat $pidfile)
	service tcpstats_logger stop && kldunload siftr_cdev && service tcpstats_logger start &&
	    [ "$(cat $pidfile)" != "$pid" ] && eventually logs_more_than "$(snapshots)" && service tcpstats_logger stop || return 1
	# A slow machine may miss ticks, which is not an error of the log.
	tcpstats check $log > check.txt
	is "$(sed '$d' check.txt | grep -v ': missed [0-9]* ticks*$')" '' && service tcpstats_logger start
}

changed_file_is_kept() {
	echo '# changed' >> $rotation
	pkg upgrade -f siftr_cdev && tail -1 $rotation | grep '^# changed$' && pkg delete siftr_cdev > output.txt && cat output.txt &&
	    grep "$rotation has changed" output.txt && tail -1 $rotation | grep '^# changed$' && rm $rotation && pkg install siftr_cdev &&
	    cmp $rotation $rotation.sample
}

# Follows the instructions in the messages.
deinstalls() {
	service tcpstats_logger stop && kldunload siftr_cdev && pkg delete siftr_cdev siftr_cdev-kmod || return 1
	sysrc -x tcpstats_logger_enable tcpstats_logger_interval && sysrc -f /boot/loader.conf -x siftr_cdev_load && rm -r /var/log/tcpstats
}

nothing_is_left() {
	everything > after.txt
	is "$(comm -13 before.txt after.txt)" '' && ! grep -q tcpstats /etc/rc.conf && ! grep -q siftr /boot/loader.conf
}

touch /boot/loader.conf /etc/rc.conf
everything > before.txt
test_that 'a repository with another key is refused' another_key_is_refused
test_that 'a repository without a trusted key is refused' no_key_is_refused
test_that 'an altered catalogue is refused' altered_catalogue_is_refused
test_that 'a replaced package is refused' replaced_package_is_refused
test_that 'a damaged package is refused' damaged_package_is_refused
test_that 'the packages are installed from file://' installs_from_a_directory
test_that 'the packages are installed from http://' installs_over_http
test_that 'the packages are intact and complete' is_intact
test_that 'pkg audit reports the packages that an advisory names' audit_reports_the_affected_package
test_that 'man finds and shows the pages' pages_are_found
test_that 'loader.conf can load the module' is_loaded_at_boot
test_that 'the device is readable' device_is_readable
test_that 'the service loads the module and logs' service_starts
test_that 'the packages are upgraded while the service runs' upgrades_while_it_runs
test_that 'the service restarts with the new packages' restarts_with_the_new_packages
test_that 'the packages are intact after the upgrade' is_intact
test_that 'a changed file is kept by upgrade and deinstallation' changed_file_is_kept
test_that 'the packages are deinstalled' deinstalls
test_that 'nothing is left' nothing_is_left
[ ! -e inetd.pid ] || kill "$(cat inetd.pid)"

summary
