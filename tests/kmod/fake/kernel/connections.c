/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Connections, the SYN cache, and the walk over both. */

#include "kernel.h"

VNET_DEFINE(struct inpcbinfo, tcbinfo);
VNET_DEFINE(counter_u64_t, tcps_states[TCP_NSTATES]);

/* A connection.  Many can share a socket. */
struct connection {
	struct tcpcb	tcb;
	struct socket	*socket;
	bool		is_one_of_many;
};

#define	PENDING		0x0004	/* CALLOUT_PENDING */

/* The same as in in_pcb.c, where it is private. */
#define	INP_FREED	0x00000200

#ifdef CALLOUT_TRYLOCK
#define	CALLOUT_LOSES	1
#else
#define	CALLOUT_LOSES	0
#endif

/* An entry of the SYN cache. */
struct half_open {
	LIST_ENTRY(half_open) link;
	struct vnet	*vnet;
	struct ucred	*cred;
	struct in_conninfo inc;
};

static LIST_HEAD(, half_open) half_open =
    LIST_HEAD_INITIALIZER(half_open);
static struct mtx bucket_lock;
static uint64_t syn_received;
static unsigned references;

static struct tcp_function_block *base_stack;
static struct cc_algo cubic = { .name = "cubic" };

void
connections_of(struct vnet *vnet)
{
	struct inpcbinfo *pcbs = VNET_VNET_PTR(vnet, tcbinfo);
	struct mtx_args args = { &bucket_lock, "tcp_sc_head", MTX_DEF };

	if (vnet == vnet0) {
		mtx_sysinit(&args);
		base_stack = stack_register("freebsd", false);
	}
	CK_LIST_INIT(&pcbs->ipi_listhead);
	pcbs->ipi_vnet = vnet;
	VNET_VNET(vnet, tcps_states)[TCPS_SYN_RECEIVED] = &syn_received;
}

uint64_t
counter_u64_fetch(counter_u64_t counter)
{
	return (*counter);
}

static void
insert(struct connection *connection, struct vnet *vnet, struct ucred *cred)
{
	struct inpcbinfo *pcbs = VNET_VNET_PTR(vnet, tcbinfo);
	struct tcpcb *tp = &connection->tcb;
	struct inpcb *inp = &tp->t_inpcb;
	unsigned i;

	pcb_lock_init(inp);
	inp->inp_pcbinfo = pcbs;
	inp->inp_cred = cred;
	inp->inp_gencnt = ++pcbs->ipi_gencnt;
	inp->inp_vflag = INP_IPV4;
	inp->inp_socket = connection->socket;
	refcount_init(&inp->inp_refcount, 1);
	tp->t_fb = base_stack;
	tp->t_cc = &cubic;
	tp->t_state = TCPS_ESTABLISHED;
	for (i = 0; i < TT_N; i++)
		tp->t_timers[i] = SBT_MAX;
	host_enter();
	CK_LIST_INSERT_HEAD(&pcbs->ipi_listhead, inp, inp_list);
	pcbs->ipi_count++;
	host_leave();
}

static struct socket *
new_socket(void)
{
	struct socket *socket = guarded(sizeof(*socket));

	memset(socket, 0, sizeof(*socket));
	return (socket);
}

void *
fake_pcb(void *vnet, void *cred)
{
	struct connection *connection = guarded(sizeof(*connection));

	memset(connection, 0, sizeof(*connection));
	connection->socket = new_socket();
	insert(connection, vnet != NULL ? vnet : vnet0, cred);
	return (connection);
}

/*
 * Sets realistic values, with about the same number of digits for each
 * connection.
 */
