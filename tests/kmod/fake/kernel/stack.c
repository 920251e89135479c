/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Measures how much of its stack a thread uses. */

#include "kernel.h"

#define	AREA	(48 * 1024)
#define	COLOUR	0xc5

/*
 * Both functions have the same frame, so that one can check what the other
 * wrote.
 */
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

/* Returns the number of bytes of stack that a function and its callees use. */
unsigned long
fake_stack_used(void (*run)(void *), void *arg)
{
	paint();
	run(arg);
	return (scan());
}
