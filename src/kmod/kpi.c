/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * Wrappers around macros and static inline functions of the kernel, for
 * src/kpi.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/jail.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/mutex.h>
#include <sys/priv.h>
#include <sys/proc.h>
#include <sys/protosw.h>
#include <sys/refcount.h>
#include <sys/rwlock.h>
#include <sys/signalvar.h>
#include <sys/smp.h>
#include <sys/smr.h>
#include <sys/socket.h>
#include <sys/socketvar.h>
#include <sys/sx.h>
#include <sys/sysctl.h>
#include <sys/time.h>
#include <sys/ucred.h>

#include <net/vnet.h>
#include <netinet/in.h>
#include <netinet/in_pcb.h>
#include <netinet/in_systm.h>
#include <netinet/tcp.h>
#include <netinet/tcp_var.h>
#include <netinet/tcp_syncache.h>
#include <netinet6/ip6_var.h>

#include "siftr_cdev.h"

MALLOC_DEFINE(M_SIFTR_CDEV, "siftr_cdev", "TCP statistics device");

void
siftr_cdev_panic(void)
{
	panic("siftr_cdev: panic in the Rust part");
}

/* Memory. */
void *
siftr_cdev_malloc(size_t size, int flags)
{
	return (malloc(size, M_SIFTR_CDEV, flags));
}

void
siftr_cdev_free(void *memory)
{
	free(memory, M_SIFTR_CDEV);
}

/* Locks. */

/*
 * A kernel without INVARIANTS lets the owner of a mutex lock it again.  In Rust
 * the value that it protects would then have two exclusive references.
 */
void
siftr_cdev_mtx_lock(struct mtx *m)
{
	if (mtx_owned(m))
		panic("siftr_cdev: mutex is locked recursively");
	mtx_lock(m);
}

void
siftr_cdev_mtx_unlock(struct mtx *m)
{
	mtx_unlock(m);
}

void
siftr_cdev_sx_init(struct sx *sx)
{
	sx_init(sx, "siftr_cdev reader");
}

void
siftr_cdev_sx_destroy(struct sx *sx)
{
	sx_destroy(sx);
}

/* Fails if this thread already holds the lock, for the same reason. */
int
siftr_cdev_sx_lock_sig(struct sx *sx)
{
	if (sx_xlocked(sx))
		return (EDEADLK);
	return (sx_xlock_sig(sx));
}

/* For the lock of the ledger.  Panics if this thread already holds it. */
void
siftr_cdev_sx_lock(struct sx *sx)
{
	if (sx_xlocked(sx))
		panic("siftr_cdev: sx lock is locked recursively");
	sx_xlock(sx);
}

void
siftr_cdev_sx_unlock(struct sx *sx)
{
	sx_xunlock(sx);
}

/* The running thread. */
uint32_t
siftr_cdev_uid(void)
{
	return (curthread->td_ucred->cr_uid);
}

/*
 * The outermost jail: a jail could otherwise evade its limits by creating
 * jails.  A prison holds a reference to its parent.
 */
uint32_t
siftr_cdev_jid(void)
{
	struct prison *pr;

	pr = curthread->td_ucred->cr_prison;
	while (pr->pr_parent != NULL && pr->pr_parent != &prison0)
		pr = pr->pr_parent;
	return (pr->pr_id);
}

int
siftr_cdev_is_host_root(void)
{
	return (!jailed(curthread->td_ucred) &&
	    priv_check(curthread, PRIV_NETINET_GETCRED) == 0);
}

int
siftr_cdev_signal_pending(void)
{
	return (td_ast_pending(curthread, TDA_SIG) ||
	    td_ast_pending(curthread, TDA_SUSPEND));
}

/* Whether the process is being killed: no signal handler can catch that. */
int
siftr_cdev_killed(void)
{
	return (P_KILLED(curproc) != 0);
}

/*
 * The condition that makes a thread in user mode call the scheduler: its time
 * slice is over, or a thread of higher priority is ready.  should_yield() would
 * let that thread wait for up to 200 ms.
 */