static void
make_busy(struct tcpcb *tp, unsigned long i)
{
	struct in_endpoints *ends = &tp->t_inpcb.inp_inc.inc_ie;

	ends->ie_dependladdr.id46_addr.ia46_addr4.s_addr = htonl(0xc0000201);
	ends->ie_dependfaddr.id46_addr.ia46_addr4.s_addr =
	    htonl(0x0a000000 + i);
	ends->ie_lport = htons(443);
	ends->ie_fport = htons(1024 + i % 60000);
	tp->t_maxseg = 1448;
	tp->t_flags = TF_REQ_SCALE | TF_RCVD_SCALE | TF_REQ_TSTMP |
	    TF_RCVD_TSTMP | TF_SACK_PERMIT;
	tp->iss = i * 2654435761;
	tp->t_sndbytes = 123456 + i;
	tp->snd_nxt = tp->snd_max = tp->iss + 1 + tp->t_sndbytes;
	tp->snd_una = tp->snd_max - 14480;
	tp->irs = i * 40503;
	tp->rcv_nxt = tp->irs + 1 + 512;
	tp->rcv_adv = tp->rcv_nxt + 65535;
	tp->snd_cwnd = 28960 + i % 65536;
	tp->snd_ssthresh = 1073725440;
	tp->snd_wnd = tp->max_sndwnd = tp->rcv_wnd = 65535;
	tp->t_pacing_rate = -1;
	tp->t_srtt = 40 << TCP_RTT_SHIFT;
	tp->t_rttupdated = 1;
	tp->t_rttvar = 5 << TCP_RTTVAR_SHIFT;
	tp->t_rttlow = 21;
	tp->t_rxtcur = 230;
	tp->t_starttime = 1000;
	tp->t_rcvtime = tp->t_sndtime = ticks - i % 5000;
	tp->t_timers[TT_KEEP] = 7200 * SBT_1S;
	tp->t_timers[TT_REXMT] = 300 * SBT_1S;
}

/* Makes all connections of the host idle. */
void
fake_pcbs_rest(void)
{
	struct inpcbinfo *pcbs = VNET_VNET_PTR(vnet0, tcbinfo);
	struct inpcb *inp;

	CK_LIST_FOREACH(inp, &pcbs->ipi_listhead, inp_list) {
		intotcpcb(inp)->snd_una = intotcpcb(inp)->snd_max;
		intotcpcb(inp)->t_rcvtime = ticks - 10000;
	}
}

/*
 * Creates many connections, which would need too much memory with a page each.
 */
void
fake_pcbs(void *vnet, void *cred, unsigned long count)
{
	struct connection *connections;
	struct socket *socket = new_socket();
	unsigned long i;

	connections = host_map(count * sizeof(*connections));
	for (i = 0; i < count; i++) {
		connections[i].socket = socket;
		connections[i].is_one_of_many = true;
		insert(&connections[i], vnet != NULL ? vnet : vnet0, cred);
		make_busy(&connections[i].tcb, i);
	}
}

unsigned
references_alive(void)
{
	return (references);
}

/*
 * in_pcbfree(): removes a connection from the list.  If there is no reference,
 * its memory is freed and any access faults.  Otherwise its link becomes
 * invalid.
 */
int
fake_pcb_free(void *pcb)
{
	struct connection *connection = pcb;
	struct inpcb *inp = &connection->tcb.t_inpcb;

	if (connection->is_one_of_many)
		fail("the test frees a connection of fake_pcbs()");
	host_enter();
	if (pcb_is_locked(inp)) {
		host_leave();
		return (0);
	}
	CK_LIST_REMOVE(inp, inp_list);
	inp->inp_list.cle_next = (void *)0xdeadc0dedeadc0de;
	inp->inp_pcbinfo->ipi_count--;
	inp->inp_gencnt = ++inp->inp_pcbinfo->ipi_gencnt;
	inp->inp_flags |= INP_FREED;
	inp->inp_socket = NULL;
	connection->tcb.t_callout.c_iflags &= ~PENDING;
	guarded_free(connection->socket);
	if (refcount_release(&inp->inp_refcount))
		guarded_free(connection);
	host_leave();
	return (1);
}

void
in_pcbref(struct inpcb *inp)
{
	if (!pcb_is_rlocked(inp))
		fail("in_pcbref() of a connection that is not locked");
	host_enter();
	refcount_acquire(&inp->inp_refcount);
	references++;
	host_leave();
}

