#!/usr/sbin/dtrace -qs
/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * Prints every snapshot of /dev/tcpstats: the program that took it, its contents,
 * and the duration of the walk over the connections.  See siftr_cdev(4).
 */

dtrace:::BEGIN
{
	printf("%-20s %6s %10s %9s %9s %8s %10s\n", "PROGRAM", "PID", "SNAPSHOT", "SEEN", "WRITTEN", "MISSED", "WALK_US");
}

siftr_cdev:::snapshot-done
{
	printf("%-20s %6d %10d %9d %9d %8d %10d\n", execname, pid, arg0, arg1, arg2, arg3, arg4 / 1000);
	@walk_us["duration of the walks, microseconds"] = quantize(arg4 / 1000);
}
