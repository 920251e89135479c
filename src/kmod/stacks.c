/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * The ends of connections, learned from the TCP stacks: netinet/tcp_var.h.
 *
 * tcp_close() calls tfb_tcp_timer_stop_all of the connection's stack exactly
 * once, when the connection ends, with the pcb write-locked and before any part
 * of the connection is released.  While at least one reader has its ledger on,
 * a function in this file replaces that of every stack, and calls the original.
 *
 * A connection that changes to another stack calls the same function first.
 * Then, before the pcb is unlocked, it calls tfb_tcp_fb_fini with 0, or
 * tfb_switch_failed if the other stack does not accept it.  Both are replaced,
 * too.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/eventhandler.h>
#include <sys/jail.h>
#include <sys/kernel.h>
#include <sys/linker.h>
#include <sys/lock.h>
#include <sys/mutex.h>
#include <sys/proc.h>
#include <sys/protosw.h>
#include <sys/queue.h>
#include <sys/refcount.h>
#include <sys/rwlock.h>
#include <sys/smr.h>
#include <sys/socket.h>
#include <sys/socketvar.h>
#include <sys/syscall.h>
#include <sys/sx.h>
#include <sys/ucred.h>

#include <net/vnet.h>
#include <netinet/in.h>
#include <netinet/in_pcb.h>
#include <netinet/in_systm.h>
#include <netinet/tcp.h>
#include <netinet/tcp_var.h>

#include "siftr_cdev.h"

/* tcp_subr.c; no header declares them. */
extern struct rwlock tcp_function_lock;
extern struct tcp_funchead t_functions;

/* A stack, and its own functions. */
struct siftr_cdev_tcp_stack {
	struct tcp_function_block *block;
	int	(*stop_all)(struct tcpcb *);
	void	(*fini)(struct tcpcb *, int);
	void	(*switch_failed)(struct tcpcb *);
};

/*
 * The stacks whose functions are or were replaced.  Entries are appended under
 * tcp_function_lock and read without it: one is complete before a connection
 * can use its stack.  They are removed when no thread is in a function of this
 * file any more.
 */
static struct siftr_cdev_tcp_stack siftr_cdev_tcp_stacks[32];
static volatile u_int siftr_cdev_tcp_stack_count;
static bool siftr_cdev_is_interposed;	/* under tcp_function_lock */

static int	siftr_cdev_stop_all(struct tcpcb *);
static void	siftr_cdev_fini(struct tcpcb *, int);
static void	siftr_cdev_switch_failed(struct tcpcb *);

static struct siftr_cdev_tcp_stack *
siftr_cdev_find_tcp_stack(const struct tcp_function_block *block)
{
	u_int count, i;

	count = atomic_load_acq_int(&siftr_cdev_tcp_stack_count);
	for (i = 0; i < count; i++) {
		if (siftr_cdev_tcp_stacks[i].block == block)
			return (&siftr_cdev_tcp_stacks[i]);
	}
	return (NULL);
}

#define	STORE(pointer, value)						\
	atomic_store_rel_ptr((volatile uintptr_t *)&(pointer), (uintptr_t)(value))

/*
 * Replaces the functions of the stacks that are not in the table yet.  The
 * reference keeps the stack's module loaded.
 */
static int
siftr_cdev_interpose(void)
{
	struct siftr_cdev_tcp_stack *stack;
	struct tcp_function_block *block;
	struct tcp_function *function;
	u_int count;

	rw_assert(&tcp_function_lock, RA_WLOCKED);
	TAILQ_FOREACH(function, &t_functions, tf_next) {
		block = function->tf_fb;
		/* A stack can have several names. */
		if (siftr_cdev_find_tcp_stack(block) != NULL)
			continue;
		count = siftr_cdev_tcp_stack_count;
		if (count == nitems(siftr_cdev_tcp_stacks))
			return (ENFILE);
		refcount_acquire(&block->tfb_refcnt);
		stack = &siftr_cdev_tcp_stacks[count];
		stack->block = block;
		stack->stop_all = block->tfb_tcp_timer_stop_all;
		stack->fini = block->tfb_tcp_fb_fini;
		stack->switch_failed = block->tfb_switch_failed;
		atomic_store_rel_int(&siftr_cdev_tcp_stack_count, count + 1);
		/*
		 * The last of these starts the calls: a change of stacks then
		 * finds the others replaced.
		 */
		STORE(block->tfb_switch_failed, siftr_cdev_switch_failed);
		STORE(block->tfb_tcp_fb_fini, siftr_cdev_fini);
		STORE(block->tfb_tcp_timer_stop_all, siftr_cdev_stop_all);
	}
	return (0);
}

/*
 * Returns what to store for a function that a stack does not have: a function of
 * the kernel that does nothing.  A thread may have found a function there and
 * be about to call it.
 */
static uintptr_t
siftr_cdev_or_nothing(uintptr_t function)
{
	return (function != 0 ? function : (uintptr_t)nullop);
}

/*
 * Restores the functions of the stacks.  Threads can still be in those of this
 * file.
 */
