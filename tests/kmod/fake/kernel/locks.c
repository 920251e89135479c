/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * Locks that know their owner.  The test fails if a thread sleeps or returns to
 * user mode with a lock held, acquires a lock twice, releases a lock that it
 * does not hold, or acquires two locks in different orders.
 */

#include "kernel.h"

/*
 * Number of sx(9) and mutex(9) locks that were initialized and not destroyed.
 */
static unsigned alive;

/*
 * The names of locks, and of other locks that were acquired while they were
 * held.
 */
static struct {
	const char	*first, *then;
} orders[64];

static void
check_order(const char *first, const char *then)
{
	unsigned i;

	if (strcmp(first, then) == 0)
		fail("\"%s\" is locked while another with that name is held", then);
	for (i = 0; i < nitems(orders) && orders[i].first != NULL; i++) {
		if (strcmp(orders[i].first, then) == 0 &&
		    strcmp(orders[i].then, first) == 0)
			fail("lock order reversal: \"%s\" after \"%s\", and "
			    "before it elsewhere", then, first);
		if (strcmp(orders[i].first, first) == 0 &&
		    strcmp(orders[i].then, then) == 0)
			return;
	}
	if (i == nitems(orders))
		fail("too many lock orders");
	orders[i].first = first;
	orders[i].then = then;
}

static void
remember(const void *lock, const char *name, bool sleepable)
{
	struct fake_thread *thread;

	thread = this_thread();
	if (thread->held_count == nitems(thread->held))
		fail("too many locks are held when \"%s\" is locked", name);
	thread->held[thread->held_count++] = (struct held){
		.lock = lock, .name = name, .may_sleep = sleepable,
	};
}

static struct held *
find(const void *lock)
{
	struct fake_thread *thread;
	int i;

	thread = this_thread();
	for (i = 0; i < thread->held_count; i++)
		if (thread->held[i].lock == lock)
			return (&thread->held[i]);
	return (NULL);
}

static void
forget(const void *lock, const char *name)
{
	struct fake_thread *thread;
	struct held *held;

	thread = this_thread();
	held = find(lock);
	if (held == NULL)
		fail("\"%s\" is unlocked by a thread that does not hold it",
		    name);
	*held = thread->held[--thread->held_count];
}

/* Called before acquiring a lock, which may block. */
static void
about_to_lock(const void *lock, const char *name, bool sleepable)
{
	struct fake_thread *thread;
	char what[96];
	int i;

	thread = this_thread();
	if (find(lock) != NULL)
		fail("\"%s\" is locked by the thread that holds it", name);
	if (thread->smr_sections != 0)
		fail("locking \"%s\" in an SMR section", name);
	if (sleepable) {
		snprintf(what, sizeof(what), "locking sx \"%s\"", name);
		may_sleep(what);
	}
	for (i = 0; i < thread->held_count; i++)
		check_order(thread->held[i].name, name);
}

void
may_sleep(const char *what)
{
	struct fake_thread *thread;
	int i;

	thread = this_thread();
	for (i = 0; i < thread->held_count; i++)
		if (!thread->held[i].may_sleep)
			fail("%s with \"%s\" held", what, thread->held[i].name);
	if (thread->epochs != 0)
		fail("%s in the network epoch", what);
	if (thread->smr_sections != 0)
		fail("%s in an SMR section", what);
}

void
holds_nothing(const char *when)
{
	struct fake_thread *thread;

	thread = this_thread();
	if (thread->held_count != 0)
		fail("%s with \"%s\" held", when, thread->held[0].name);
	if (thread->epochs != 0)
		fail("%s in the network epoch", when);
	if (thread->td.td_vnet != NULL)
		fail("%s with a current network stack", when);
}

static void
wait_for(const char *name)
{
	if (host_wait() == 0)
		fail("deadlock: \"%s\" is never unlocked", name);
}

bool
is_held(const void *lock)
{
	return (find(lock) != NULL);
}

unsigned
locks_alive(void)
{
	return (alive);
}

static void
made(struct lock_object *object, const char *name)
{
	if ((object->lo_flags & LO_INITIALIZED) != 0)
		fail("\"%s\" is initialized twice", name);
	object->lo_name = name;
	object->lo_flags = LO_INITIALIZED;
	atomic_add_int(&alive, 1);
}

static void
destroyed(struct lock_object *object)
{
	if (object->lo_flags != LO_INITIALIZED)
		fail("an uninitialized lock is destroyed");
	object->lo_flags = 0;
	atomic_subtract_int(&alive, 1);
}

static const char *
name_of(const struct lock_object *object)
{
	if (object->lo_flags != LO_INITIALIZED)
		fail("an uninitialized lock is used");
	return (object->lo_name);
}

/* mutex(9) */
static struct mtx *
mutex_of(volatile uintptr_t *c)
{
	return (__containerof(c, struct mtx, mtx_lock));
}

void
mtx_sysinit(SYSINIT_ARGUMENT arg)
{
	const struct mtx_args *args = arg;
	struct mtx *m = args->ma_mtx;

	made(&m->lock_object, args->ma_desc);
	m->mtx_lock = MTX_UNOWNED;
}

