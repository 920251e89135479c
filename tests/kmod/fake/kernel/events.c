/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Event handlers, callouts, and threads that wait in poll(2). */

#include "kernel.h"

/* eventhandler(9) */
static const char *const events[] = {
	"kld_unload_try", "vm_lowmem", "kld_load"
};
static struct handler {
	const char *event;
	void	*run;
	void	*arg;
	int	priority;
	bool	is_used;
} handlers[8];
static bool sdt_knows, another_refuses;

/* callout(9) */
static struct callout *callout;
static sbintime_t callout_due;

/* The only selinfo, and how many threads wait for it in poll(2). */
static struct selinfo *recorded;
static unsigned pollers;

eventhandler_tag
eventhandler_register(struct eventhandler_list *list, const char *name,
    void *func, void *arg, int priority)
{
	unsigned i;

	may_sleep("eventhandler_register()");
	if (list != NULL || (strcmp(name, events[0]) != 0 &&
	    strcmp(name, events[1]) != 0 && strcmp(name, events[2]) != 0))
		fail("unsupported event");
	for (i = 0; handlers[i].is_used; i++)
		if (i == nitems(handlers) - 1)
			fail("too many event handlers");
	handlers[i] = (struct handler){ name, func, arg, priority, true };
	return ((eventhandler_tag)&handlers[i]);
}

/* In the kernel this locks the list, and deregistering a handler unlocks it. */
struct eventhandler_list *
eventhandler_find_list(const char *name)
{
	return ((struct eventhandler_list *)__DECONST(char *, name));
}

void
eventhandler_deregister(struct eventhandler_list *list, eventhandler_tag tag)
{
	struct handler *handler = (struct handler *)tag;

	may_sleep("eventhandler_deregister()");
	if (!handler->is_used ||
	    strcmp(handler->event, (const char *)list) != 0)
		fail("an event handler is deregistered twice, or from the "
		    "wrong event");
	handler->is_used = false;
}

bool
sdt_knows_the_probes(void)
{
	return (sdt_knows);
}

void
sdt_learns_the_probes(void)
{
	sdt_knows = true;
}

void
fake_refuse_unload(int refuse)
{
	another_refuses = refuse;
}

/* The handlers of sdt(9) and dtrace(4). */
static void
run_kernel_handlers(bool is_ours, int *error)
{
	if (*error != 0 || !is_ours)
		return;
	if (another_refuses)
		*error = 1;
	else
		sdt_knows = false;
}

int
run_unload_handlers(struct linker_file *file, bool is_ours)
{
	struct handler *next, *handler;
	int error, done, priority;
	bool kernel_is_done;

	error = 0;
	kernel_is_done = false;
	for (done = 0; ; done = priority + 1) {
		next = NULL;
		for (handler = handlers; handler < handlers + nitems(handlers);
		    handler++)
			if (handler->is_used && handler->priority >= done &&
			    strcmp(handler->event, "kld_unload_try") == 0 &&
			    (next == NULL || handler->priority < next->priority))
				next = handler;
		if (!kernel_is_done && (next == NULL ||
		    next->priority > EVENTHANDLER_PRI_ANY)) {
			run_kernel_handlers(is_ours, &error);
			kernel_is_done = true;
		}
		if (next == NULL)
			break;
		priority = next->priority;
		((kld_unload_try_fn)next->run)(next->arg, file, &error);
		holds_nothing("a handler of kld_unload_try ends");
	}
	return (error);
}

/* A module was loaded. */
void
run_load_handlers(void)
{
	unsigned i;

	for (i = 0; i < nitems(handlers); i++)
		if (handlers[i].is_used &&
		    strcmp(handlers[i].event, "kld_load") == 0)
			((kld_load_fn)handlers[i].run)(handlers[i].arg, NULL);
	holds_nothing("a handler of kld_load ends");
}

/* The pagedaemon calls the handlers of vm_lowmem. */
void
fake_lowmem(void)
{
	unsigned i;

	for (i = 0; i < nitems(handlers); i++)
		if (handlers[i].is_used &&
		    strcmp(handlers[i].event, "vm_lowmem") == 0)
			((vm_lowmem_handler_t)handlers[i].run)(handlers[i].arg,
			    0x02 /* VM_LOW_PAGES */);
	holds_nothing("a handler of vm_lowmem ends");
}

/* After the module has been unloaded. */
void
check_events_after_unload(void)
{
	unsigned i;

	for (i = 0; i < nitems(handlers); i++)
		if (handlers[i].is_used)
			fail("an event handler is left after the unload");
	if (callout != NULL)
		fail("a callout is left after the unload");
	if (pollers != 0)
		fail("threads in poll(2) are left after the unload");
	recorded = NULL;
}

void
_callout_init_lock(struct callout *c, struct lock_object *lock, int flags)
{
	if (flags != 0 || lock == NULL)
		fail("unsupported kind of callout");
	memset(c, 0, sizeof(*c));
	c->c_lock = lock;
}

int
callout_reset_sbt_on(struct callout *c, sbintime_t sbt, sbintime_t precision,
    callout_func_t *func, void *arg, int cpu, int flags)
{
	if ((flags & C_ABSOLUTE) == 0)
		fail("a callout without an absolute time");
	if (!is_held(__containerof(c->c_lock, struct mtx, lock_object)))
		fail("a callout is set without its lock");
	if (callout != NULL && callout != c)
		fail("more than one callout");
	callout = c;
	callout_due = sbt;
	c->c_func = func;
	c->c_arg = arg;
	c->c_iflags |= CALLOUT_PENDING;
	return (0);
}

/* Differences between the releases. */
#if __FreeBSD_version < 1500000
int
_callout_stop_safe(struct callout *c, int flags, void (*drain)(void *))
{
	if (drain != NULL)
		fail("a callout is stopped with a drain function");
#else
int
_callout_stop_safe(struct callout *c, int flags)
{
#endif
	if ((flags & CS_DRAIN) != 0)
		may_sleep("callout_drain()");
	if (c->c_lock == NULL)
		fail("an uninitialized callout is stopped");
	if (callout == c)
		callout = NULL;
	c->c_iflags &= ~CALLOUT_PENDING;
	return (1);
}

void
fake_callouts(void)
{
	struct callout *due = callout;
	struct mtx *lock;

	if (due == NULL || (unsigned long)sbttons(callout_due) > fake_clock_now())
		return;
	callout = NULL;
	due->c_iflags &= ~CALLOUT_PENDING;
	lock = __containerof(due->c_lock, struct mtx, lock_object);
	mtx_lock(lock);
	due->c_func(due->c_arg);
	mtx_unlock(lock);
	holds_nothing("a callout ends");
}

void
selrecord(struct thread *td, struct selinfo *sip)
{
	if (td != curthread)
		fail("selrecord() of another thread");
	if (recorded != NULL && recorded != sip)
		fail("more than one selinfo");
	recorded = sip;
	pollers++;
}

void
selwakeup(struct selinfo *sip)
{
	if (recorded == sip)
		pollers = 0;
}

void
seldrain(struct selinfo *sip)
{
	selwakeup(sip);
}

unsigned
fake_pollers(void)
{
	return (pollers);
}
