/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What only C can say: linker sets (module, malloc type, sysctls, probes),
 * macros and static inline functions.  Everything else is Rust, in src/.
 */

/*
 * Modules built outside a kernel's build have no such option, and every
 * GENERIC kernel has: without it the probes would not be there.
 */
#ifndef KDTRACE_HOOKS
#define	KDTRACE_HOOKS	1
#endif

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/callout.h>
#include <sys/conf.h>
#include <sys/epoch.h>
#include <sys/eventhandler.h>
#include <sys/jail.h>
#include <sys/kernel.h>
#include <sys/limits.h>
#include <sys/linker.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/module.h>
#include <sys/mutex.h>
#include <sys/poll.h>
#include <sys/priv.h>
#include <sys/proc.h>
#include <sys/protosw.h>
#include <sys/rwlock.h>
#include <sys/sdt.h>
#include <sys/selinfo.h>
#include <sys/signalvar.h>
#include <sys/smp.h>
#include <sys/smr.h>
#include <sys/socket.h>
#include <sys/socketvar.h>
#include <sys/sx.h>
#include <sys/sysctl.h>
#include <sys/time.h>
#include <sys/ucred.h>

#include <net/if.h>
#include <net/if_var.h>
#include <net/vnet.h>
#include <netinet/in.h>
#include <netinet/in_pcb.h>
#include <netinet/in_systm.h>
#include <netinet/tcp.h>
#include <netinet/tcp_var.h>
#include <netinet/tcp_syncache.h>
#include <netinet6/ip6_var.h>

#include "siftr_cdev.h"

const char siftr_cdev_version[] = SIFTR_CDEV_VERSION;

static MALLOC_DEFINE(M_SIFTR_CDEV, "siftr_cdev", "TCP statistics device");

static struct mtx siftr_cdev_registry;
MTX_SYSINIT(siftr_cdev_registry, &siftr_cdev_registry, "siftr_cdev registry",
    MTX_DEF);

/* Sysctls and tunables, siftr_cdev(4). */
struct siftr_cdev_counters siftr_cdev_counters;
u_long siftr_cdev_snapshot_bytes_max = 256UL << 20;
u_long siftr_cdev_total_bytes_max = 512UL << 20;
u_long siftr_cdev_reserved_bytes = 256UL << 20;
u_long siftr_cdev_jail_bytes_max = 192UL << 20;
u_long siftr_cdev_user_bytes_max = 128UL << 20;
u_int siftr_cdev_opens_per_user_max = 32;
u_int siftr_cdev_interval_min_us = 1000;
u_int siftr_cdev_walk_percent_max = 50;
static u_int siftr_cdev_mode = 0440;
static u_int siftr_cdev_gid = GID_WHEEL;

SYSCTL_DECL(_net_inet);
SYSCTL_NODE(_net_inet, OID_AUTO, siftr_cdev, CTLFLAG_RW | CTLFLAG_MPSAFE, NULL,
    "TCP statistics device");
SYSCTL_STRING(_net_inet_siftr_cdev, OID_AUTO, version, CTLFLAG_RD,
    __DECONST(char *, siftr_cdev_version), 0, "Version of the module");

#define	COUNTER(name, descr)						\
	SYSCTL_U64(_net_inet_siftr_cdev, OID_AUTO, name,		\
	    CTLFLAG_RD, &siftr_cdev_counters.name, 0, descr)
COUNTER(snapshots, "Snapshots taken");
COUNTER(records, "Records in all snapshots");
COUNTER(bytes, "Bytes read from the device");
COUNTER(missed, "Connections without a record, for want of memory");
COUNTER(walk_last_ns, "Duration of the last walk, nanoseconds");
COUNTER(walk_max_ns, "Duration of the longest walk, nanoseconds");
COUNTER(hold_max_ns, "Longest hold of the CPU by a read, nanoseconds");
COUNTER(open, "Open descriptors");
COUNTER(memory_bytes, "Bytes of memory that snapshots hold now");
#undef	COUNTER

