/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * The parts of the module that only C can define: linker sets (module, malloc
 * type, sysctls, probes, event handlers) and the device switch.  Everything
 * else is Rust, in src/.
 */

/*
 * Every GENERIC kernel has this option, but the build of a module outside the
 * kernel's own build does not set it.  Without it there are no probes.
 */
#ifndef KDTRACE_HOOKS
#define	KDTRACE_HOOKS	1
#endif

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/callout.h>
#include <sys/conf.h>
#include <sys/eventhandler.h>
#include <sys/kernel.h>
#include <sys/linker.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/module.h>
#include <sys/mutex.h>
#include <sys/poll.h>
#include <sys/proc.h>
#include <sys/sdt.h>
#include <sys/selinfo.h>
#include <sys/sx.h>
#include <sys/sysctl.h>
#include <sys/time.h>

#include "siftr_cdev.h"

const char siftr_cdev_version[] = SIFTR_CDEV_VERSION;

/* Protects the state that descriptors share, which is defined in Rust. */
MTX_SYSINIT(siftr_cdev_mutex, &siftr_cdev_mutex, "siftr_cdev registry",
    MTX_DEF);

/* Protects the ledger.  May be locked with a connection locked. */
MTX_SYSINIT(siftr_cdev_ledger_mutex, &siftr_cdev_ledger_mutex,
    "siftr_cdev ledger", MTX_DEF);

/* Serializes changes to the readers of the ledger. */
SX_SYSINIT(siftr_cdev_ledger_sx, &siftr_cdev_ledger_sx,
    "siftr_cdev ledger readers");

/* Sysctls and tunables, siftr_cdev(4). */
struct siftr_cdev_counters siftr_cdev_counters;
struct siftr_cdev_limits siftr_cdev_limits = {
	.snapshot_bytes_max = 256UL << 20,
	.total_bytes_max = 512UL << 20,
	.reserved_bytes = 256UL << 20,
	.jail_bytes_max = 192UL << 20,
	.user_bytes_max = 128UL << 20,
	.ledger_bytes_max = 16UL << 20,
	.opens_per_user_max = 32,
	.interval_min_us = 1000,
	.walk_percent_max = 50,
};
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
COUNTER(snapshots, "Number of snapshots taken");
COUNTER(records, "Number of records in all snapshots");
COUNTER(bytes, "Bytes read from the device");
COUNTER(missed, "Number of connections without a record, because memory ran "
    "out or a limit was reached");
COUNTER(walk_last_ns, "Duration of the last walk, in nanoseconds");
COUNTER(walk_max_ns, "Duration of the longest walk, in nanoseconds");
COUNTER(hold_max_ns,
    "Longest time that a read held a CPU without yielding, in nanoseconds");
COUNTER(open, "Number of open descriptors");
COUNTER(memory_bytes,
    "Memory that snapshots and the ledger currently use, in bytes");
COUNTER(ledger_readers, "Number of descriptors with the ledger on");
COUNTER(ended, "Number of ended connections in the ledger");
COUNTER(ended_lost,
    "Number of final records that readers lost, summed over all readers");
#undef	COUNTER

#define	BYTES(name, descr)						\
	SYSCTL_ULONG(_net_inet_siftr_cdev, OID_AUTO, name,		\
	    CTLFLAG_RWTUN, &siftr_cdev_limits.name, 0, descr ", in bytes")
BYTES(snapshot_bytes_max, "Maximum memory for one snapshot");
BYTES(total_bytes_max, "Maximum memory for all snapshots");
BYTES(reserved_bytes,
    "Part of total_bytes_max that is reserved for root on the host");
BYTES(jail_bytes_max,
    "Maximum memory for the snapshots of all users of one jail");
BYTES(user_bytes_max, "Maximum memory for all snapshots of one user");
BYTES(ledger_bytes_max,
    "Memory for final records, which is allocated for the first reader");
#undef	BYTES

#define	PER_USER(name, descr)						\
	SYSCTL_UINT(_net_inet_siftr_cdev, OID_AUTO, name,		\
	    CTLFLAG_RWTUN, &siftr_cdev_limits.name, 0,			\
	    descr " (no limit for root on the host)")
