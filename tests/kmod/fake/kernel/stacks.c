/* SPDX-License-Identifier: BSD-2-Clause */

/* VNET_SYSINIT: what a module does when a network stack is created or destroyed. */

#include "kernel.h"

struct vnet *vnet0;
const int osreldate = __FreeBSD_version;

static struct vnet_sysinit *inits[4];

static void
call(struct vnet_sysinit *init, struct vnet *vnet)
{
	CURVNET_SET_QUIET(vnet);
	init->func(init->arg);
	CURVNET_RESTORE();
}

static void
call_in_each(struct vnet_sysinit *init)
{
	struct vnet *vnet;

	VNET_LIST_RLOCK();
	LIST_FOREACH(vnet, &vnet_head, vnet_le)
		call(init, vnet);
	VNET_LIST_RUNLOCK();
}

/* Runs the initializers in a new network stack. */
void
initialize_stack(struct vnet *vnet)
{
	unsigned i;

	for (i = 0; i < nitems(inits); i++)
		if (inits[i] != NULL)
			call(inits[i], vnet);
}

void
vnet_register_sysinit(void *arg)
{
	unsigned i;

	for (i = 0; inits[i] != NULL; i++)
		if (i == nitems(inits) - 1)
			fail("more VNET_SYSINITs than there is room for");
	inits[i] = arg;
	call_in_each(inits[i]);
}

void
vnet_deregister_sysinit(void *arg)
{
	unsigned i;

	for (i = 0; i < nitems(inits); i++)
		if (inits[i] == arg)
			inits[i] = NULL;
}

void
vnet_register_sysuninit(void *arg __unused)
{
}

/* The module is unloaded before the network stacks are destroyed. */
void
vnet_deregister_sysuninit(void *arg)
{
	call_in_each(arg);
}