bool
in_pcbrele_rlocked(struct inpcb *inp)
{
	bool was_last;

	if (!pcb_is_rlocked(inp))
		fail("in_pcbrele_rlocked() of a connection that is not locked");
	host_enter();
	references--;
	was_last = refcount_release(&inp->inp_refcount);
	if (was_last) {
		if ((inp->inp_flags & INP_FREED) == 0)
			fail("the last reference to a connection in the list "
			    "is dropped");
		INP_RUNLOCK(inp);
		/*
		 * Another reader that has dropped its reference may not have
		 * unlocked it yet.  A zone keeps the memory.
		 */
		if (!pcb_is_locked(inp))
			guarded_free(__containerof(inp, struct connection,
			    tcb.t_inpcb));
	}
	host_leave();
	return (was_last);
}

#define	TCPCB(name)	{ #name, false, __offsetof(struct tcpcb, name),	\
    sizeof(((struct tcpcb *)0)->name) },
#define	INPCB(name)	{ #name, false, __offsetof(struct tcpcb, t_inpcb.name), \
    sizeof(((struct tcpcb *)0)->t_inpcb.name) },
#define	SOCKET(name)	{ #name, true, __offsetof(struct socket, name),	\
    sizeof(((struct socket *)0)->name) },

/* The members of a connection that the module reads. */
#define	MEMBER(structure, name)		MEMBER_##structure(name)
#define	MEMBER_tcpcb(name)		TCPCB(name)
#define	MEMBER_inpcb(name)		INPCB(name)
#define	MEMBER_cc_algo(name)
#define	MEMBER_in_conninfo(name)
#define	MEMBER_in_endpoints(name)
#define	MEMBER_inpcb_iterator(name)
#define	MEMBER_prison(name)
#define	MEMBER_tcp_function_block(name)
#define	MEMBER_ucred(name)
#define	MEMBER_uio(name)
#define	MEMBER_xinpcb(name)
#define	MEMBER_xtcpcb(name)

static const struct {
	const char	*name;
	bool		of_socket;
	size_t		offset, size;
} members[] = {
#include "members.h"
	INPCB(inp_inc.inc_fibnum)
	INPCB(inp_ip_tos)
	TCPCB(sackhint.sack_bytes_rexmit)
	TCPCB(sackhint.sacked_bytes)
	TCPCB(t_fb_ptr)
	TCPCB(t_timers[TT_2MSL])
	TCPCB(t_timers[TT_DELACK])
	TCPCB(t_timers[TT_KEEP])
	TCPCB(t_timers[TT_PERSIST])
	TCPCB(t_timers[TT_REXMT])
	SOCKET(so_error)
	SOCKET(so_options)
	SOCKET(so_rcv.sb_ccc)
	SOCKET(so_rcv.sb_hiwat)
	SOCKET(so_snd.sb_ccc)
	SOCKET(so_snd.sb_hiwat)
	SOCKET(sol_incqlen)
	SOCKET(sol_qlen)
	SOCKET(sol_qlimit)
};

static void *
member(struct connection *connection, const char *name, size_t *size)
{
	char *base;
	unsigned i;

	for (i = 0; i < nitems(members); i++) {
		if (strcmp(members[i].name, name) == 0) {
			*size = members[i].size;
			base = members[i].of_socket ?
			    (char *)connection->socket :
			    (char *)&connection->tcb;
			return (base + members[i].offset);
		}
	}
	fail("the fake kernel cannot set member %s", name);
}

/* Returns the options of IPv6 packets, which are allocated when one is set. */
static struct ip6_pktopts *
options(struct connection *connection)
{
	struct inpcb *inp = &connection->tcb.t_inpcb;

	if (inp->in6p_outputopts == NULL) {
		inp->in6p_outputopts = guarded(sizeof(struct ip6_pktopts));
		memset(inp->in6p_outputopts, 0, sizeof(struct ip6_pktopts));
	}
	return (inp->in6p_outputopts);
}

void
fake_pcb_set(void *pcb, const char *name, unsigned long value)
{
	struct connection *connection = pcb;
	size_t size;
	void *at;

	/* Bit-fields have no address. */
	if (strcmp(name, "t_state") == 0)
		connection->tcb.t_state = value;
	else if (strcmp(name, "t_maxseg") == 0)
		connection->tcb.t_maxseg = value;
	else if (strcmp(name, "t_port") == 0)
		connection->tcb.t_port = htons(value);
	else if (strcmp(name, "ip6po_tclass") == 0)
		options(connection)->ip6po_tclass = (int)value;
	else {
		at = member(connection, name, &size);
		if (size > sizeof(value))
			fail("%s is not a number", name);
		memcpy(at, &value, size);
		/* Each measurement is counted. */
		if (strcmp(name, "t_srtt") == 0)
			connection->tcb.t_rttupdated = value != 0;
	}
}

