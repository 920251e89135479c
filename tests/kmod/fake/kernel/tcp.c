/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * TCP stacks, and what they do at the end of a connection: tcp_subr.c and
 * tcp_usrreq.c.
 */

#include "kernel.h"

struct rwlock tcp_function_lock;
struct tcp_funchead t_functions = TAILQ_HEAD_INITIALIZER(t_functions);

/* A stack, and its own functions, with which it is registered. */
struct stack {
	struct tcp_function_block block;
	struct tcp_function names[2];
	struct tcp_function_block own;
};

static struct stack *stacks[40];
static unsigned stack_count;
static unsigned stopped, finished, failed_switches;

static int
stop_all(struct tcpcb *tp)
{
	if (!pcb_is_wlocked(&tp->t_inpcb))
		fail("tfb_tcp_timer_stop_all() of a connection that is not "
		    "write-locked");
	stopped++;
	return (0);
}

static void
fini(struct tcpcb *tp, int is_gone __unused)
{
	if (!pcb_is_wlocked(&tp->t_inpcb))
		fail("tfb_tcp_fb_fini() of a connection that is not "
		    "write-locked");
	finished++;
}

static void
switch_failed(struct tcpcb *tp __unused)
{
	failed_switches++;
}

/* How often the stacks' own functions were called. */
unsigned
fake_stack_calls(void)
{
	return (stopped + finished + failed_switches);
}

int
nullop(void)
{
	return (0);
}

static struct stack *
stack_named(const char *name)
{
	unsigned i;

	for (i = 0; i < stack_count; i++)
		if (strcmp(stacks[i]->block.tfb_tcp_block_name, name) == 0)
			return (stacks[i]);
	return (NULL);
}

/*
 * Registers a stack under one or two names.  That of the kernel, "freebsd", has no
 * function to stop timers; the others can have all functions.
 */
struct tcp_function_block *
stack_register(const char *name, bool has_functions)
{
	struct stack *stack = guarded(sizeof(*stack));
	unsigned i;

	if (stack_count == nitems(stacks))
		fail("too many TCP stacks");
	memset(stack, 0, sizeof(*stack));
	strncpy(stack->block.tfb_tcp_block_name, name,
	    sizeof(stack->block.tfb_tcp_block_name));
	if (has_functions)
		stack->block.tfb_tcp_timer_stop_all = stop_all;
	if (has_functions || strcmp(name, "freebsd") == 0)
		stack->block.tfb_tcp_fb_fini = fini;
	if (has_functions)
		stack->block.tfb_switch_failed = switch_failed;
	stack->own = stack->block;
	for (i = 0; i < nitems(stack->names); i++) {
		stack->names[i].tf_fb = &stack->block;
		TAILQ_INSERT_TAIL(&t_functions, &stack->names[i], tf_next);
	}
	stacks[stack_count++] = stack;
	return (&stack->block);
}

void
fake_stack(const char *name, int has_functions)
{
	(void)stack_register(name, has_functions);
}

/* kldload(8) of the module of a stack. */
void
fake_stack_load(const char *name)
{
	(void)stack_register(name, true);
	run_load_handlers();
}

struct tcp_function_block *
stack_find(const char *name)
{
	struct stack *stack = stack_named(name);

	return (stack == NULL ? NULL : &stack->block);
}

static bool
is_own(uintptr_t now, uintptr_t own)
{
	/* A thread may have found that there is a function. */
	return (now == own || (own == 0 && now == (uintptr_t)nullop));
}

/* Returns the number of stacks whose functions are not their own. */
unsigned
fake_stacks_changed(void)
{
	unsigned count = 0, i;

	for (i = 0; i < stack_count; i++)
#define	IS_OWN(name)							\
		is_own((uintptr_t)stacks[i]->block.name,		\
		    (uintptr_t)stacks[i]->own.name)
		if (!IS_OWN(tfb_tcp_timer_stop_all) ||
		    !IS_OWN(tfb_tcp_fb_fini) || !IS_OWN(tfb_switch_failed))
			count++;
#undef	IS_OWN
	return (count);
}

/* Returns the number of references to stacks other than those of connections. */
unsigned
fake_stack_references(void)
{
	unsigned count = 0, i;

	for (i = 0; i < stack_count; i++)
		count += stacks[i]->block.tfb_refcnt;
	return (count);
}

static void
lock(struct inpcb *inp)
{
	pcb_wlock(inp);
	curthread->td_vnet = inp->inp_pcbinfo->ipi_vnet;
}

static void
unlock(struct inpcb *inp)
{
	curthread->td_vnet = NULL;
	pcb_wunlock(inp);
	holds_nothing("the TCP stack returns");
}

static int
call_stop_all(struct tcpcb *tp)
{
	int (*function)(struct tcpcb *) = tp->t_fb->tfb_tcp_timer_stop_all;

	/* A thread may be preempted before it calls a function. */
	run_hook(HOOK_CLOSE);
	return (function != NULL ? function(tp) : 0);
}

/*
 * tcp_close(), after tcp_drop() or tcp_input() has set the state and the error
 * for the application.
 */
void
fake_pcb_close(void *pcb)
{
	struct tcpcb *tp = pcb;
	struct inpcb *inp = &tp->t_inpcb;

	lock(inp);
	(void)call_stop_all(tp);
	inp->inp_flags |= INP_DROPPED;
	tp->t_state = TCPS_CLOSED;
	unlock(inp);
}

/* tcp_discardcb(), before in_pcbfree(). */
void
fake_pcb_discard(void *pcb)
{
	struct tcpcb *tp = pcb;
	struct inpcb *inp = &tp->t_inpcb;

	lock(inp);
	tp->t_cc = NULL;
	if (tp->t_fb->tfb_tcp_fb_fini != NULL)
		tp->t_fb->tfb_tcp_fb_fini(tp, 1);
	unlock(inp);
}

/* setsockopt(TCP_FUNCTION_BLK); the other stack can refuse. */
void
fake_pcb_switch(void *pcb, const char *name, int refuses)
{
	struct tcpcb *tp = pcb;
	struct tcp_function_block *other = stack_find(name);

	if (other == NULL)
		fail("there is no TCP stack %s", name);
	lock(&tp->t_inpcb);
	(void)call_stop_all(tp);
	run_hook(HOOK_SWITCH);
	if (refuses) {
		if (tp->t_fb->tfb_switch_failed != NULL)
			tp->t_fb->tfb_switch_failed(tp);
	} else {
		if (tp->t_fb->tfb_tcp_fb_fini != NULL)
			tp->t_fb->tfb_tcp_fb_fini(tp, 0);
		tp->t_fb = other;
	}
	unlock(&tp->t_inpcb);
}

void
tcp_init(void)
{
	tcp_function_lock.lock_object.lo_name = "tcp_func_lock";
	tcp_function_lock.lock_object.lo_flags = LO_INITIALIZED;
	tcp_function_lock.rw_lock = RW_UNLOCKED;
}
