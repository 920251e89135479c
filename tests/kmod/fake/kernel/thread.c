/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Threads, their users, jails, network stacks and signals. */

#include "kernel.h"

struct prison prison0;
struct vnet_list_head vnet_head = LIST_HEAD_INITIALIZER(vnet_head);
struct sx vnet_sxlock;
struct vnet *vnet0;

static struct ucred root_cred;
static int see_other_uids = 1;
static unsigned held_credentials;

/*
 * The last network stack that was freed.  Its address is reused for the next.
 */
static struct vnet *vacant;

/*
 * There are no DPCPU variables, but the module's headers refer to the section.
 */
static int dpcpu_nothing __section("set_pcpu") __used;

static struct vnet *
new_vnet(void)
{
	struct vnet *vnet = vacant != NULL ? vacant : guarded(sizeof(*vnet));
	size_t size = VNET_STOP - VNET_START;

	vacant = NULL;
	memset(vnet, 0, sizeof(*vnet));
	vnet->vnet_magic_n = VNET_MAGIC_N;
	vnet->vnet_data_mem = guarded(size);
	memcpy(vnet->vnet_data_mem, (void *)VNET_START, size);
	vnet->vnet_data_base = (uintptr_t)vnet->vnet_data_mem - VNET_START;
	if (vnet0 == NULL)
		vnet0 = vnet;
	connections_of(vnet);
	return (vnet);
}

/* Makes the calling thread of the host a kernel thread. */
void
fake_attach(void)
{
	struct fake_thread *thread = guarded(sizeof(*thread));

	memset(thread, 0, sizeof(*thread));
	thread->pcpu.pc_curthread = &thread->td;
	thread->td.td_proc = &thread->proc;
	thread->td.td_ucred = &root_cred;
	host_set_gs(&thread->pcpu);
	if (vnet0 != NULL)
		return;
	sx_init(&vnet_sxlock, "vnet list");
	tcp_init();
	vnet_sysinits_init();
	new_vnet();
	LIST_INSERT_HEAD(&vnet_head, vnet0, vnet_le);
	prison0.pr_vnet = vnet0;
	root_cred.cr_prison = &prison0;
}

void *
fake_vnet(void)
{
	struct vnet *vnet = new_vnet();

	vnet_created(vnet);
	sx_xlock(&vnet_sxlock);
	LIST_INSERT_HEAD(&vnet_head, vnet, vnet_le);
	sx_xunlock(&vnet_sxlock);
	return (vnet);
}

/*
 * The jail is removed.  Any access to the memory of its network stack faults.
 */
void
fake_vnet_free(void *gone)
{
	struct vnet *vnet = gone;

	if (VNET_VNET(vnet, tcbinfo).ipi_count != 0)
		fail("the test frees a network stack with connections");
	sx_xlock(&vnet_sxlock);
	LIST_REMOVE(vnet, vnet_le);
	sx_xunlock(&vnet_sxlock);
	vnet_removed(vnet);
	guarded_free(vnet->vnet_data_mem);
	vnet->vnet_magic_n = 0xdeadbeef;
	vacant = vnet;
}

void *
fake_jail(unsigned id, void *vnet)
{
	struct prison *prison = guarded(sizeof(*prison));

	memset(prison, 0, sizeof(*prison));
	prison->pr_id = (int)id;
	prison->pr_vnet = vnet != NULL ? vnet : vnet0;
	prison->pr_parent = &prison0;
	return (prison);
}

void *
fake_jail_inside(unsigned id, void *outer)
{
	struct prison *prison = fake_jail(id, NULL);

	prison->pr_parent = outer;
	prison->pr_vnet = prison->pr_parent->pr_vnet;
	return (prison);
}

void *
fake_cred(unsigned uid, void *jail)
{
	struct ucred *cred = guarded(sizeof(*cred));

	memset(cred, 0, sizeof(*cred));
	cred->cr_uid = uid;
	cred->cr_prison = jail != NULL ? jail : &prison0;
	return (cred);
}

