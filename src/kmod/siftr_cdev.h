/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * The interface between the C files and the Rust part: wrappers around macros
 * and static inline functions of the kernel, the variables of the sysctls,
 * and the functions of the Rust part that C calls.
 */
#ifndef _SIFTR_CDEV_H_
#define	_SIFTR_CDEV_H_

#include <sys/types.h>

struct cdev;
struct in_conninfo;
struct inpcb;
struct inpcb_iterator;
struct mtx;
struct socket;
struct sx;
struct sysctl_req;
struct tcpcb;
struct thread;
struct ucred;
struct uio;
struct vnet;

#ifdef MALLOC_DECLARE
MALLOC_DECLARE(M_SIFTR_CDEV);
#endif

/* In Rust these are atomic integers of the same width. */
typedef uint64_t siftr_cdev_u64_t;
typedef u_long	 siftr_cdev_ulong_t;
typedef u_int	 siftr_cdev_uint_t;

/* Queue lengths of a listening socket, or buffers of a connected one. */
struct siftr_cdev_socket {
	uint32_t	listening;
	uint32_t	snd_cc;
	uint32_t	snd_hiwat;
	uint32_t	rcv_cc;
	uint32_t	rcv_hiwat;
	uint32_t	qlen;
	uint32_t	incqlen;
	uint32_t	qlimit;
};

/* The identity of a network stack. */
struct siftr_cdev_vnet {
	uint64_t	id;		/* 0 for the host */
	uint64_t	recent_gencnt;	/* ticks cannot have wrapped since a
					   connection with a greater inp_gencnt
					   was created */
};

#define	SIFTR_CDEV_DEFERRED	64
/* The number of bits in siftr_cdev_selection.restless, a power of 2. */
#define	SIFTR_CDEV_RESTLESS	65536

/* Which connections inp_next() locks during a walk. */
struct siftr_cdev_selection {
	/*
	 * Connections that the walk visits last, because a timer could
	 * otherwise be lost.  The walk owns a reference to each.
	 */
	struct inpcb	*deferred[SIFTR_CDEV_DEFERRED];
	uint64_t	 deferred_gencnt;	/* of the last one */
	uint32_t	 deferred_count;
	/* If not NULL, only connections that may have changed. */
	const uint64_t	*restless;	/* bits of connections that change
					   without receiving a segment */
	uint32_t	 since;		/* in ticks */
	/*
	 * If not NULL, decides from addresses, ports and state, without the
	 * lock, that the filter does not match.
	 */
	int		(*excludes)(const void *, const struct in_conninfo *,
			    uint8_t, uint8_t);
	const void	*filter;	/* its first argument */
	uint32_t	 skipped;	/* connections in succession */
	uint32_t	 selected;	/* connections since the start */
	uint32_t	 is_rest;	/* the last one is locked only so that
					   the SMR section ends */
};

/* Read-only sysctls; counters since the module was loaded. */
struct siftr_cdev_counters {
	siftr_cdev_u64_t	snapshots;
	siftr_cdev_u64_t	records;
	siftr_cdev_u64_t	bytes;
	siftr_cdev_u64_t	missed;
	siftr_cdev_u64_t	walk_last_ns;
	siftr_cdev_u64_t	walk_max_ns;
	siftr_cdev_u64_t	hold_max_ns;
	siftr_cdev_u64_t	open;
	siftr_cdev_u64_t	memory_bytes;
	siftr_cdev_u64_t	ledger_readers;
	siftr_cdev_u64_t	ended;
	siftr_cdev_u64_t	ended_lost;
};

/* Read-write sysctls: they can change at any time. */
struct siftr_cdev_limits {
	siftr_cdev_ulong_t	snapshot_bytes_max;
	siftr_cdev_ulong_t	total_bytes_max;
	siftr_cdev_ulong_t	reserved_bytes;
	siftr_cdev_ulong_t	jail_bytes_max;
	siftr_cdev_ulong_t	user_bytes_max;
	siftr_cdev_ulong_t	ledger_bytes_max;
	siftr_cdev_uint_t	opens_per_user_max;
	siftr_cdev_uint_t	interval_min_us;
	siftr_cdev_uint_t	walk_percent_max;
};

extern struct siftr_cdev_counters siftr_cdev_counters;
extern struct siftr_cdev_limits siftr_cdev_limits;
extern const char siftr_cdev_version[];

/* siftr_cdev.c */
int	 siftr_cdev_make_dev(void);
void	 siftr_cdev_destroy_dev(void);
int	 siftr_cdev_poll_readable(int);
void	 siftr_cdev_poll_later(struct thread *, uint64_t);
void	 siftr_cdev_probe_start(uint64_t, uint64_t);
void	 siftr_cdev_probe_done(uint64_t, uint64_t, uint64_t, uint64_t,
	    uint64_t);
