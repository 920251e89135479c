/*-
 * SPDX-License-Identifier: BSD-2-Clause
 * Copyright (c) 2026 The siftr_cdev maintainers
 */

/*
 * Marks the TCP sockets that change: the first change of a socket after each
 * snapshot sends its identity to user space, which then asks sock_diag for it.
 *
 * Each snapshot begins an epoch.  User space increments the epoch first and
 * then takes what was sent.  If a program finds meanwhile that its socket was
 * sent in the old epoch, the mark has been taken or is among those to be taken,
 * and sock_diag is asked later.  As it waits for the lock that is held while
 * the socket changes, it sees the change.  If a mark of the new epoch has already
 * been taken, the socket will not be marked again until the next snapshot.
 * Therefore each marked socket is asked for once more by the next snapshot.
 */

#include "sockets.bpf.h"

/* Values of linux/bpf.h and of the TCP states. */
enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_RB_NO_WAKEUP = 1,
	SENT = 1 << 19,
	EPOCH_SHIFT = 36,
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
};

static void *(*const bpf_map_lookup_elem)(void *, const void *) = (void *)1;
static void *(*const bpf_ringbuf_reserve)(void *, u64, u64) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *, u64) = (void *)132;

/* The identity of a marked socket, in the layout of Mark in marks.rs. */
struct mark {
	u64 cookie;
	u32 ifindex;
	u16 family;
	/* In host byte order; 0 if the socket has no port at the time. */
	u16 lport;
	/* In network byte order. */
	u16 fport;
	u8 state;
	u8 pad[5];
	u8 laddr[16];
	u8 faddr[16];
};

/* What the programs count. */
struct counts {
	/* Marks for which there was no room. */
	u64 lost;
	/* Events that may change the queue of a listening socket. */
	u64 listeners;
};

/*
 * The cookies of the sockets that were sent, each with the epoch.  A socket has two
 * places.  If other sockets use both, it may be sent several times in an epoch, which
 * only costs time.
 */
struct {
	UINT(type, BPF_MAP_TYPE_ARRAY);
	UINT(max_entries, SENT / 2);
	u32 *key;
	struct {
		u64 entry[2];
	} *value;
} sent SEC(".maps");

/* The sockets that were marked; user space sets the size. */
struct {
	UINT(type, BPF_MAP_TYPE_RINGBUF);
	UINT(max_entries, 1 << 20);
} marks SEC(".maps");

/* The current epoch, written by user space. */
struct {
	UINT(type, BPF_MAP_TYPE_ARRAY);
	UINT(max_entries, 1);
	u32 *key;
	u32 *value;
} epoch SEC(".maps");

struct {
	UINT(type, BPF_MAP_TYPE_ARRAY);
	UINT(max_entries, 1);
	u32 *key;
	struct counts *value;
} counts SEC(".maps");

static const u32 first = 0;

