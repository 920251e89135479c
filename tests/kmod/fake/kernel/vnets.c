/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * Functions that a module registers to be called for each network stack, see
 * net/vnet.c.
 */

#include "kernel.h"

static TAILQ_HEAD(, vnet_sysinit) constructors =
    TAILQ_HEAD_INITIALIZER(constructors);
static TAILQ_HEAD(, vnet_sysinit) destructors =
    TAILQ_HEAD_INITIALIZER(destructors);
static struct sx vnet_sysinit_sxlock;

void
vnet_sysinits_init(void)
{
	sx_init(&vnet_sysinit_sxlock, "vnet_sysinit_sxlock");
}

static void
call(const struct vnet_sysinit *vs, struct vnet *vnet)
{
	CURVNET_SET_QUIET(vnet);
	vs->func(vs->arg);
	CURVNET_RESTORE();
}

static void
call_for_each(const struct vnet_sysinit *vs)
{
	struct vnet *vnet;

	VNET_LIST_RLOCK();
	VNET_FOREACH(vnet)
		call(vs, vnet);
	VNET_LIST_RUNLOCK();
}

void
vnet_register_sysinit(void *arg)
{
	struct vnet_sysinit *vs = arg;

	sx_xlock(&vnet_sysinit_sxlock);
	TAILQ_INSERT_TAIL(&constructors, vs, link);
	call_for_each(vs);
	sx_xunlock(&vnet_sysinit_sxlock);
}

void
vnet_deregister_sysinit(void *arg)
{
	struct vnet_sysinit *vs = arg;

	sx_xlock(&vnet_sysinit_sxlock);
	TAILQ_REMOVE(&constructors, vs, link);
	sx_xunlock(&vnet_sysinit_sxlock);
}

void
vnet_register_sysuninit(void *arg)
{
	struct vnet_sysinit *vs = arg;

	sx_xlock(&vnet_sysinit_sxlock);
	TAILQ_INSERT_TAIL(&destructors, vs, link);
	sx_xunlock(&vnet_sysinit_sxlock);
}

void
vnet_deregister_sysuninit(void *arg)
{
	struct vnet_sysinit *vs = arg;

	sx_xlock(&vnet_sysinit_sxlock);
	call_for_each(vs);
	TAILQ_REMOVE(&destructors, vs, link);
	sx_xunlock(&vnet_sysinit_sxlock);
}

/* A network stack was created, and is not in the list yet. */
void
vnet_created(struct vnet *vnet)
{
	struct vnet_sysinit *vs;

	sx_slock(&vnet_sysinit_sxlock);
	TAILQ_FOREACH(vs, &constructors, link)
		call(vs, vnet);
	sx_sunlock(&vnet_sysinit_sxlock);
}

/* A network stack is being removed, and is no longer in the list. */
void
vnet_removed(struct vnet *vnet)
{
	struct vnet_sysinit *vs;

	sx_slock(&vnet_sysinit_sxlock);
	TAILQ_FOREACH(vs, &destructors, link)
		call(vs, vnet);
	sx_sunlock(&vnet_sysinit_sxlock);
}