static void
set_ends(struct in_conninfo *inc, bool v6, const unsigned char *laddr,
    unsigned lport, const unsigned char *faddr, unsigned fport)
{
	struct in_endpoints *ends = &inc->inc_ie;

	ends->ie_lport = htons(lport);
	ends->ie_fport = htons(fport);
	if (v6) {
		inc->inc_flags |= INC_ISIPV6;
		memcpy(&ends->ie6_laddr, laddr, 16);
		memcpy(&ends->ie6_faddr, faddr, 16);
	} else {
		/* The bytes before an IPv4 address are undefined. */
		memset(&ends->ie_dependladdr, 0xee, 16);
		memset(&ends->ie_dependfaddr, 0xee, 16);
		memcpy(&ends->ie_laddr, laddr + 12, 4);
		memcpy(&ends->ie_faddr, faddr + 12, 4);
	}
}

void
fake_pcb_endpoints(void *pcb, int vflag, const unsigned char *laddr,
    unsigned lport, const unsigned char *faddr, unsigned fport)
{
	struct inpcb *inp = &((struct connection *)pcb)->tcb.t_inpcb;

	inp->inp_vflag = vflag;
	set_ends(&inp->inp_inc, (vflag & INP_IPV6) != 0, laddr, lport, faddr,
	    fport);
}

/*
 * RACK's own function.  Here it returns what the test has set as RACK's data.
 */
static int
rack_compute_pipe(struct tcpcb *tp)
{
	return ((int)(uintptr_t)tp->t_fb_ptr);
}

void
fake_pcb_stack(void *pcb, const char *stack, const char *cc)
{
	struct tcpcb *tp = &((struct connection *)pcb)->tcb;
	struct tcp_function_block *fb = stack_find(stack);
	struct cc_algo *algo = guarded(sizeof(*algo));

	if (fb == NULL)
		fb = stack_register(stack, true);
	memset(algo, 0, sizeof(*algo));
	strncpy(algo->name, cc, sizeof(algo->name));
	if (strcmp(stack, "rack") == 0)
		fb->tfb_compute_pipe = rack_compute_pipe;
	tp->t_fb = fb;
	tp->t_cc = algo;
}

/*
 * The identifier for BBLog.  One of the fake kernels is built without the
 * option TCP_BLACKBOX, so that a module which requires it cannot be loaded.
 */
#if __FreeBSD_version < 1500000
#define	HAS_LOG_IDS	1

struct tcp_log_id_bucket {
	char	tlb_id[TCP_LOG_ID_LEN];
};

size_t
tcp_log_get_id(struct tcpcb *tp, char *buf)
{
	if (!pcb_is_locked(&tp->t_inpcb))
		fail("tcp_log_get_id() of a connection that is not locked");
	if (tp->t_lib == NULL) {
		*buf = '\0';
		return (0);
	}
	memcpy(buf, tp->t_lib->tlb_id, strlen(tp->t_lib->tlb_id) + 1);
	return (strlen(buf));
}

void
fake_pcb_log_id(void *pcb, const char *id)
{
	struct tcpcb *tp = &((struct connection *)pcb)->tcb;

	tp->t_lib = guarded(sizeof(*tp->t_lib));
	memset(tp->t_lib, 0, sizeof(*tp->t_lib));
	strncpy(tp->t_lib->tlb_id, id, TCP_LOG_ID_LEN - 1);
}
#else
#define	HAS_LOG_IDS	0

void
fake_pcb_log_id(void *pcb __unused, const char *id __unused)
{
	fail("the kernel has no option TCP_BLACKBOX");
}
#endif

int
fake_log_ids(void)
{
	return (HAS_LOG_IDS);
}