PER_USER(opens_per_user_max, "Maximum number of open descriptors of one user");
PER_USER(interval_min_us,
    "Minimum time between two snapshots of one user, in microseconds");
PER_USER(walk_percent_max,
    "Maximum share of one CPU for the walks of one user, in percent");
#undef	PER_USER

SYSCTL_UINT(_net_inet_siftr_cdev, OID_AUTO, mode, CTLFLAG_RDTUN,
    &siftr_cdev_mode, 0, "Permissions of /dev/tcpstats");
SYSCTL_UINT(_net_inet_siftr_cdev, OID_AUTO, gid, CTLFLAG_RDTUN,
    &siftr_cdev_gid, 0, "Group ID of /dev/tcpstats");

static int
siftr_cdev_sysctl_text(SYSCTL_HANDLER_ARGS)
{
	const size_t len = siftr_cdev_entry.text_len;
	char *text;
	int error;

	text = malloc(len, M_SIFTR_CDEV, M_WAITOK | M_ZERO);
	siftr_cdev_entry.get_text(text, len);
	error = sysctl_handle_string(oidp, text, len, req);
	if (error == 0 && req->newptr != NULL)
		error = siftr_cdev_entry.set_text(text, len);
	free(text, M_SIFTR_CDEV);
	return (error);
}
SYSCTL_PROC(_net_inet_siftr_cdev, OID_AUTO, text,
    CTLTYPE_STRING | CTLFLAG_RW | CTLFLAG_MPSAFE, NULL, 0,
    siftr_cdev_sysctl_text, "A",
    "Columns of the text format: basic, all, or a comma-separated list");

/* Probes for dtrace(1). */
SDT_PROVIDER_DEFINE(siftr_cdev);
SDT_PROBE_DEFINE2(siftr_cdev, , , snapshot__start, "uint64_t", "uint64_t");
SDT_PROBE_DEFINE5(siftr_cdev, , , snapshot__done, "uint64_t", "uint64_t",
    "uint64_t", "uint64_t", "uint64_t");
SDT_PROBE_DEFINE2(siftr_cdev, , , record__skip, "struct inpcb *", "int");
SDT_PROBE_DEFINE2(siftr_cdev, , , connection__ended, "struct inpcb *",
    "const char *");

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

void
siftr_cdev_probe_ended(struct inpcb *inp, const char *ending)
{
	SDT_PROBE2(siftr_cdev, , , connection__ended, inp, ending);
}

/*
 * Threads that wait in poll(2), on any descriptor.  The callout wakes all of
 * them when the first descriptor becomes readable; the others wait again.
 */
static struct mtx siftr_cdev_poll_mutex;
MTX_SYSINIT(siftr_cdev_poll_mutex, &siftr_cdev_poll_mutex, "siftr_cdev poll",
    MTX_DEF);
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

/*
 * The callout runs with the mutex held, so it cannot run between selrecord()
 * and the check that it is still pending.
 */
void
siftr_cdev_poll_later(struct thread *td, uint64_t ns)
{
	sbintime_t due;

	mtx_lock(&siftr_cdev_poll_mutex);
	selrecord(td, &siftr_cdev_pollers);
	due = sbinuptime() + nstosbt(ns);
	if (!callout_pending(&siftr_cdev_poll_callout) ||
	    siftr_cdev_poll_due > due) {
		siftr_cdev_poll_due = due;
		callout_reset_sbt(&siftr_cdev_poll_callout, due, 0,
		    siftr_cdev_poll_wake, NULL, C_ABSOLUTE);
	}
	mtx_unlock(&siftr_cdev_poll_mutex);
}

/* The device. */
static struct cdevsw siftr_cdev_cdevsw = {
	.d_version =	D_VERSION,
	/* d_close is called at every close, so that destroy_dev() waits for each. */
	.d_flags =	D_TRACKCLOSE,
	.d_name =	"tcpstats",
};

static struct cdev *siftr_cdev_dev;

