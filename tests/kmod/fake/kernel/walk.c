/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the fake kernel itself costs in a walk of the module: to be taken off
 * where the module is measured.
 */

#include "kernel.h"

/*
 * Goes past every connection of the caller's network stack as the module does,
 * and makes nothing of them; with `statistics` it calls what the module calls
 * for a record.  Gives how many connections there were.
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