SYSCTL_ULONG(_net_inet_siftr_cdev, OID_AUTO, snapshot_bytes_max, CTLFLAG_RWTUN,
    &siftr_cdev_snapshot_bytes_max, 0, "Most bytes of memory of one snapshot");
SYSCTL_ULONG(_net_inet_siftr_cdev, OID_AUTO, total_bytes_max, CTLFLAG_RWTUN,
    &siftr_cdev_total_bytes_max, 0, "Most bytes of memory of all snapshots");
SYSCTL_ULONG(_net_inet_siftr_cdev, OID_AUTO, reserved_bytes, CTLFLAG_RWTUN,
    &siftr_cdev_reserved_bytes, 0,
    "Part of total_bytes_max that is reserved for root of the host");
SYSCTL_ULONG(_net_inet_siftr_cdev, OID_AUTO, jail_bytes_max, CTLFLAG_RWTUN,
    &siftr_cdev_jail_bytes_max, 0,
    "Maximum memory for the snapshots of all users of a jail, in bytes");
SYSCTL_ULONG(_net_inet_siftr_cdev, OID_AUTO, user_bytes_max, CTLFLAG_RWTUN,
    &siftr_cdev_user_bytes_max, 0,
    "Maximum memory for all snapshots of a user, in bytes");
SYSCTL_UINT(_net_inet_siftr_cdev, OID_AUTO, opens_per_user_max, CTLFLAG_RWTUN,
    &siftr_cdev_opens_per_user_max, 0,
    "Most open descriptors of a user; does not bind root of the host");
SYSCTL_UINT(_net_inet_siftr_cdev, OID_AUTO, interval_min_us, CTLFLAG_RWTUN,
    &siftr_cdev_interval_min_us, 0,
    "Least microseconds between two snapshots of a user; does not bind root of"
    " the host");
SYSCTL_UINT(_net_inet_siftr_cdev, OID_AUTO, walk_percent_max, CTLFLAG_RWTUN,
    &siftr_cdev_walk_percent_max, 0,
    "Maximum share of one CPU for a user's walks, in percent; not for root of"
    " the host");
SYSCTL_UINT(_net_inet_siftr_cdev, OID_AUTO, mode, CTLFLAG_RDTUN,
    &siftr_cdev_mode, 0, "Permissions of /dev/tcpstats");
SYSCTL_UINT(_net_inet_siftr_cdev, OID_AUTO, gid, CTLFLAG_RDTUN,
    &siftr_cdev_gid, 0, "Group of /dev/tcpstats");

static int
siftr_cdev_sysctl_text(SYSCTL_HANDLER_ARGS)
{
	const size_t len = 2048;	/* TCPSTATS_COLUMNS_LEN */
	char *text;
	int error;

	text = malloc(len, M_SIFTR_CDEV, M_WAITOK | M_ZERO);
	siftr_cdev_get_text(text, len);
	error = sysctl_handle_string(oidp, text, len, req);
	if (error == 0 && req->newptr != NULL)
		error = siftr_cdev_set_text(text, len);
	free(text, M_SIFTR_CDEV);
	return (error);
}
SYSCTL_PROC(_net_inet_siftr_cdev, OID_AUTO, text,
    CTLTYPE_STRING | CTLFLAG_RW | CTLFLAG_MPSAFE, NULL, 0,
    siftr_cdev_sysctl_text, "A",
    "Columns of the text: basic, all, or names with commas between");

/* Probes for dtrace(1). */
SDT_PROVIDER_DEFINE(siftr_cdev);
SDT_PROBE_DEFINE2(siftr_cdev, , , snapshot__start, "uint64_t", "uint64_t");
SDT_PROBE_DEFINE5(siftr_cdev, , , snapshot__done, "uint64_t", "uint64_t",
    "uint64_t", "uint64_t", "uint64_t");
SDT_PROBE_DEFINE2(siftr_cdev, , , record__skip, "struct inpcb *", "int");

