/*-
 * SPDX-License-Identifier: BSD-2-Clause
 * Copyright (c) 2026 The siftr_cdev maintainers
 */

/*
 * Notes which process has used each connection: the one that opened it or, if
 * it was accepted, the one that closed it.
 *
 * connect(2), shutdown(2) and the last close(2) change the state of a socket
 * in the process that calls them, or that exits.  accept(2) does not change it.
 */

#include "sockets.bpf.h"

/* Values of linux/bpf.h, linux/sched.h and of the TCP states. */
enum {
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_NOEXIST = 1,
	PF_KTHREAD = 0x00200000,
	TCP_SYN_SENT = 2,
	TCP_FIN_WAIT1 = 4,
	TCP_LAST_ACK = 9,
};

static long (*const bpf_map_update_elem)(void *, const void *, const void *,
    u64) = (void *)2;
static long (*const bpf_probe_read_kernel)(void *, u32, const void *) =
    (void *)113;
static struct task_struct *(*const bpf_get_current_task_btf)(void) =
    (void *)158;

struct task_struct {
	u32 flags;
	int tgid;
	struct task_struct *group_leader;
	char comm[16];
} RELOCATED;

/* A process, in the layout of Noted in users.rs. */
struct user {
	u32 pid;
	char command[16];
};

/* By the cookie of the socket; those that were noted first are forgotten first. */
struct {
	UINT(type, BPF_MAP_TYPE_LRU_HASH);
	UINT(max_entries, 1 << 16);
	u64 *key;
	struct user *value;
} users SEC(".maps");

SEC("tp_btf/inet_sock_set_state")
int
used(u64 *arguments)
{
	struct sock *sk = (struct sock *)arguments[0];
	struct task_struct *task, *leader;
	int after = arguments[2];
	struct user user;
	u64 cookie;

	if (after != TCP_SYN_SENT && after != TCP_FIN_WAIT1 &&
	    after != TCP_LAST_ACK)
		return (0);
	task = bpf_get_current_task_btf();
	if (task->flags & PF_KTHREAD || !is_of_interest(sk))
		return (0);
	leader = task->group_leader;
	user.pid = leader->tgid;
	bpf_probe_read_kernel(user.command, sizeof(user.command), leader->comm);
	cookie = bpf_get_socket_cookie(sk);
	bpf_map_update_elem(&users, &cookie, &user, BPF_NOEXIST);
	return (0);
}