void	 siftr_cdev_probe_skip(struct inpcb *, int);
void	 siftr_cdev_probe_ended(struct inpcb *, const char *);
void	 siftr_cdev_log_loaded(u_int);
void	 siftr_cdev_log_no_device(int);

/* kpi.c */
void	 siftr_cdev_panic(void) __dead2;
void	*siftr_cdev_malloc(size_t, int);
void	 siftr_cdev_free(void *);
void	 siftr_cdev_mtx_lock(struct mtx *);
void	 siftr_cdev_mtx_unlock(struct mtx *);
void	 siftr_cdev_sx_init(struct sx *);
void	 siftr_cdev_sx_destroy(struct sx *);
int	 siftr_cdev_sx_lock_sig(struct sx *);
void	 siftr_cdev_sx_lock(struct sx *);
void	 siftr_cdev_sx_unlock(struct sx *);
uint32_t siftr_cdev_uid(void);
uint32_t siftr_cdev_jid(void);
int	 siftr_cdev_is_host_root(void);
int	 siftr_cdev_signal_pending(void);
int	 siftr_cdev_killed(void);
int	 siftr_cdev_wants_to_yield(void);
uint64_t siftr_cdev_switches(void);
void	 siftr_cdev_yield(void);
int	 siftr_cdev_pause_ns(uint64_t);
void	 siftr_cdev_pause_tick(void);
int	 siftr_cdev_quiesce(void);
uint64_t siftr_cdev_uptime_ns(void);
uint64_t siftr_cdev_wall_ns(void);
int64_t	 siftr_cdev_sbinuptime(void);
uint32_t siftr_cdev_tcb_count(void);
void	 siftr_cdev_walk_init(struct inpcb_iterator *,
	    struct siftr_cdev_selection *);
uint32_t siftr_cdev_restless_bit(const struct inpcb *);
int	 siftr_cdev_timer_is_due(const struct inpcb *);
void	 siftr_cdev_pcb_unlock(struct inpcb *);
void	 siftr_cdev_pcb_hold(struct inpcb *);
int	 siftr_cdev_pcb_lock(struct inpcb *);
void	 siftr_cdev_pcb_release(struct inpcb *);
void	 siftr_cdev_pcb_unlock_release(struct inpcb *);
int	 siftr_cdev_can_see(struct inpcb *);
void	 siftr_cdev_socket_read(struct socket *, struct siftr_cdev_socket *);
uint8_t	 siftr_cdev_tos(struct inpcb *);
int	 siftr_cdev_log_id(struct inpcb *, char *);
void	 siftr_cdev_syncache(int (*)(struct sysctl_req *, const void *, size_t),
	    void *);
void	*siftr_cdev_syncache_arg(struct sysctl_req *);

/* stacks.c */
int	 siftr_cdev_endings_start(void);
void	 siftr_cdev_endings_stop(void);
void	 siftr_cdev_endings_forget(void);
void	 siftr_cdev_find_new_stacks(void);
int	 siftr_cdev_socket_end(struct inpcb *, int *);
int	 siftr_cdev_is_sysctl(void);
struct ucred *siftr_cdev_cred_hold(void);
void	 siftr_cdev_cred_free(struct ucred *);
int	 siftr_cdev_cred_is_own(struct ucred *);
int	 siftr_cdev_can_see_as(struct ucred *, struct inpcb *);

/* vnet.c */
void	 siftr_cdev_each_vnet(int, void (*)(void *), void *);
int	 siftr_cdev_this_vnet(uint64_t, struct siftr_cdev_vnet *);
int	 siftr_cdev_interface_name(uint64_t, uint32_t, char *);

/* The functions of the Rust part that C calls: kpi/entry.rs. */
struct siftr_cdev_entry {
	/* module(9) and event handlers */
	int	(*load)(void);
	int	(*prepare_unload)(void);
	void	(*cancel_unload)(void);
	int	(*unload)(void);
	void	(*low_memory)(void);
	/* cdevsw */
	int	(*open)(struct cdev *, int, int, struct thread *);
	int	(*close)(struct cdev *, int, int, struct thread *);
	int	(*read)(struct cdev *, struct uio *, int);
	int	(*ioctl)(struct cdev *, u_long, char *, int, struct thread *);
	int	(*poll)(struct cdev *, int, struct thread *);
	/* The sysctl "text" */
	size_t	text_len;		/* of the buffer, with the NUL */
	void	(*get_text)(char *, size_t);
	int	(*set_text)(const char *, size_t);
	/*
	 * Ends of connections.  The pcb is write-locked, and its network stack
	 * is the current one.
	 */
	void	(*ended)(struct inpcb *);
	void	(*continued)(struct inpcb *);	/* it did not end */
};

/* Defined in Rust. */
extern const struct siftr_cdev_entry siftr_cdev_entry;
/* Initialized in siftr_cdev.c. */
extern struct mtx siftr_cdev_mutex;
extern struct mtx siftr_cdev_ledger_mutex;
extern struct sx siftr_cdev_ledger_sx;

#endif