void
siftr_cdev_probe_start(uint64_t sequence, uint64_t expected)
{
	SDT_PROBE2(siftr_cdev, , , snapshot__start, sequence, expected);
}

void
siftr_cdev_probe_done(uint64_t sequence, uint64_t seen, uint64_t written,
    uint64_t missed, uint64_t walk_ns)
{
	SDT_PROBE5(siftr_cdev, , , snapshot__done, sequence, seen, written,
	    missed, walk_ns);
}

void
siftr_cdev_probe_skip(struct inpcb *inp, int why)
{
	SDT_PROBE2(siftr_cdev, , , record__skip, inp, why);
}

/* The device. */
static struct cdevsw siftr_cdev_cdevsw = {
	.d_version =	D_VERSION,
	/* Every close comes in, so that destroy_dev() waits for each of them. */
	.d_flags =	D_TRACKCLOSE,
	.d_name =	"tcpstats",
	.d_open =	siftr_cdev_open,
	.d_close =	siftr_cdev_close,
	.d_read =	siftr_cdev_read,
	.d_ioctl =	siftr_cdev_ioctl,
	.d_poll =	siftr_cdev_poll,
};

static struct cdev *siftr_cdev_dev;

/*
 * Threads that wait in poll(2), on any descriptor.  The callout wakes all of
 * them when the first one can read; the others wait again.
 */
static struct selinfo siftr_cdev_pollers;
static struct callout siftr_cdev_poll_callout;
static sbintime_t siftr_cdev_poll_due;

static void
siftr_cdev_poll_wake(void *arg __unused)
{
	selwakeup(&siftr_cdev_pollers);
}

int
siftr_cdev_poll_readable(int events)
{
	return (events & (POLLIN | POLLRDNORM));
}

/* The registry is locked, so no wakeup is lost. */
void
siftr_cdev_poll_later(struct thread *td, uint64_t ns)
{
	sbintime_t due;

	mtx_assert(&siftr_cdev_registry, MA_OWNED);
	selrecord(td, &siftr_cdev_pollers);
	due = sbinuptime() + nstosbt(ns);
	if (callout_pending(&siftr_cdev_poll_callout) &&
	    siftr_cdev_poll_due <= due)
		return;
	siftr_cdev_poll_due = due;
	callout_reset_sbt(&siftr_cdev_poll_callout, due, 0,
	    siftr_cdev_poll_wake, NULL, C_ABSOLUTE);
}

/*
 * kldunload(8) first calls the handlers of kld_unload_try, then MOD_QUIESCE.
 * The handler of sdt(9) unregisters the module's probes unless a handler before
 * it has refused, and a refusal by MOD_QUIESCE does not bring them back.  So
 * the module refuses here, before sdt, and accepts no new descriptors from then
 * on.  If another handler refuses, the last handler accepts them again.
 */
static linker_file_t siftr_cdev_file;
static eventhandler_tag siftr_cdev_try_first, siftr_cdev_try_last;
static eventhandler_tag siftr_cdev_lowmem_tag;

static void
siftr_cdev_lowmem(void *arg __unused, int why __unused)
{
	siftr_cdev_release_memory();
}

static void
siftr_cdev_unload_try(void *arg __unused, linker_file_t file, int *error)
{
	if (file == siftr_cdev_file && *error == 0)
		*error = siftr_cdev_prepare_unload();
}

static void
siftr_cdev_unload_tried(void *arg __unused, linker_file_t file, int *error)
{
	if (file == siftr_cdev_file && *error != 0)
		siftr_cdev_cancel_unload();
}

/*
 * Waits until every CPU has been idle once, and so every thread that was about
 * to return from the module's code has done so.
 */
int
siftr_cdev_quiesce(void)
{
	return (quiesce_all_cpus("siftr_cdev", PCATCH));
}