/* The state after tcp_discardcb(): the stack may be unloaded at any time. */
void
fake_pcb_drop(void *pcb)
{
	struct tcpcb *tp = &((struct connection *)pcb)->tcb;
	void *gone = guarded(sizeof(struct tcp_function_block));

	guarded_free(gone);
	tp->t_fb = gone;
	tp->t_cc = NULL;
	tp->t_state = TCPS_CLOSED;
	tp->t_inpcb.inp_flags |= INP_DROPPED;
}

/* The socket is closed, as for a connection in TIME_WAIT. */
void
fake_pcb_detach(void *pcb)
{
	((struct connection *)pcb)->tcb.t_inpcb.inp_socket = NULL;
}

/*
 * The timer of a connection.  As in 15.0, it is lost if it fires while the
 * connection is locked, unless its precision is that of an ordinary timer.
 */
static bool softclock_runs = true;
static unsigned timers_lost;

static bool
has_timer_within(const struct inpcb *inp, unsigned long ns)
{
	const struct callout *timer =
	    &__containerof(inp, const struct tcpcb, t_inpcb)->t_callout;

	return ((timer->c_iflags & PENDING) != 0 &&
	    timer->c_time <= nstosbt(fake_clock_now() + ns));
}

static bool
may_lose_timer(const struct inpcb *inp)
{
	return (fake_loses_timers() && __containerof(inp, const struct tcpcb,
	    t_inpcb)->t_callout.c_precision > SBT_MAX / 2);
}

int
fake_loses_timers(void)
{
	return (CALLOUT_LOSES);
}

void
fake_pcb_timer(void *pcb, unsigned long in_ns, int is_ordinary)
{
	struct callout *timer = &((struct connection *)pcb)->tcb.t_callout;

	timer->c_iflags |= PENDING;
	timer->c_time = nstosbt(fake_clock_now() + in_ns);
	timer->c_precision = is_ordinary ? SBT_1MS : SBT_MAX - timer->c_time;
}

void
fake_softclock(int runs)
{
	softclock_runs = runs;
}

unsigned
fake_timers_lost(void)
{
	return (timers_lost);
}

/* Time has passed. */
void
timers_fire(void)
{
	struct inpcbinfo *pcbs = VNET_VNET_PTR(vnet0, tcbinfo);
	struct inpcb *inp;

	if (!softclock_runs)
		return;
	host_enter();
	CK_LIST_FOREACH(inp, &pcbs->ipi_listhead, inp_list) {
		if (!has_timer_within(inp, 0))
			continue;
		if (pcb_is_locked(inp) && may_lose_timer(inp))
			timers_lost++;
		intotcpcb(inp)->t_callout.c_iflags &= ~PENDING;
	}
	host_leave();
}

/*
 * Calls the function of an iterator that selects connections.  It can take a
 * reference.
 */
static bool
matches(const struct inpcb_iterator *ii, struct inpcb *inp)
{
	unsigned before = refcount_load(&inp->inp_refcount);
	bool matched;

	if (ii->match == NULL)
		return (true);
	this_thread()->smr_sections++;
	matched = ii->match(inp, ii->ctx);
	this_thread()->smr_sections--;
	references += refcount_load(&inp->inp_refcount) - before;
	return (matched);
}

static bool
is_listed(const struct inpcbinfo *pcbs, const struct inpcb *inp)
{
	const struct inpcb *listed;

	CK_LIST_FOREACH(listed, &pcbs->ipi_listhead, inp_list) {
		if (listed == inp)
			return (true);
	}
	return (false);
}

/* Fails if the connection is freed before it is locked. */
static bool
lock_or_wait(const struct inpcbinfo *pcbs, struct inpcb *inp)
{
	if (run_hook(HOOK_LOCK) && !is_listed(pcbs, inp))
		return (false);
	while (!pcb_try_rlock(inp)) {
		pcb_wait();
		if (!is_listed(pcbs, inp))
			return (false);
	}
	return (true);
}

/*
 * The next connection is locked before the last is unlocked.  Connections are
 * inserted at the head, so a walk does not visit new ones.
 */
