# shellcheck shell=sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Runs tests and prints TAP.  suite.sh and package.sh source this file.

run=0 failed=0 skipped=0

# test_that NAME COMMAND: runs a test, which passes if the command succeeds.
test_that() {
	name=$1
	shift
	run=$((run + 1))
	if "$@" > out.txt 2>&1; then
		echo "ok $run - $name"
		# Measurements of the test.
		grep '^# [0-9][0-9]* [a-z]' out.txt
	else
		failed=$((failed + 1))
		echo "not ok $run - $name"
		sed 's/^/# /' out.txt | tail -15
	fi
}

# needs WHAT NAME COMMAND: runs a test if this machine has the program or file
# WHAT, otherwise skips it.
needs() {
	what=$1
	shift
	if [ -e "$what" ] || command -v "$what" > /dev/null; then
		test_that "$@"
	else
		run=$((run + 1)) skipped=$((skipped + 1))
		echo "ok $run - $1 # SKIP no $what"
	fi
}

is() {
	[ "$1" = "$2" ] || { echo "expected \"$2\", found \"$1\""; return 1; }
}

fails_with() {
	words=$1
	shift
	if "$@" > output.txt 2>&1; then echo "expected to fail: $*"; return 1; fi
	grep -q "$words" output.txt || { echo "expected \"$words\" in:"; cat output.txt; return 1; }
}

# eventually COMMAND: waits up to 30 seconds until the command succeeds.
eventually() {
	for _ in $(jot 300); do
		! "$@" || return 0
		sleep 0.1
	done
	echo "did not succeed within 30 s: $*"
	return 1
}

# Prints the end of the TAP, and succeeds if no test has failed.
summary() {
	echo "1..$run"
	echo "# $((run - failed - skipped)) passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
}
