#!/usr/sbin/dtrace -qs
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Every snapshot of /dev/tcpstats: who took it, what it held, how long the walk
 * over the connections took.  See siftr_cdev(4).
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