/*
 * kldunload(8) first calls the handlers of kld_unload_try, then MOD_QUIESCE.
 * The handler of sdt(9) unregisters the module's probes unless a handler before
 * it has refused, and they stay unregistered if MOD_QUIESCE refuses.  So the
 * module refuses here, before sdt, and accepts no new descriptors from then on.
 * If another handler refuses, the last handler accepts them again.
 */
static linker_file_t siftr_cdev_file;
static eventhandler_tag siftr_cdev_try_first, siftr_cdev_try_last;
static eventhandler_tag siftr_cdev_lowmem_tag, siftr_cdev_load_tag;

static void
siftr_cdev_lowmem(void *arg __unused, int why __unused)
{
	siftr_cdev_entry.low_memory();
}

static void
siftr_cdev_loaded(void *arg __unused, linker_file_t file __unused)
{
	siftr_cdev_find_new_stacks();
}

static void
siftr_cdev_unload_try(void *arg __unused, linker_file_t file, int *error)
{
	if (file == siftr_cdev_file && *error == 0)
		*error = siftr_cdev_entry.prepare_unload();
}

static void
siftr_cdev_unload_tried(void *arg __unused, linker_file_t file, int *error)
{
	if (file == siftr_cdev_file && *error != 0)
		siftr_cdev_entry.cancel_unload();
}

int
siftr_cdev_make_dev(void)
{
	struct make_dev_args args;
	int error;

	callout_init_mtx(&siftr_cdev_poll_callout, &siftr_cdev_poll_mutex, 0);
	siftr_cdev_cdevsw.d_open = siftr_cdev_entry.open;
	siftr_cdev_cdevsw.d_close = siftr_cdev_entry.close;
	siftr_cdev_cdevsw.d_read = siftr_cdev_entry.read;
	siftr_cdev_cdevsw.d_ioctl = siftr_cdev_entry.ioctl;
	siftr_cdev_cdevsw.d_poll = siftr_cdev_entry.poll;
	make_dev_args_init(&args);
	/* CHECKNAME: fail instead of panicking if the name is in use. */
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
	siftr_cdev_load_tag = EVENTHANDLER_REGISTER(kld_load,
	    siftr_cdev_loaded, NULL, EVENTHANDLER_PRI_ANY);
	return (0);
}

void
siftr_cdev_destroy_dev(void)
{
	/* The kernel also unloads a module whose load failed. */
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
	EVENTHANDLER_DEREGISTER(kld_load, siftr_cdev_load_tag);
	printf("siftr_cdev: unloaded after %ju snapshots\n",
	    (uintmax_t)atomic_load_64(&siftr_cdev_counters.snapshots));
}

static int
siftr_cdev_modevent(module_t module, int event, void *arg __unused)
{
	switch (event) {
	case MOD_LOAD:
		siftr_cdev_file = module_file(module);
		return (siftr_cdev_entry.load());
	case MOD_QUIESCE:
		return (siftr_cdev_entry.prepare_unload());
	case MOD_UNLOAD:
		return (siftr_cdev_entry.unload());
	case MOD_SHUTDOWN:
		return (0);
	default:
		return (EOPNOTSUPP);
	}
}

static moduledata_t siftr_cdev_mod = {
	"siftr_cdev",
	siftr_cdev_modevent,
	NULL
};
/* Any release, even a minor one, can change the structures that are read. */
DECLARE_MODULE_TIED(siftr_cdev, siftr_cdev_mod, SI_SUB_PSEUDO, SI_ORDER_ANY);
MODULE_VERSION(siftr_cdev, 2);

/* printf(9) is called from C only: see kpi/mod.rs. */
void
siftr_cdev_log_loaded(u_int record_len)
{
	printf("siftr_cdev: version %s, /dev/tcpstats ready, %u bytes per record\n",
	    siftr_cdev_version, record_len);
}

void
siftr_cdev_log_no_device(int error)
{
	printf("siftr_cdev: cannot create /dev/tcpstats, error %d%s\n", error,
	    error == EEXIST ? ": another driver has a device of that name" :
	    "");
}
