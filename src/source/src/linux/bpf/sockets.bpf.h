/*-
 * SPDX-License-Identifier: BSD-2-Clause
 * Copyright (c) 2026 The siftr_cdev maintainers
 */

/*
 * What the BPF programs have in common.
 *
 * Structures declare only the members that are used; their offsets are
 * relocated to those of the running kernel.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define	SEC(name)	__attribute__((section(name), used))
#define	RELOCATED	__attribute__((preserve_access_index))
#define	UINT(name, value)	int (*name)[value]

/* Values of linux/socket.h and linux/in.h. */
enum {
	AF_INET = 2,
	AF_INET6 = 10,
	IPPROTO_TCP = 6,
};

static u64 (*const bpf_get_socket_cookie)(void *) = (void *)46;

struct net {
	u64 net_cookie;
} RELOCATED;

struct in6_addr {
	u8 bytes[16];
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	u8 skc_state;
	int skc_bound_dev_if;
	struct {
		u64 counter;
	} skc_cookie;
	struct {
		struct net *net;
	} skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} RELOCATED;

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
} RELOCATED;

/* The network namespace of the sockets, set when the programs are loaded. */
const volatile u64 netns_cookie;

/* Returns whether this is a TCP socket in the network namespace. */
static inline int
is_of_interest(struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family;

	return ((family == AF_INET || family == AF_INET6) &&
	    sk->sk_protocol == IPPROTO_TCP &&
	    sk->__sk_common.skc_net.net->net_cookie == netns_cookie);
}

char terms[] SEC("license") = "Dual BSD/GPL";
