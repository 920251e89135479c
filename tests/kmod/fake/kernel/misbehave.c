/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * What a faulty module would do.  Each case must abort the program: otherwise
 * the fake kernel would not detect the same fault of the module either.
 */

#include "kernel.h"

#include <net/if.h>
#include <net/if_var.h>

static struct malloc_type memory_type = {
	.ks_version = M_VERSION,
	.ks_shortdesc = "misbehave",
};
static struct mtx one, other;
static struct sx sleepable;
static char buffer[16];

static struct inpcb *
walk(void)
{
	static struct inpcb_iterator walk = INP_ALL_ITERATOR(NULL,
	    INPLOOKUP_RLOCKPCB);
	struct inpcb *inp;

	walk.ipi = &V_tcbinfo;
	inp = inp_next(&walk);
	if (inp == NULL)
		fail("no connection");
	return (inp);
}

static void
copy(void)
{
	struct iovec iov = { buffer, sizeof(buffer) };
	struct uio uio = {
		.uio_iov = &iov, .uio_iovcnt = 1, .uio_td = curthread,
		.uio_resid = sizeof(buffer), .uio_rw = UIO_READ,
	};

	(void)uiomove(buffer, sizeof(buffer), &uio);
}

static void
allocate_under_connection(void)
{
	(void)walk();
	(void)malloc(8, &memory_type, M_WAITOK);
}

static void
allocate_under_mutex(void)
{
	mtx_lock(&one);
	(void)malloc(8, &memory_type, M_WAITOK);
}

static void
copy_under_connection(void)
{
	(void)walk();
	copy();
}

static void
copy_under_mutex(void)
{
	mtx_lock(&one);
	copy();
}

static void
pause_under_connection(void)
{
	(void)walk();
	(void)pause_sbt("", SBT_1MS, 0, 0);
}

static void
pause_in_epoch(void)
{
	struct epoch_tracker et;

	NET_EPOCH_ENTER(et);
	(void)pause_sbt("", SBT_1MS, 0, 0);
}

static void
leave_epoch_entered(void)
{
	struct epoch_tracker et;

	NET_EPOCH_ENTER(et);
	holds_nothing("the call ends");
}

static void
find_interface_outside_epoch(void)
{
	(void)ifnet_byindex(1);
}

static void
signal_under_connection(void)
{
	(void)walk();
	(void)sig_intr();
}

static void
sx_under_connection(void)
{
	(void)walk();
	sx_xlock(&sleepable);
}

static void
destroy_device_under_mutex(void)
{
	mtx_lock(&one);
	fake_other_device_gone();
}

static void
leave_connection_locked(void)
{
	(void)walk();
	curthread->td_vnet = NULL;
	holds_nothing("read ends");
}

static void
leave_mutex_locked(void)
{
	mtx_lock(&one);
	holds_nothing("read ends");
}

static void
leave_network_stack(void)
{
	holds_nothing("read ends");
}

static void
continue_walk_after_unlock(void)
{
	INP_RUNLOCK(walk());
	(void)walk();
}

static void
unlock_twice(void)
{
	mtx_lock(&one);
	mtx_unlock(&one);
	mtx_unlock(&one);
}

static void
lock_twice(void)
{
	mtx_lock(&one);
	mtx_lock(&one);
}

static void
lock_in_both_orders(void)
{
	mtx_lock(&one);
	mtx_lock(&other);
	mtx_unlock(&other);
	mtx_unlock(&one);
	mtx_lock(&other);
	mtx_lock(&one);
}

static void
lock_without_initialization(void)
{
	static struct mtx nothing;

	mtx_lock(&nothing);
}

static void
compute_pipe_without_lock(void)
{
	struct inpcb *inp = walk();

	INP_RUNLOCK(inp);
	(void)tcp_compute_pipe(intotcpcb(inp));
}

static void
follow_unloaded_stack(void)
{
	struct inpcb *inp = walk();

	fake_pcb_drop(inp);
	(void)tcp_compute_pipe(intotcpcb(inp));
}