struct inpcb *
inp_next(struct inpcb_iterator *ii)
{
	struct inpcb *last = ii->inp, *next;

	if (curthread->td_vnet == NULL)
		fail("inp_next() without a current network stack");
	if (ii->ipi != &V_tcbinfo)
		fail("inp_next() over a network stack that is not current");
	if (ii->hash != INP_ALL_LIST || ii->lock != INPLOOKUP_RLOCKPCB)
		fail("inp_next() with an unsupported iterator");
	if (last != NULL && !pcb_is_rlocked(last))
		fail("inp_next() after a connection that is not locked");
	if (last != NULL && (last->inp_flags & INP_FREED) != 0)
		fail("inp_next() after a connection that is not in the list");
	if (last == NULL)
		may_sleep("inp_next() starts a walk");
	host_enter();
	next = NULL;
	do {
		if (last != NULL)
			next = CK_LIST_NEXT(last, inp_list);
		else {
			/* As in in_pcb.c, the second try skips the first. */
			bool is_second = next != NULL;

			next = CK_LIST_FIRST(&ii->ipi->ipi_listhead);
			if (is_second && next != NULL)
				next = CK_LIST_NEXT(next, inp_list);
		}
		while (next != NULL && !matches(ii, next))
			next = CK_LIST_NEXT(next, inp_list);
	} while (next != NULL && !lock_or_wait(ii->ipi, next));
	if (last != NULL)
		INP_RUNLOCK(last);
	ii->inp = next;
	if (next != NULL)
		count_call("inp_next");
	/* The timer could fire before the connection is unlocked. */
	if (next != NULL && has_timer_within(next, 1000000000 / hz) &&
	    may_lose_timer(next))
		timers_lost++;
	host_leave();
	run_hook(HOOK_WALK);
	return (next);
}

uint32_t
tcp_get_srtt(struct tcpcb *tp, int granularity)
{
	uint64_t srtt = (uint32_t)tp->t_srtt;

	if (!pcb_is_rlocked(&tp->t_inpcb))
		fail("tcp_get_srtt() of a connection that is not locked");
	if (granularity != TCP_TMR_GRANULARITY_USEC)
		fail("tcp_get_srtt(%d): the record is in microseconds",
		    granularity);
	if (tp->t_tmr_granularity == TCP_TMR_GRANULARITY_USEC)
		return (srtt);
	return (srtt * 1000000 / hz >> TCP_RTT_SHIFT);
}

int
tcp_compute_pipe(struct tcpcb *tp)
{
	count_call("tcp_compute_pipe");
	if (!pcb_is_rlocked(&tp->t_inpcb))
		fail("tcp_compute_pipe() of a connection that is not locked");
	/* Faults if the stack has dropped the connection. */
	if (tp->t_fb->tfb_compute_pipe != NULL)
		return (tp->t_fb->tfb_compute_pipe(tp));
	return (tp->snd_max - tp->snd_una + tp->sackhint.sack_bytes_rexmit -
	    tp->sackhint.sacked_bytes);
}

void
fake_half_open(void *vnet, void *cred, int v6, const unsigned char *laddr,
    unsigned lport, const unsigned char *faddr, unsigned fport)
{
	struct half_open *entry = guarded(sizeof(*entry));

	memset(entry, 0, sizeof(*entry));
	entry->vnet = vnet != NULL ? vnet : vnet0;
	entry->cred = cred;
	set_ends(&entry->inc, v6, laddr, lport, faddr, fport);
	LIST_INSERT_HEAD(&half_open, entry, link);
	syn_received++;
}

int
syncache_pcblist(struct sysctl_req *req)
{
	struct half_open *entry;
	struct xtcpcb xt;
	int error;

	memset(&xt, 0, sizeof(xt));
	xt.xt_len = sizeof(xt);
	xt.t_state = TCPS_SYN_RECEIVED;
	error = 0;
	mtx_lock(&bucket_lock);
	LIST_FOREACH(entry, &half_open, link) {
		if (entry->vnet != curvnet ||
		    cr_cansee(req->td->td_ucred, entry->cred) != 0)
			continue;
		xt.xt_inp.inp_vflag = (entry->inc.inc_flags & INC_ISIPV6) != 0 ?
		    INP_IPV6 : INP_IPV4;
		xt.xt_inp.inp_inc = entry->inc;
		error = SYSCTL_OUT(req, &xt, sizeof(xt));
		if (error != 0)
			break;
	}
	mtx_unlock(&bucket_lock);
	return (0);
}
