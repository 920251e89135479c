/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Network stacks, vnet(9). */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/epoch.h>
#include <sys/jail.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/mutex.h>
#include <sys/proc.h>
#include <sys/protosw.h>
#include <sys/queue.h>
#include <sys/rwlock.h>
#include <sys/smr.h>
#include <sys/socket.h>
#include <sys/sx.h>
#include <sys/ucred.h>

#include <net/if.h>
#include <net/if_var.h>
#include <net/vnet.h>
#include <netinet/in.h>
#include <netinet/in_pcb.h>
#include <netinet/tcp.h>
#include <netinet/tcp_var.h>

#include "siftr_cdev.h"

/* Calls visit in the network stack of this thread, or in all network stacks. */
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
 * The identities of the network stacks.  The address of a network stack and its
 * jail ID can be reused, and inp_gencnt starts from 1 in each.  The id assigned
 * here is not reused while the kernel runs, even if the module is reloaded.  The
 * host's is 0.
 *
 * A mark is the greatest inp_gencnt at a point in time: connections with a
 * greater one were created later.
 */
struct siftr_cdev_stack {
	LIST_ENTRY(siftr_cdev_stack) link;
	struct vnet	*vnet;
	uint64_t	id;
	struct {
		uint64_t	gencnt;
		uint64_t	at_ns;
	} marks[2];	/* newest first */
};

static struct mtx siftr_cdev_vnet_mutex;
MTX_SYSINIT(siftr_cdev_vnet_mutex, &siftr_cdev_vnet_mutex, "siftr_cdev vnets",
    MTX_DEF);
static LIST_HEAD(, siftr_cdev_stack) siftr_cdev_stacks =
    LIST_HEAD_INITIALIZER(siftr_cdev_stacks);
static uint64_t siftr_cdev_last_stack;

static void
siftr_cdev_stack_init(void *arg __unused)
{
	struct siftr_cdev_stack *stack;

	stack = malloc(sizeof(*stack), M_SIFTR_CDEV, M_WAITOK | M_ZERO);
	stack->vnet = curvnet;
	mtx_lock(&siftr_cdev_vnet_mutex);
	if (!IS_DEFAULT_VNET(curvnet)) {
		stack->id = MAX(siftr_cdev_uptime_ns(),
		    siftr_cdev_last_stack + 1);
		siftr_cdev_last_stack = stack->id;
	}
	LIST_INSERT_HEAD(&siftr_cdev_stacks, stack, link);
	mtx_unlock(&siftr_cdev_vnet_mutex);
}
VNET_SYSINIT(siftr_cdev_stack, SI_SUB_PROTO_END, SI_ORDER_ANY,
    siftr_cdev_stack_init, NULL);

static struct siftr_cdev_stack *
siftr_cdev_find_stack(struct vnet *vnet)
{
	struct siftr_cdev_stack *stack;

	mtx_assert(&siftr_cdev_vnet_mutex, MA_OWNED);
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

	mtx_lock(&siftr_cdev_vnet_mutex);
	stack = siftr_cdev_find_stack(curvnet);
	if (stack != NULL)
		LIST_REMOVE(stack, link);
	mtx_unlock(&siftr_cdev_vnet_mutex);
	free(stack, M_SIFTR_CDEV);
}
VNET_SYSUNINIT(siftr_cdev_stack, SI_SUB_PROTO_END, SI_ORDER_ANY,
    siftr_cdev_stack_uninit, NULL);

/*
 * Stores the identity of the current network stack.  Returns 0 if it is not in
 * the list, for example before the module's initialization is complete.  Ticks
 * wrap after wrap_ns.
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
	mtx_lock(&siftr_cdev_vnet_mutex);
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
	mtx_unlock(&siftr_cdev_vnet_mutex);
	return (stack != NULL);
}

/*
 * Stores the name of an interface, in IFNAMSIZ bytes, if stack_id is the
 * identity of this thread's network stack.  Returns 0 if it is not, or if there
 * is no such interface.
 */
int
siftr_cdev_interface_name(uint64_t stack_id, uint32_t index, char *name)
{
	struct epoch_tracker et;
	struct siftr_cdev_stack *stack;
	if_t ifp;
	bool is_own;

	ifp = NULL;
	CURVNET_SET(TD_TO_VNET(curthread));
	mtx_lock(&siftr_cdev_vnet_mutex);
	stack = siftr_cdev_find_stack(curvnet);
	is_own = stack != NULL && stack->id == stack_id;
	mtx_unlock(&siftr_cdev_vnet_mutex);
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
