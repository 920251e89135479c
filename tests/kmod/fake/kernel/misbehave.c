/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a bad module would do.  Each of these must end the program: a fake
 * kernel that lets one pass proves nothing when it lets the module pass.
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
		fail("there is no connection to misbehave with");
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
wait_under_connection(void)
{
	(void)walk();
	(void)malloc(8, &memory_type, M_WAITOK);
}

static void
wait_under_mutex(void)
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
	holds_nothing("it returns");
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
walk_on_after_unlock(void)
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
lock_what_is_no_lock(void)
{
	static struct mtx nothing;

	mtx_lock(&nothing);
}

static void
look_without_lock(void)
{
	struct inpcb *inp = walk();

	INP_RUNLOCK(inp);
	(void)tcp_compute_pipe(intotcpcb(inp));
}

static void
follow_what_is_gone(void)
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
walk_on_from_freed(void)
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
write_behind(void)
{
	volatile char *memory = malloc(8, &memory_type, M_WAITOK);

	memory[8] = 1;
	free(__DEVOLATILE(void *, memory), &memory_type);
}

static void
write_far_behind(void)
{
	volatile char *memory = malloc(8, &memory_type, M_WAITOK);

	memory[16] = 1;
}

static void
say_neither_wait_nor_not(void)
{
	(void)malloc(8, &memory_type, M_ZERO);
}

#define	DEED(name)	{ #name, name }
static const struct {
	const char	*name;
	void		(*run)(void);
} deeds[] = {
	DEED(copy_under_connection),
	DEED(copy_under_mutex),
	DEED(destroy_device_under_mutex),
	DEED(find_interface_outside_epoch),
	DEED(follow_what_is_gone),
	DEED(free_twice),
	DEED(leak),
	DEED(leave_connection_locked),
	DEED(leave_epoch_entered),
	DEED(leave_mutex_locked),
	DEED(leave_network_stack),
	DEED(lock_in_both_orders),
	DEED(lock_twice),
	DEED(lock_what_is_no_lock),
	DEED(look_without_lock),
	DEED(pause_in_epoch),
	DEED(pause_under_connection),
	DEED(say_neither_wait_nor_not),
	DEED(signal_under_connection),
	DEED(sx_under_connection),
	DEED(unlock_twice),
	DEED(use_after_free),
	DEED(use_after_last_reference),
	DEED(wait_under_connection),
	DEED(wait_under_mutex),
	DEED(walk_on_after_unlock),
	DEED(walk_on_from_freed),
	DEED(write_behind),
	DEED(write_far_behind),
	DEED(yield_under_connection),
};

const char *
fake_deed(unsigned at)
{
	return (at < nitems(deeds) ? deeds[at].name : NULL);
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
	for (i = 0; i < nitems(deeds); i++)
		if (strcmp(deeds[i].name, name) == 0)
			deeds[i].run();
}
