/* SPDX-License-Identifier: BSD-2-Clause */

/* How much of its stack a thread uses. */

#include "kernel.h"

#define	AREA	(48 * 1024)
#define	COLOUR	0xc5

/* Both have the same frame, so that one finds what the other left. */
static __noinline void
paint(void)
{
	volatile unsigned char area[AREA];
	size_t i;

	for (i = 0; i < sizeof(area); i++)
		area[i] = COLOUR;
}

static __noinline unsigned long
scan(void)
{
	volatile unsigned char area[AREA];
	size_t i;

	for (i = 0; i < sizeof(area) && area[i] == COLOUR; i++)
		continue;
	return (sizeof(area) - i);
}

/* The most bytes of stack that a function used, with what it calls. */
unsigned long
fake_stack_used(void (*run)(void *), void *arg)
{
	paint();
	run(arg);
	return (scan());
}