void
_mtx_destroy(volatile uintptr_t *c)
{
	if (*c != MTX_UNOWNED)
		fail("\"%s\" is destroyed while locked",
		    name_of(&mutex_of(c)->lock_object));
	destroyed(&mutex_of(c)->lock_object);
	*c = MTX_DESTROYED;
}

void
__mtx_lock_flags(volatile uintptr_t *c, int opts __unused,
    const char *file __unused, int line __unused)
{
	struct mtx *m = mutex_of(c);
	const char *name = name_of(&m->lock_object);

	host_enter();
	about_to_lock(m, name, false);
	while (*c != MTX_UNOWNED)
		wait_for(name);
	*c = (uintptr_t)curthread;
	remember(m, name, false);
	host_leave();
}

void
__mtx_unlock_flags(volatile uintptr_t *c, int opts __unused,
    const char *file __unused, int line __unused)
{
	struct mtx *m = mutex_of(c);

	host_enter();
	forget(m, name_of(&m->lock_object));
	*c = MTX_UNOWNED;
	host_wake();
	host_leave();
}

/* sx(9) */
void
sx_init_flags(struct sx *sx, const char *description, int opts)
{
	if (opts != 0)
		fail("sx_init_flags(%#x): unsupported flags", opts);
	made(&sx->lock_object, description);
	sx->sx_lock = SX_LOCK_UNLOCKED;
}

void
sx_destroy(struct sx *sx)
{
	if (sx->sx_lock != SX_LOCK_UNLOCKED)
		fail("\"%s\" is destroyed while locked",
		    name_of(&sx->lock_object));
	destroyed(&sx->lock_object);
	sx->sx_lock = SX_LOCK_DESTROYED;
}

int
_sx_xlock(struct sx *sx, int opts, const char *file __unused,
    int line __unused)
{
	const char *name = name_of(&sx->lock_object);

	host_enter();
	about_to_lock(sx, name, true);
	while (sx->sx_lock != SX_LOCK_UNLOCKED) {
		if ((opts & SX_INTERRUPTIBLE) != 0 && signal_is_pending() &&
		    this_thread()->signal != 0) {
			host_leave();
			return (this_thread()->signal);
		}
		count_call("sx wait");
		wait_for(name);
	}
	sx->sx_lock = (uintptr_t)curthread;
	remember(sx, name, true);
	host_leave();
	return (0);
}

void
_sx_xunlock(struct sx *sx, const char *file __unused, int line __unused)
{
	host_enter();
	forget(sx, name_of(&sx->lock_object));
	if (sx->sx_lock != (uintptr_t)curthread)
		fail("\"%s\" is unlocked by a thread that is not its owner",
		    name_of(&sx->lock_object));
	sx->sx_lock = SX_LOCK_UNLOCKED;
	host_wake();
	host_leave();
}

int
_sx_slock(struct sx *sx, int opts __unused, const char *file __unused,
    int line __unused)
{
	const char *name = name_of(&sx->lock_object);

	host_enter();
	about_to_lock(sx, name, true);
	while ((sx->sx_lock & SX_LOCK_SHARED) == 0)
		wait_for(name);
	sx->sx_lock += SX_ONE_SHARER;
	remember(sx, name, true);
	host_leave();
	return (0);
}

void
_sx_sunlock(struct sx *sx, const char *file __unused, int line __unused)
{
	host_enter();
	forget(sx, name_of(&sx->lock_object));
	if ((sx->sx_lock & SX_LOCK_SHARED) == 0 || SX_SHARERS(sx->sx_lock) == 0)
		fail("\"%s\" is not locked shared", name_of(&sx->lock_object));
	sx->sx_lock -= SX_ONE_SHARER;
	host_wake();
	host_leave();
}

void
sx_sysinit(SYSINIT_ARGUMENT arg)
{
	const struct sx_args *args = arg;

	sx_init_flags(args->sa_sx, args->sa_desc, 0);
}

/*
 * rwlock(9), for connections and for the list of TCP stacks.  Connections are
 * locked by inp_next(), by the holder of a reference, and by the TCP stack.
 */
void
pcb_lock_init(struct inpcb *inp)
{
	inp->inp_lock.lock_object.lo_name = "tcpinp";
	inp->inp_lock.lock_object.lo_flags = LO_INITIALIZED;
	inp->inp_lock.rw_lock = RW_UNLOCKED;
}

void
pcb_rlock(struct inpcb *inp)
{
	host_enter();
	while (!pcb_try_rlock(inp))
		pcb_wait();
	host_leave();
}

/* The connection that the TCP stack has locked, until somebody waits for it. */
static struct inpcb *busy;
static bool busy_ends;

void
fake_pcb_busy(void *pcb, int ends)
{
	busy_ends = ends;
	busy = &((struct tcpcb *)pcb)->t_inpcb;
	busy->inp_lock.rw_lock = (uintptr_t)&busy;
}