static inline void
count(u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static inline void
send(struct sock *sk, u8 state, struct counts *counted)
{
	struct mark *mark;
	u16 family = sk->__sk_common.skc_family;
	int i;

	mark = bpf_ringbuf_reserve(&marks, sizeof(*mark), 0);
	if (!mark) {
		count(&counted->lost);
		return;
	}
	mark->cookie = bpf_get_socket_cookie(sk);
	mark->ifindex = sk->__sk_common.skc_bound_dev_if;
	mark->family = family;
	mark->lport = sk->__sk_common.skc_num;
	mark->fport = sk->__sk_common.skc_dport;
	mark->state = state;
	for (i = 0; i < 5; i++)
		mark->pad[i] = 0;
	if (family == AF_INET6) {
		for (i = 0; i < 16; i++) {
			mark->laddr[i] = sk->__sk_common.skc_v6_rcv_saddr.bytes[i];
			mark->faddr[i] = sk->__sk_common.skc_v6_daddr.bytes[i];
		}
	} else {
		for (i = 4; i < 16; i++)
			mark->laddr[i] = mark->faddr[i] = 0;
		*(u32 *)mark->laddr = sk->__sk_common.skc_rcv_saddr;
		*(u32 *)mark->faddr = sk->__sk_common.skc_daddr;
	}
	bpf_ringbuf_submit(mark, BPF_RB_NO_WAKEUP);
}

/* Sends a socket unless it was sent in this epoch. */
static inline void
mark(struct sock *sk, u8 state, int always)
{
	struct {
		u64 entry[2];
	} *places;
	struct counts *counted;
	u64 entry, cookie;
	u32 *now, slot;

	/*
	 * Cookies are counted up or, rarely, down from the highest number, and
	 * are 0 until somebody needs one.
	 */
	cookie = sk->__sk_common.skc_cookie.counter;
	now = bpf_map_lookup_elem(&epoch, &first);
	if (!now)
		return;
	if (cookie == 0) {
		if (!is_of_interest(sk))
			return;
		cookie = bpf_get_socket_cookie(sk);
	}
	entry = (cookie & ((1ULL << EPOCH_SHIFT) - 1)) | (u64)*now << EPOCH_SHIFT;
	slot = cookie % (SENT / 2);
	places = bpf_map_lookup_elem(&sent, &slot);
	if (!places)
		return;
	if ((places->entry[0] == entry || places->entry[1] == entry) && !always)
		return;
	counted = bpf_map_lookup_elem(&counts, &first);
	if (!counted || !is_of_interest(sk))
		return;
	send(sk, state, counted);
	/* Keep the other socket if it was sent in this epoch. */
	if (places->entry[0] >> EPOCH_SHIFT == entry >> EPOCH_SHIFT)
		places->entry[1] = entry;
	else
		places->entry[0] = entry;
}

static inline void
mark_active(struct sock *sk)
{
	mark(sk, sk->__sk_common.skc_state, 0);
}

/* A segment was received in state ESTABLISHED; the socket is locked. */
SEC("tp_btf/tcp_probe")
int
segment_received(u64 *arguments)
{
	mark_active((struct sock *)arguments[0]);
	return (0);
}

/* A segment is sent again; the socket is locked. */
SEC("tp_btf/tcp_retransmit_skb")
int
segment_retransmitted(u64 *arguments)
{
	mark_active((struct sock *)arguments[0]);
	return (0);
}

/* The application is about to queue data; the socket is locked. */
SEC("tp_btf/tcp_sendmsg_locked")
int
data_queued(u64 *arguments)
{
	mark_active((struct sock *)arguments[0]);
	return (0);
}

/* The application has queued data; the socket is no longer locked. */
SEC("tp_btf/sock_send_length")
int
data_sent(u64 *arguments)
{
	struct sock *sk = (struct sock *)arguments[0];
	u16 family = sk->__sk_common.skc_family;

	if (family == AF_INET || family == AF_INET6)
		mark_active(sk);
	return (0);
}

/*
 * A socket changes its state; it is locked.  A socket can be closed and used
 * again in one epoch, so the beginning and the end of a connection are always
 * sent.  In state SYN_SENT the port may not have been chosen yet: this does not
 * count as sent.
 */
SEC("tp_btf/inet_sock_set_state")
int
state_changed(u64 *arguments)
{
	struct sock *sk = (struct sock *)arguments[0];
	int before = arguments[1], after = arguments[2];
	struct counts *counted;

	if (after != TCP_SYN_SENT)
		mark(sk, after, after == TCP_ESTABLISHED || after == TCP_CLOSE ||
		    after == TCP_LISTEN);
	counted = bpf_map_lookup_elem(&counts, &first);
	if (!counted || !is_of_interest(sk))
		return (0);
	if (after == TCP_SYN_SENT)
		send(sk, after, counted);
	if (before == TCP_SYN_RECV || before == TCP_LISTEN || after == TCP_LISTEN)
		count(&counted->listeners);
	return (0);
}