int
siftr_cdev_wants_to_yield(void)
{
	return (td_ast_pending(curthread, TDA_SCHED));
}

/* How many times the thread has lost the CPU, voluntarily or not. */
uint64_t
siftr_cdev_switches(void)
{
	return ((uint64_t)curthread->td_ru.ru_nvcsw +
	    curthread->td_ru.ru_nivcsw);
}

void
siftr_cdev_yield(void)
{
	kern_yield(PRI_USER);
}

int
siftr_cdev_pause_ns(uint64_t ns)
{
	int error;

	error = pause_sbt("tcpstats", nstosbt(ns), 0, C_CATCH);
	return (error == EWOULDBLOCK ? 0 : error);
}

/* Sleeps for a tick, whatever signals arrive. */
void
siftr_cdev_pause_tick(void)
{
	(void)pause_sbt("tcpstats", SBT_1S / hz, 0, C_HARDCLOCK);
}

/* Time. */
uint64_t
siftr_cdev_uptime_ns(void)
{
	struct timespec ts;

	nanouptime(&ts);
	return ((uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

uint64_t
siftr_cdev_wall_ns(void)
{
	struct timespec ts;

	nanotime(&ts);
	return ((uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

int64_t
siftr_cdev_sbinuptime(void)
{
	return (sbinuptime());
}

/*
 * Waits until every CPU has been idle once.  By then every thread that was
 * about to return from the module's code has done so.
 */
int
siftr_cdev_quiesce(void)
{
	return (quiesce_all_cpus("siftr_cdev", PCATCH));
}

/* Connections. */
uint32_t
siftr_cdev_tcb_count(void)
{
	return (V_tcbinfo.ipi_count +
	    counter_u64_fetch(V_tcps_states[TCPS_SYN_RECEIVED]));
}

/*
 * Whether a timer of the connection is about to fire, and would be lost if it
 * found the connection locked.
 *
 * A callout with CALLOUT_TRYLOCK whose lock is held is tried again after half of
 * its precision.  In 15.0, tcp_timer_next() adds the last precision of a stopped
 * timer to the timer's time, SBT_MAX.  The sum overflows, and the callout's
 * precision becomes almost SBT_MAX.
 *
 * The connection may be unlocked, so this reads only integers.
 */
int
siftr_cdev_timer_is_due(const struct inpcb *inp)
{
#ifdef CALLOUT_TRYLOCK
	const struct callout *timer =
	    &__containerof(inp, const struct tcpcb, t_inpcb)->t_callout;

	if (__predict_true(timer->c_precision < SBT_MAX / 2) ||
	    !callout_pending(timer))
		return (0);
	/* The clock may be a tick late, and the walk may be interrupted. */
	return (timer->c_time <= getsbinuptime() + 3 * (SBT_1S / hz));
#else
	(void)inp;
	return (0);
#endif
}

/* The bit of a connection in siftr_cdev_selection.restless. */
uint32_t
siftr_cdev_restless_bit(const struct inpcb *inp)
{
	return ((uintptr_t)inp * 0x9e3779b97f4a7c15 >> 48) %
	    SIFTR_CDEV_RESTLESS;
}

/*
 * Whether the connection is as it was at the last walk, which started at `since`.
 *
 * The TCP stacks set t_rcvtime with the connection locked, before they process a
 * segment.  A connection that has sent anything since then either has something
 * outstanding or has received an acknowledgement.  If a socket buffer contains
 * data that the connection cannot send or that its application has not read yet,
 * or if the connection has to send an acknowledgement, then the last walk has set
 * its bit.
 *
 * The connection may be unlocked, so this reads only integers.
 */
static bool
is_quiet(const struct inpcb *inp, const struct siftr_cdev_selection *selection)
{
	const struct tcpcb *tp = __containerof(inp, const struct tcpcb, t_inpcb);
	uint32_t bit;

	if (tp->t_state < TCPS_ESTABLISHED || tp->snd_una != tp->snd_max ||
	    (int32_t)((uint32_t)tp->t_rcvtime - selection->since) >= 0 ||
	    tp->snd_wnd < tp->t_maxseg || tp->t_timers[TT_DELACK] != SBT_MAX ||
	    (tp->t_flags & (TF_ACKNOW | TF_DELACK | TF_NOPUSH | TF_TOE)) != 0 ||
	    RW_READ_VALUE(&inp->inp_lock) != RW_UNLOCKED)
		return (false);
	bit = siftr_cdev_restless_bit(inp);
	return ((selection->restless[bit / 64] >> bit % 64 & 1) == 0);
}

/*
 * Whether addresses, ports and state exclude the connection from the walk.
 *
 * Addresses and ports change only with the connection locked, for example in
 * connect(2), and are not read all at once.  If the connection is not locked
 * after they have been read, and they are still the same after that, then they
 * are those that the connection had at one time during the walk.
 *
 * The connection may be unlocked, so this reads only integers.
 */
static bool
is_excluded(const struct inpcb *inp,
    const struct siftr_cdev_selection *selection)
{
	const struct tcpcb *tp = __containerof(inp, const struct tcpcb, t_inpcb);
	const struct in_conninfo inc = inp->inp_inc;
	const uint8_t vflag = inp->inp_vflag, state = tp->t_state;

	atomic_thread_fence_acq();
	if (RW_READ_VALUE(&inp->inp_lock) != RW_UNLOCKED)
		return (false);
	atomic_thread_fence_acq();
	if (memcmp(&inc, &inp->inp_inc, sizeof(inc)) != 0 ||
	    vflag != inp->inp_vflag || state != tp->t_state)
		return (false);
	return (selection->excludes(selection->filter, &inc, vflag, state) != 0);
}

/*
 * Whether the walk has to visit the connection last.  While inp_next() waits for
 * a lock, the previous connection stays locked, and its timer could be lost.
 */
static bool
must_wait(const struct inpcb *inp)
{
#ifdef CALLOUT_TRYLOCK
	return (siftr_cdev_timer_is_due(inp) ||
	    (RW_READ_VALUE(&inp->inp_lock) & RW_LOCK_READ) == 0);
#else
	(void)inp;
	return (false);
#endif
}

/* The number of connections after which an SMR section ends. */
#define	SMR_SECTION	64

/* Counts a connection that is left out.  Returns whether a section has to end. */
static bool
ends_section(struct siftr_cdev_selection *selection)
{
	return (++selection->skipped >= SMR_SECTION);
}

/*
 * Decides whether to lock a connection now, to visit it or, with `is_rest`, only
 * to end an SMR section.  The list is in descending order of inp_gencnt.
 */
static bool
is_locked_now(const struct inpcb *inp, struct siftr_cdev_selection *selection,
    bool is_rest)
{
	struct inpcb *due = __DECONST(struct inpcb *, inp);
	uint32_t i;

	if (selection->deferred_count != 0 &&
	    inp->inp_gencnt >= selection->deferred_gencnt) {
		for (i = 0; i < selection->deferred_count; i++) {
			if (selection->deferred[i] == inp)
				return (false);
		}
	}
	if (__predict_false(must_wait(inp))) {
		/* Another one can end the section. */
		if (is_rest)
			return (false);
		if (selection->deferred_count < SIFTR_CDEV_DEFERRED) {
			/* Without references, it is being freed. */
			if (refcount_acquire_if_not_zero(&due->inp_refcount)) {
				selection->deferred[selection->deferred_count++] =
				    due;
				selection->deferred_gencnt = inp->inp_gencnt;
			}
			return (false);
		}
	}
	selection->skipped = 0;
	selection->is_rest = is_rest;
	selection->selected++;
	return (true);
}

/*
 * The part of is_selected() for a filter.  It is not inlined, so that
 * is_selected() itself saves fewer registers.
 */
static bool __noinline
is_selected_by_filter(const struct inpcb *inp,
    struct siftr_cdev_selection *selection)
{
	bool is_rest;

	is_rest = is_excluded(inp, selection);
	if (is_rest && !ends_section(selection))
		return (false);
	return (is_locked_now(inp, selection, is_rest));
}

/*
 * Decides for inp_next() whether to lock a connection now.  This is called in an
 * SMR section, in which the memory of a pcb is not reused, and again for the same
 * connections if the walk goes back.
 */
static bool
is_selected(const struct inpcb *inp, void *arg)
{
	struct siftr_cdev_selection *selection = arg;

	if (selection->restless != NULL && is_quiet(inp, selection))
		return (ends_section(selection) &&
		    is_locked_now(inp, selection, true));
	if (selection->excludes != NULL)
		return (is_selected_by_filter(inp, selection));
	return (is_locked_now(inp, selection, false));
}

void
siftr_cdev_walk_init(struct inpcb_iterator *walk,
    struct siftr_cdev_selection *selection)
{
	struct inpcb_iterator init = INP_ITERATOR(&V_tcbinfo,
	    INPLOOKUP_RLOCKPCB, is_selected, selection);

	selection->selected = 0;
	memcpy(walk, &init, sizeof(init));
}

void
siftr_cdev_pcb_unlock(struct inpcb *inp)
{
	INP_RUNLOCK(inp);
}

/* Takes a reference and unlocks; the pcb may then be freed by in_pcbfree(). */
void
siftr_cdev_pcb_hold(struct inpcb *inp)
{
	in_pcbref(inp);
	INP_RUNLOCK(inp);
}

/* Returns whether it is still in the list: in_pcbfree() clears inp_socket. */
int
siftr_cdev_pcb_lock(struct inpcb *inp)
{
	INP_RLOCK(inp);
	return (inp->inp_socket != NULL);
}

void
siftr_cdev_pcb_unlock_release(struct inpcb *inp)
{
	if (!in_pcbrele_rlocked(inp))
		INP_RUNLOCK(inp);
}

void
siftr_cdev_pcb_release(struct inpcb *inp)
{
	INP_RLOCK(inp);
	siftr_cdev_pcb_unlock_release(inp);
}

int
siftr_cdev_can_see(struct inpcb *inp)
{
	return (cr_canseeinpcb(curthread->td_ucred, inp) == 0);
}

void
siftr_cdev_socket_read(struct socket *so, struct siftr_cdev_socket *to)
{
	to->listening = SOLISTENING(so);
	if (to->listening) {
		to->qlen = so->sol_qlen;
		to->incqlen = so->sol_incqlen;
		to->qlimit = so->sol_qlimit;
	} else {
		to->snd_cc = sbused(&so->so_snd);
		to->snd_hiwat = so->so_snd.sb_hiwat;
		to->rcv_cc = sbused(&so->so_rcv);
		to->rcv_hiwat = so->so_rcv.sb_hiwat;
	}
}

uint8_t
siftr_cdev_tos(struct inpcb *inp)
{
	if ((inp->inp_vflag & INP_IPV6) == 0)
		return (inp->inp_ip_tos);
	/* -1 means the default, 0. */
	if (inp->in6p_outputopts == NULL ||
	    inp->in6p_outputopts->ip6po_tclass < 0)
		return (0);
	return (inp->in6p_outputopts->ip6po_tclass);
}

/*
 * The identifier for BBLog, of TCP_LOG_ID_LEN bytes.  The function exists only
 * in a kernel with option TCP_BLACKBOX.
 */
size_t	tcp_log_get_id(struct tcpcb *, char *) __attribute__((__weak__));

int
siftr_cdev_log_id(struct inpcb *inp, char *id)
{
	return (tcp_log_get_id != NULL &&
	    tcp_log_get_id(intotcpcb(inp), id) != 0);
}

/*
 * Calls put with each entry of the SYN cache, as a struct xtcpcb.  The lock of
 * the entry's bucket is held.
 */
void
siftr_cdev_syncache(int (*put)(struct sysctl_req *, const void *, size_t),
    void *arg)
{
	struct sysctl_req req = {
		.td = curthread,
		.oldptr = arg,
		.oldfunc = put,
	};

	(void)syncache_pcblist(&req);
}

void *
siftr_cdev_syncache_arg(struct sysctl_req *req)
{
	return (req->oldptr);
}