/*
 * Another thread changes a connection all the time.  It does not enter the
 * monitor, so that it runs at the same time as the module, and a walk that
 * waits for it does not sleep.
 */
static volatile u_int alternating;

static void
pause_for(unsigned loops)
{
	while (loops-- != 0)
		cpu_spinwait();
}

/*
 * Alternates between two states and local ports, under the connection's lock:
 * ESTABLISHED with 1 and CLOSE_WAIT with 2.
 */
void
fake_pcb_alternate(void *pcb, unsigned long times)
{
	struct tcpcb *tp = pcb;
	struct inpcb *inp = &tp->t_inpcb;
	unsigned long i;

	atomic_store_int(&alternating, 1);
	for (i = 0; i < times; i++) {
		while (!atomic_cmpset_acq_ptr(&inp->inp_lock.rw_lock,
		    RW_UNLOCKED, (uintptr_t)&alternating))
			cpu_spinwait();
		/* No value is the same as before. */
		inp->inp_inc.inc_fibnum = i;
		inp->inp_inc.inc_ie.ie_lport = htons(1 + i % 2);
		atomic_thread_fence_rel();
		tp->t_state = i % 2 == 0 ? TCPS_ESTABLISHED : TCPS_CLOSE_WAIT;
		atomic_store_rel_ptr(&inp->inp_lock.rw_lock, RW_UNLOCKED);
		pause_for(i % 16);
	}
	atomic_store_int(&alternating, 0);
}

/* Waits until a connection is unlocked. */
void
pcb_wait(void)
{
	count_call("wait for a connection");
	if (atomic_load_int(&alternating) != 0) {
		cpu_spinwait();
		return;
	}
	if (busy != NULL) {
		struct inpcb *inp = busy;

		busy = NULL;
		inp->inp_lock.rw_lock = RW_UNLOCKED;
		if (busy_ends)
			(void)fake_pcb_free(inp);
		return;
	}
	wait_for("tcpinp");
}

bool
pcb_try_rlock(struct inpcb *inp)
{
	uintptr_t word;

	host_enter();
	do {
		word = inp->inp_lock.rw_lock;
		if ((word & RW_LOCK_READ) == 0) {
			host_leave();
			return (false);
		}
	} while (!atomic_cmpset_acq_ptr(&inp->inp_lock.rw_lock, word,
	    word + RW_ONE_READER));
	remember(&inp->inp_lock, name_of(&inp->inp_lock.lock_object), false);
	host_leave();
	return (true);
}

bool
pcb_is_rlocked(const struct inpcb *inp)
{
	return (find(&inp->inp_lock) != NULL);
}

bool
pcb_is_wlocked(const struct inpcb *inp)
{
	return (inp->inp_lock.rw_lock == (uintptr_t)curthread);
}

static void
wlock(struct rwlock *rw)
{
	const char *name = name_of(&rw->lock_object);

	host_enter();
	about_to_lock(rw, name, false);
	while (rw->rw_lock != RW_UNLOCKED)
		wait_for(name);
	rw->rw_lock = (uintptr_t)curthread;
	remember(rw, name, false);
	host_leave();
}

static void
wunlock(struct rwlock *rw)
{
	host_enter();
	forget(rw, name_of(&rw->lock_object));
	if (rw->rw_lock != (uintptr_t)curthread)
		fail("\"%s\" is not write-locked", name_of(&rw->lock_object));
	rw->rw_lock = RW_UNLOCKED;
	host_wake();
	host_leave();
}

void
pcb_wlock(struct inpcb *inp)
{
	wlock(&inp->inp_lock);
}

void
pcb_wunlock(struct inpcb *inp)
{
	wunlock(&inp->inp_lock);
}

void
_rw_wlock_cookie(volatile uintptr_t *c, const char *file __unused,
    int line __unused)
{
	wlock(__containerof(c, struct rwlock, rw_lock));
}

void
_rw_wunlock_cookie(volatile uintptr_t *c, const char *file __unused,
    int line __unused)
{
	wunlock(__containerof(c, struct rwlock, rw_lock));
}

bool
pcb_is_locked(const struct inpcb *inp)
{
	return (inp->inp_lock.rw_lock != RW_UNLOCKED);
}

void
__rw_rlock(volatile uintptr_t *c, const char *file __unused, int line __unused)
{
	struct rwlock *rw = __containerof(c, struct rwlock, rw_lock);

	(void)run_hook(HOOK_LOCK);
	host_enter();
	about_to_lock(rw, name_of(&rw->lock_object), false);
	pcb_rlock(__containerof(rw, struct inpcb, inp_lock));
	host_leave();
}

void
_rw_runlock_cookie(volatile uintptr_t *c, const char *file __unused,
    int line __unused)
{
	struct rwlock *rw = __containerof(c, struct rwlock, rw_lock);

	host_enter();
	forget(rw, name_of(&rw->lock_object));
	if (RW_READERS(*c) == 0)
		fail("\"%s\" is not locked", name_of(&rw->lock_object));
	atomic_subtract_rel_ptr(c, RW_ONE_READER);
	host_wake();
	host_leave();
}