static void
siftr_cdev_restore(void)
{
	struct siftr_cdev_tcp_stack *stack;
	u_int i;

	rw_assert(&tcp_function_lock, RA_WLOCKED);
	for (i = 0; i < siftr_cdev_tcp_stack_count; i++) {
		stack = &siftr_cdev_tcp_stacks[i];
		STORE(stack->block->tfb_tcp_timer_stop_all,
		    siftr_cdev_or_nothing((uintptr_t)stack->stop_all));
		STORE(stack->block->tfb_tcp_fb_fini,
		    siftr_cdev_or_nothing((uintptr_t)stack->fini));
		STORE(stack->block->tfb_switch_failed,
		    siftr_cdev_or_nothing((uintptr_t)stack->switch_failed));
	}
	siftr_cdev_is_interposed = false;
	atomic_thread_fence_seq_cst();
}

/*
 * Starts to call siftr_cdev_entry.ended.  If it fails, siftr_cdev_endings_stop()
 * must be called, too.
 */
int
siftr_cdev_endings_start(void)
{
	int error;

	sx_assert(&siftr_cdev_ledger_sx, SA_XLOCKED);
	rw_wlock(&tcp_function_lock);
	siftr_cdev_is_interposed = true;
	error = siftr_cdev_interpose();
	rw_wunlock(&tcp_function_lock);
	return (error);
}

/* Stops the calls, except in threads that are already about to make one. */
void
siftr_cdev_endings_stop(void)
{
	sx_assert(&siftr_cdev_ledger_sx, SA_XLOCKED);
	rw_wlock(&tcp_function_lock);
	siftr_cdev_restore();
	rw_wunlock(&tcp_function_lock);
}

/* Forgets the stacks.  No thread is in a function of this file any more. */
void
siftr_cdev_endings_forget(void)
{
	u_int i;

	sx_assert(&siftr_cdev_ledger_sx, SA_XLOCKED);
	rw_wlock(&tcp_function_lock);
	for (i = 0; i < siftr_cdev_tcp_stack_count; i++)
		refcount_release(&siftr_cdev_tcp_stacks[i].block->tfb_refcnt);
	siftr_cdev_tcp_stack_count = 0;
	rw_wunlock(&tcp_function_lock);
}

/* Called after a module was loaded, which may have registered a stack. */
void
siftr_cdev_find_new_stacks(void)
{
	int error;

	error = 0;
	rw_wlock(&tcp_function_lock);
	if (siftr_cdev_is_interposed)
		error = siftr_cdev_interpose();
	rw_wunlock(&tcp_function_lock);
	if (error != 0)
		printf("siftr_cdev: too many TCP stacks; "
		    "the ends of some connections are not recorded\n");
}

static int
siftr_cdev_stop_all(struct tcpcb *tp)
{
	struct siftr_cdev_tcp_stack *stack;

	siftr_cdev_entry.ended(tptoinpcb(tp));
	stack = siftr_cdev_find_tcp_stack(tp->t_fb);
	return (stack != NULL && stack->stop_all != NULL ?
	    stack->stop_all(tp) : 0);
}

static void
siftr_cdev_fini(struct tcpcb *tp, int is_gone)
{
	struct siftr_cdev_tcp_stack *stack;

	if (!is_gone) {
		siftr_cdev_entry.continued(tptoinpcb(tp));
		/* The other stack may have been registered just now. */
		siftr_cdev_find_new_stacks();
	}
	stack = siftr_cdev_find_tcp_stack(tp->t_fb);
	if (stack != NULL && stack->fini != NULL)
		stack->fini(tp, is_gone);
}

static void
siftr_cdev_switch_failed(struct tcpcb *tp)
{
	struct siftr_cdev_tcp_stack *stack;

	siftr_cdev_entry.continued(tptoinpcb(tp));
	stack = siftr_cdev_find_tcp_stack(tp->t_fb);
	if (stack != NULL && stack->switch_failed != NULL)
		stack->switch_failed(tp);
}

/*
 * Returns so_error, by which the application learns why the connection ended, and
 * stores whether closing the socket resets the connection.
 */
int
siftr_cdev_socket_end(struct inpcb *inp, int *does_not_linger)
{
	struct socket *so;

	so = inp->inp_socket;
	if (so == NULL)
		return (0);
	*does_not_linger = (so->so_options & SO_LINGER) != 0 &&
	    so->so_linger == 0;
	/* In 14, some callers of tcp_drop() pass a negative error. */
	return (abs((int16_t)so->so_error));
}

/*
 * Returns whether the thread executes the system call by which tcpdrop(8) drops
 * a connection.  Closing a listener with connections that were not accepted
 * sets the same error.
 */
int
siftr_cdev_is_sysctl(void)
{
	return (curthread->td_sa.code == SYS___sysctl ||
	    curthread->td_sa.code == SYS___sysctlbyname);
}

/* Credentials. */
struct ucred *
siftr_cdev_cred_hold(void)
{
	return (crhold(curthread->td_ucred));
}

void
siftr_cdev_cred_free(struct ucred *cred)
{
	crfree(cred);
}

int
siftr_cdev_cred_is_own(struct ucred *cred)
{
	return (cred == curthread->td_ucred);
}

int
siftr_cdev_can_see_as(struct ucred *cred, struct inpcb *inp)
{
	return (cr_canseeinpcb(cred, inp) == 0);
}
