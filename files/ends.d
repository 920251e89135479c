#!/usr/sbin/dtrace -qs
/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * Counts how connections end while a program reads final records from
 * /dev/tcpstats, as siftr_cdev_logger does, and prints the numbers when
 * interrupted.  See siftr_cdev(4).
 */

siftr_cdev:::connection-ended
{
	@ends[stringof((char *)arg1)] = count();
}

dtrace:::END
{
	printf("%-16s %12s\n", "ENDING", "CONNECTIONS");
	printa("%-16s %@12d\n", @ends);
}
