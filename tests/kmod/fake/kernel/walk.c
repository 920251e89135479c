/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * The cost of the fake kernel itself in a walk of the module, which
 * measurements of the module subtract.
 */

#include "kernel.h"

/*
 * Visits every connection of the caller's network stack as the module does, but
 * produces no records.  With `statistics`, calls the functions that the module
 * calls for a record.  Returns the number of connections.
 */
unsigned long
fake_walk(int statistics)
{
	unsigned long seen = 0;

	CURVNET_SET(TD_TO_VNET(curthread));
	{
		struct inpcb_iterator walk = INP_ALL_ITERATOR(&V_tcbinfo,
		    INPLOOKUP_RLOCKPCB);
		struct inpcb *inp;

		while ((inp = inp_next(&walk)) != NULL) {
			if (cr_canseeinpcb(curthread->td_ucred, inp) != 0)
				continue;
			seen++;
			if (statistics) {
				(void)tcp_compute_pipe(intotcpcb(inp));
				(void)tcp_get_srtt(intotcpcb(inp),
				    TCP_TMR_GRANULARITY_USEC);
			}
		}
	}
	CURVNET_RESTORE();
	return (seen);
}
