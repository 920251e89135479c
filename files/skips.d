#!/usr/sbin/dtrace -qs
/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * Prints why connections have no record in the snapshots of /dev/tcpstats, by
 * program, when interrupted.  See siftr_cdev(4).
 */

siftr_cdev:::record-skip
{
	this->why = arg1 == 1 ? "hidden from the reader" :
	    arg1 == 2 ? "excluded by the filter" :
	    arg1 == 3 ? "no memory" : "unknown";
	@skips[execname, this->why] = count();
}

dtrace:::END
{
	printf("%-20s %-26s %12s\n", "PROGRAM", "WHY", "CONNECTIONS");
	printa("%-20s %-26s %@12d\n", @skips);
}