static void
yield_under_connection(void)
{
	(void)walk();
	kern_yield(PRI_USER);
}

static void
continue_walk_from_freed(void)
{
	struct inpcb_iterator iterator = INP_ALL_ITERATOR(&V_tcbinfo,
	    INPLOOKUP_RLOCKPCB);
	struct inpcb *inp = inp_next(&iterator);

	in_pcbref(inp);
	INP_RUNLOCK(inp);
	(void)fake_pcb_free(inp);
	INP_RLOCK(inp);
	(void)inp_next(&iterator);
}

static void
use_after_last_reference(void)
{
	struct inpcb *inp = walk();

	in_pcbref(inp);
	INP_RUNLOCK(inp);
	(void)fake_pcb_free(inp);
	INP_RLOCK(inp);
	(void)in_pcbrele_rlocked(inp);
	INP_RLOCK(inp);
}

static void
leak(void)
{
	(void)malloc(8, &memory_type, M_WAITOK);
	malloc_uninit(&memory_type);
}

static void
free_twice(void)
{
	void *memory = malloc(8, &memory_type, M_WAITOK);

	free(memory, &memory_type);
	free(memory, &memory_type);
}

static void
use_after_free(void)
{
	volatile char *memory = malloc(8, &memory_type, M_WAITOK);

	free(__DEVOLATILE(void *, memory), &memory_type);
	memory[0] = 1;
}

static void
write_after_block(void)
{
	volatile char *memory = malloc(8, &memory_type, M_WAITOK);

	memory[8] = 1;
	free(__DEVOLATILE(void *, memory), &memory_type);
}

static void
write_after_page(void)
{
	volatile char *memory = malloc(8, &memory_type, M_WAITOK);

	memory[16] = 1;
}

static void
allocate_without_a_wait_flag(void)
{
	(void)malloc(8, &memory_type, M_ZERO);
}

#define	MISUSE(name)	{ #name, name }
static const struct {
	const char	*name;
	void		(*run)(void);
} misuses[] = {
	MISUSE(allocate_under_connection),
	MISUSE(allocate_under_mutex),
	MISUSE(allocate_without_a_wait_flag),
	MISUSE(compute_pipe_without_lock),
	MISUSE(continue_walk_after_unlock),
	MISUSE(continue_walk_from_freed),
	MISUSE(copy_under_connection),
	MISUSE(copy_under_mutex),
	MISUSE(destroy_device_under_mutex),
	MISUSE(find_interface_outside_epoch),
	MISUSE(follow_unloaded_stack),
	MISUSE(free_twice),
	MISUSE(leak),
	MISUSE(leave_connection_locked),
	MISUSE(leave_epoch_entered),
	MISUSE(leave_mutex_locked),
	MISUSE(leave_network_stack),
	MISUSE(lock_in_both_orders),
	MISUSE(lock_twice),
	MISUSE(lock_without_initialization),
	MISUSE(pause_in_epoch),
	MISUSE(pause_under_connection),
	MISUSE(signal_under_connection),
	MISUSE(sx_under_connection),
	MISUSE(unlock_twice),
	MISUSE(use_after_free),
	MISUSE(use_after_last_reference),
	MISUSE(write_after_block),
	MISUSE(write_after_page),
	MISUSE(yield_under_connection),
};

const char *
fake_misuse(unsigned at)
{
	return (at < nitems(misuses) ? misuses[at].name : NULL);
}

void
fake_misbehave(const char *name)
{
	struct mtx_args for_one = { &one, "one", MTX_DEF };
	struct mtx_args for_other = { &other, "other", MTX_DEF };
	unsigned i;

	malloc_init(&memory_type);
	mtx_sysinit(&for_one);
	mtx_sysinit(&for_other);
	sx_init(&sleepable, "sleepable");
	(void)fake_other_device("other");
	fake_pcb(NULL, curthread->td_ucred);
	curthread->td_vnet = vnet0;
	for (i = 0; i < nitems(misuses); i++)
		if (strcmp(misuses[i].name, name) == 0)
			misuses[i].run();
}
