/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Enables the module's SDT probes, as dtrace(1) does. */

#include "kernel.h"

SET(sdt_probes_set, struct sdt_probe);

static void (*probe_fired)(void *, const char *, const unsigned long *);
static void *probe_arg;

static void
fire(const char *name, const unsigned long *arguments)
{
	if (probe_fired != NULL && sdt_knows_the_probes())
		probe_fired(probe_arg, name, arguments);
}

#if __FreeBSD_version < 1500000
volatile bool sdt_probes_enabled;

static void
fire_by_id(uint32_t id, uintptr_t arg0, uintptr_t arg1, uintptr_t arg2,
    uintptr_t arg3, uintptr_t arg4)
{
	unsigned long arguments[] = { arg0, arg1, arg2, arg3, arg4 };

	fire(sdt_probes_set_start[id - 1]->name, arguments);
}

sdt_probe_func_t sdt_probe_func = fire_by_id;

static void
enable_probes(void)
{
	struct sdt_probe **probe;

	FOREACH(probe, sdt_probes_set)
		(*probe)->id = probe - sdt_probes_set_start + 1;
	sdt_probes_enabled = true;
}
#else
/* This set contains structures instead of pointers. */
extern struct sdt_tracepoint tracepoints_start[]
    __asm("__start_set_sdt_tracepoint_set") __weak_symbol;
extern struct sdt_tracepoint tracepoints_stop[]
    __asm("__stop_set_sdt_tracepoint_set") __weak_symbol;

void
sdt_probe(uint32_t id, uintptr_t arg0, uintptr_t arg1, uintptr_t arg2,
    uintptr_t arg3, uintptr_t arg4)
{
	unsigned long arguments[] = { arg0, arg1, arg2, arg3, arg4 };

	fire(sdt_probes_set_start[id - 1]->name, arguments);
}

/*
 * Replaces the nop of five bytes at each tracepoint by a jump to the call of
 * the probe.
 */
static void
enable_probes(void)
{
	struct sdt_tracepoint *tracepoint;
	struct sdt_probe **probe;
	int32_t distance;
	char *at;

	FOREACH(probe, sdt_probes_set)
		(*probe)->id = probe - sdt_probes_set_start + 1;
	for (tracepoint = tracepoints_start; tracepoint < tracepoints_stop;
	    tracepoint++) {
		at = (char *)tracepoint->patchpoint;
		distance = tracepoint->target - tracepoint->patchpoint - 5;
		host_make_writable(at, 5);
		at[0] = (char)0xe9;
		memcpy(at + 1, &distance, sizeof(distance));
	}
}
#endif

void
fake_probes(void (*fired)(void *, const char *, const unsigned long *),
    void *arg)
{
	probe_fired = fired;
	probe_arg = arg;
	enable_probes();
}