int
siftr_cdev_make_dev(void)
{
	struct make_dev_args args;
	int error;

	callout_init_mtx(&siftr_cdev_poll_callout, &siftr_cdev_registry, 0);
	make_dev_args_init(&args);
	/* A name in use is an error and not a panic. */
	args.mda_flags = MAKEDEV_CHECKNAME | MAKEDEV_WAITOK;
	args.mda_devsw = &siftr_cdev_cdevsw;
	args.mda_uid = UID_ROOT;
	args.mda_gid = siftr_cdev_gid;
	args.mda_mode = siftr_cdev_mode & 0777;
	error = make_dev_s(&args, &siftr_cdev_dev, "tcpstats");
	if (error != 0)
		return (error);
	siftr_cdev_try_first = EVENTHANDLER_REGISTER(kld_unload_try,
	    siftr_cdev_unload_try, NULL, EVENTHANDLER_PRI_FIRST);
	siftr_cdev_try_last = EVENTHANDLER_REGISTER(kld_unload_try,
	    siftr_cdev_unload_tried, NULL, EVENTHANDLER_PRI_LAST);
	siftr_cdev_lowmem_tag = EVENTHANDLER_REGISTER(vm_lowmem,
	    siftr_cdev_lowmem, NULL, LOWMEM_PRI_DEFAULT);
	return (0);
}

void
siftr_cdev_destroy_dev(void)
{
	/* A load that failed is unloaded too. */
	if (siftr_cdev_dev == NULL)
		return;
	destroy_dev(siftr_cdev_dev);
	siftr_cdev_dev = NULL;
	/* A thread can still be in poll(2) on a descriptor that was closed. */
	callout_drain(&siftr_cdev_poll_callout);
	seldrain(&siftr_cdev_pollers);
	EVENTHANDLER_DEREGISTER(kld_unload_try, siftr_cdev_try_first);
	EVENTHANDLER_DEREGISTER(kld_unload_try, siftr_cdev_try_last);
	EVENTHANDLER_DEREGISTER(vm_lowmem, siftr_cdev_lowmem_tag);
	printf("siftr_cdev: unloaded after %ju snapshots\n",
	    (uintmax_t)atomic_load_64(&siftr_cdev_counters.snapshots));
}

static int
siftr_cdev_evhand(module_t module, int event, void *arg)
{
	if (event == MOD_LOAD)
		siftr_cdev_file = module_file(module);
	return (siftr_cdev_modevent(module, event, arg));
}

static moduledata_t siftr_cdev_mod = {
	"siftr_cdev",
	siftr_cdev_evhand,
	NULL
};
/* The structures that it reads can change with any release, even a minor one. */
DECLARE_MODULE_TIED(siftr_cdev, siftr_cdev_mod, SI_SUB_PSEUDO, SI_ORDER_ANY);
MODULE_VERSION(siftr_cdev, 2);

/* printf(9), which is not to be called from Rust: see kpi/mod.rs. */
void
siftr_cdev_say_loaded(u_int record_len)
{
	printf("siftr_cdev: version %s, /dev/tcpstats ready, %u bytes a record\n",
	    siftr_cdev_version, record_len);
}

void
siftr_cdev_say_no_device(int error)
{
	printf("siftr_cdev: cannot make /dev/tcpstats, error %d%s\n", error,
	    error == EEXIST ? ": another driver has a device of that name" :
	    "");
}