/* References to credentials that the module holds. */
struct ucred *
crhold(struct ucred *cred)
{
	atomic_add_int(&held_credentials, 1);
	cred->cr_ref++;
	return (cred);
}

void
crfree(struct ucred *cred)
{
	if (cred->cr_ref-- == 0)
		fail("a reference to a credential is dropped twice");
	atomic_subtract_int(&held_credentials, 1);
}

unsigned
credentials_held(void)
{
	return (held_credentials);
}

unsigned
fake_credentials(void)
{
	return (held_credentials);
}

/* The thread is in sysctl(3), like tcpdrop(8). */
void
fake_in_sysctl(int in)
{
	curthread->td_sa.code = in ? SYS___sysctlbyname : 0;
}

void
fake_become(void *cred)
{
	curthread->td_ucred = cred != NULL ? cred : &root_cred;
}

/* root has the privilege, in a jail too. */
int
priv_check(struct thread *td, int priv)
{
	if (priv != PRIV_NETINET_GETCRED)
		fail("priv_check(%d): unsupported privilege", priv);
	return (td->td_ucred->cr_uid == 0 ? 0 : EPERM);
}

void
fake_see_other_uids(int see)
{
	see_other_uids = see;
}

/* Like prison_check(9) and the policy bsd_see_other_uids. */
static bool
can_see(const struct ucred *one, const struct ucred *other)
{
	if (one->cr_prison != &prison0 && one->cr_prison != other->cr_prison)
		return (false);
	return (see_other_uids || one->cr_uid == 0 ||
	    one->cr_uid == other->cr_uid);
}

int
cr_cansee(struct ucred *one, struct ucred *other)
{
	return (can_see(one, other) ? 0 : ESRCH);
}

int
cr_canseeinpcb(struct ucred *cred, struct inpcb *inp)
{
	if (!pcb_is_rlocked(inp))
		fail("cr_canseeinpcb() of a connection that is not locked");
	return (can_see(cred, inp->inp_cred) ? 0 : ENOENT);
}

/*
 * A signal arrives.  sig_intr() returns `answer`: an error, or 0 for a signal
 * that does not interrupt the call and stays pending.
 */
void
fake_signal(int answer)
{
	host_enter();
	this_thread()->signal = answer;
	curthread->td_ast |= TDAI(TDA_SIG);
	host_wake();
	host_leave();
}

void
fake_signal_gone(void)
{
	curthread->td_ast &= ~TDAI(TDA_SIG);
}

/* SIGKILL. */
void
fake_kill(void)
{
	fake_signal(ERESTART);
	curproc->p_flag |= P_WKILLED;
}

/* The scheduler requests the CPU, until the thread yields or always. */
void
fake_wants_cpu(int always)
{
	this_thread()->always_wants = always;
	curthread->td_ast |= TDAI(TDA_SCHED);
}

/* The thread is preempted. */
void
fake_preempt(void)
{
	curthread->td_ru.ru_nivcsw++;
}

void
kern_yield(int priority)
{
	count_call("kern_yield");
	may_sleep("kern_yield()");
	if (priority != PRI_USER)
		fail("kern_yield(%d): unsupported priority",
		    priority);
	curthread->td_ast &= ~TDAI(TDA_SCHED);
	curthread->td_ru.ru_nvcsw++;
	run_hook(HOOK_YIELD);
	if (this_thread()->always_wants)
		curthread->td_ast |= TDAI(TDA_SCHED);
}

int
quiesce_all_cpus(const char *wmesg __unused, int priority)
{
	count_call("quiesce_all_cpus");
	may_sleep("quiesce_all_cpus()");
	if ((priority & PCATCH) != 0 && signal_is_pending())
		return (this_thread()->signal);
	return (0);
}

int
sig_intr(void)
{
	count_call("sig_intr");
	may_sleep("sig_intr()");
	if (!signal_is_pending())
		return (0);
	return (this_thread()->signal);
}