void
siftr_cdev_panic(void)
{
	panic("siftr_cdev: the Rust part panicked");
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
void
siftr_cdev_registry_lock(void)
{
	mtx_lock(&siftr_cdev_registry);
}

void
siftr_cdev_registry_unlock(void)
{
	mtx_unlock(&siftr_cdev_registry);
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

int
siftr_cdev_sx_lock_sig(struct sx *sx)
{
	return (sx_xlock_sig(sx));
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

/* Whether the process is being killed, which no signal handler can catch. */
int
siftr_cdev_killed(void)
{
	return (P_KILLED(curproc) != 0);
}

/*
 * The same condition that makes a thread in user mode call the scheduler: its
 * time slice is over, or a thread of higher priority is ready.  With
 * should_yield() that thread would wait for up to 200 ms.
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

/* Connections. */
uint32_t
siftr_cdev_tcb_count(void)
{
	return (V_tcbinfo.ipi_count +
	    counter_u64_fetch(V_tcps_states[TCPS_SYN_RECEIVED]));
}

void
siftr_cdev_walk_init(struct inpcb_iterator *walk)
{
	struct inpcb_iterator init = INP_ALL_ITERATOR(&V_tcbinfo,
	    INPLOOKUP_RLOCKPCB);

	memcpy(walk, &init, sizeof(init));
}

void
siftr_cdev_pcb_unlock(struct inpcb *inp)
{
	INP_RUNLOCK(inp);
}

/* Takes a reference and unlocks; in_pcbfree() may follow. */
void
siftr_cdev_pcb_hold(struct inpcb *inp)
{
	in_pcbref(inp);
	INP_RUNLOCK(inp);
}

/* Returns whether it is in the list: in_pcbfree() clears inp_socket. */
int
siftr_cdev_pcb_lock(struct inpcb *inp)
{
	INP_RLOCK(inp);
	return (inp->inp_socket != NULL);
}

void
siftr_cdev_pcb_release(struct inpcb *inp)
{
	INP_RLOCK(inp);
	if (!in_pcbrele_rlocked(inp))
		INP_RUNLOCK(inp);
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
	/* -1 is the default, 0. */
	if (inp->in6p_outputopts == NULL ||
	    inp->in6p_outputopts->ip6po_tclass < 0)
		return (0);
	return (inp->in6p_outputopts->ip6po_tclass);
}

/*
 * The identifier for BBLog, of TCP_LOG_ID_LEN bytes.  Only a kernel with option
 * TCP_BLACKBOX has the function, and connections with an identifier.
 */
size_t	tcp_log_get_id(struct tcpcb *, char *) __attribute__((__weak__));

int
siftr_cdev_log_id(struct inpcb *inp, char *id)
{
	return (tcp_log_get_id != NULL &&
	    tcp_log_get_id(intotcpcb(inp), id) != 0);
}

/*
 * The entries of the SYN cache: each comes to put as a struct xtcpcb, with the
 * lock of its bucket held.
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

/* Calls visit in the reader's network stack, or in every one. */
void
siftr_cdev_each_vnet(int all, void (*visit)(void *), void *arg)
{
	VNET_ITERATOR_DECL(vnet);

	if (!all) {
		CURVNET_SET(TD_TO_VNET(curthread));
		visit(arg);
		CURVNET_RESTORE();
		return;
	}
	VNET_LIST_RLOCK();
	VNET_FOREACH(vnet) {
		CURVNET_SET(vnet);
		visit(arg);
		CURVNET_RESTORE();
	}
	VNET_LIST_RUNLOCK();
}

/*
 * The network stacks.  A stack's address and its jail's id can be those of one
 * that is gone, and each counts connections from 1: the number that a stack gets
 * here is never given again while the kernel runs, also if the module is loaded
 * again.  The host's is 0, since it is as old as the kernel.
 *
 * A mark is the generation of the youngest connection at a time: what has a
 * higher one is younger.
 */
struct siftr_cdev_stack {
	LIST_ENTRY(siftr_cdev_stack) link;
	struct vnet	*vnet;
	uint64_t	id;
	struct {
		uint64_t	gencnt;
		uint64_t	at_ns;
	} marks[2];	/* the later one first */
};

static LIST_HEAD(, siftr_cdev_stack) siftr_cdev_stacks =
    LIST_HEAD_INITIALIZER(siftr_cdev_stacks);
static uint64_t siftr_cdev_last_stack;

static void
siftr_cdev_stack_init(void *arg __unused)
{
	struct siftr_cdev_stack *stack;

	stack = malloc(sizeof(*stack), M_SIFTR_CDEV, M_WAITOK | M_ZERO);
	stack->vnet = curvnet;
	mtx_lock(&siftr_cdev_registry);
	if (!IS_DEFAULT_VNET(curvnet)) {
		stack->id = MAX(siftr_cdev_uptime_ns(),
		    siftr_cdev_last_stack + 1);
		siftr_cdev_last_stack = stack->id;
	}
	LIST_INSERT_HEAD(&siftr_cdev_stacks, stack, link);
	mtx_unlock(&siftr_cdev_registry);
}
VNET_SYSINIT(siftr_cdev_stack, SI_SUB_PROTO_END, SI_ORDER_ANY,
    siftr_cdev_stack_init, NULL);

static struct siftr_cdev_stack *
siftr_cdev_find_stack(struct vnet *vnet)
{
	struct siftr_cdev_stack *stack;

	mtx_assert(&siftr_cdev_registry, MA_OWNED);
	LIST_FOREACH(stack, &siftr_cdev_stacks, link) {
		if (stack->vnet == vnet)
			break;
	}
	return (stack);
}

static void
siftr_cdev_stack_uninit(void *arg __unused)
{
	struct siftr_cdev_stack *stack;

	mtx_lock(&siftr_cdev_registry);
	stack = siftr_cdev_find_stack(curvnet);
	if (stack != NULL)
		LIST_REMOVE(stack, link);
	mtx_unlock(&siftr_cdev_registry);
	free(stack, M_SIFTR_CDEV);
}
VNET_SYSUNINIT(siftr_cdev_stack, SI_SUB_PROTO_END, SI_ORDER_ANY,
    siftr_cdev_stack_uninit, NULL);

/*
 * The current network stack; 0 while it is not known, as before the module's
 * initialization is over.  Ticks wrap after wrap_ns.
 */
int
siftr_cdev_this_vnet(uint64_t wrap_ns, struct siftr_cdev_vnet *to)
{
	struct siftr_cdev_stack *stack;
	uint64_t now;
	u_int i;

	now = siftr_cdev_uptime_ns();
	to->id = 0;
	/* No connection is older than the kernel. */
	to->recent_gencnt = now < wrap_ns ? 0 : UINT64_MAX;
	mtx_lock(&siftr_cdev_registry);
	stack = siftr_cdev_find_stack(curvnet);
	if (stack != NULL) {
		to->id = stack->id;
		if (stack->marks[0].at_ns == 0 ||
		    now - stack->marks[0].at_ns > wrap_ns / 2) {
			stack->marks[1] = stack->marks[0];
			stack->marks[0].gencnt = V_tcbinfo.ipi_gencnt;
			stack->marks[0].at_ns = now;
		}
		for (i = 0; i < nitems(stack->marks); i++) {
			if (stack->marks[i].at_ns != 0 &&
			    now - stack->marks[i].at_ns < wrap_ns)
				to->recent_gencnt = MIN(to->recent_gencnt,
				    stack->marks[i].gencnt);
		}
	}
	mtx_unlock(&siftr_cdev_registry);
	return (stack != NULL);
}

/*
 * Writes the name of the interface with that index, of up to IFNAMSIZ bytes, if
 * the running thread is in the network stack with that number.
 */
CTASSERT(IFNAMSIZ == 16);	/* kpi/connection.rs, interface_name() */
int
siftr_cdev_interface_name(uint64_t stack_id, uint32_t index, char *name)
{
	struct epoch_tracker et;
	struct siftr_cdev_stack *stack;
	if_t ifp;
	bool is_own;

	ifp = NULL;
	CURVNET_SET(TD_TO_VNET(curthread));
	mtx_lock(&siftr_cdev_registry);
	stack = siftr_cdev_find_stack(curvnet);
	is_own = stack != NULL && stack->id == stack_id;
	mtx_unlock(&siftr_cdev_registry);
	if (is_own) {
		NET_EPOCH_ENTER(et);
		ifp = ifnet_byindex(index);
		if (ifp != NULL)
			strlcpy(name, if_name(ifp), IFNAMSIZ);
		NET_EPOCH_EXIT(et);
	}
	CURVNET_RESTORE();
	return (ifp != NULL);
}
