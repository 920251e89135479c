/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What siftr_cdev.c and the Rust part say to each other: functions that stand
 * for macros and static inline functions of the kernel, and the variables
 * behind the sysctls.
 */
#ifndef _SIFTR_CDEV_H_
#define	_SIFTR_CDEV_H_

#include <sys/types.h>

struct cdev;
struct inpcb;
struct inpcb_iterator;
struct module;
struct socket;
struct sx;
struct sysctl_req;
struct tcpcb;
struct thread;
struct uio;
struct vnet;

/* Of a socket, what its macros tell. */
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

/* Of a network stack, what its records need. */
struct siftr_cdev_vnet {
	uint64_t	id;		/* 0 is the host's */
	uint64_t	recent_gencnt;	/* connections after this one are
					   younger than ticks can hold */
};

/* Counted since the module was loaded; changed by atomic operations only. */
struct siftr_cdev_counters {
	uint64_t	snapshots;
	uint64_t	records;
	uint64_t	bytes;
	uint64_t	missed;
	uint64_t	walk_last_ns;
	uint64_t	walk_max_ns;
	uint64_t	hold_max_ns;
	uint64_t	open;
	uint64_t	memory_bytes;
};

extern struct siftr_cdev_counters siftr_cdev_counters;
extern u_long siftr_cdev_snapshot_bytes_max;
extern u_long siftr_cdev_total_bytes_max;
extern u_long siftr_cdev_reserved_bytes;
extern u_long siftr_cdev_jail_bytes_max;
extern u_long siftr_cdev_user_bytes_max;
extern u_int siftr_cdev_opens_per_user_max;
extern u_int siftr_cdev_interval_min_us;
extern u_int siftr_cdev_walk_percent_max;
extern const char siftr_cdev_version[];

/* Implemented here, in C. */
int	 siftr_cdev_make_dev(void);
void	 siftr_cdev_destroy_dev(void);
void	 siftr_cdev_panic(void) __dead2;
void	*siftr_cdev_malloc(size_t, int);
void	 siftr_cdev_free(void *);
void	 siftr_cdev_registry_lock(void);
void	 siftr_cdev_registry_unlock(void);
void	 siftr_cdev_sx_init(struct sx *);
void	 siftr_cdev_sx_destroy(struct sx *);
int	 siftr_cdev_sx_lock_sig(struct sx *);
void	 siftr_cdev_sx_unlock(struct sx *);
uint32_t siftr_cdev_uid(void);
uint32_t siftr_cdev_jid(void);
int	 siftr_cdev_is_host_root(void);
int	 siftr_cdev_can_see(struct inpcb *);
int	 siftr_cdev_signal_pending(void);
int	 siftr_cdev_killed(void);
int	 siftr_cdev_wants_to_yield(void);
uint64_t siftr_cdev_switches(void);
void	 siftr_cdev_yield(void);
int	 siftr_cdev_quiesce(void);
int	 siftr_cdev_poll_readable(int);
void	 siftr_cdev_poll_later(struct thread *, uint64_t);
uint64_t siftr_cdev_uptime_ns(void);
uint64_t siftr_cdev_wall_ns(void);
int	 siftr_cdev_pause_ns(uint64_t);
int64_t	 siftr_cdev_sbinuptime(void);
uint32_t siftr_cdev_tcb_count(void);
void	 siftr_cdev_walk_init(struct inpcb_iterator *);
void	 siftr_cdev_pcb_unlock(struct inpcb *);
void	 siftr_cdev_pcb_hold(struct inpcb *);
int	 siftr_cdev_pcb_lock(struct inpcb *);
void	 siftr_cdev_pcb_release(struct inpcb *);
void	 siftr_cdev_socket_read(struct socket *, struct siftr_cdev_socket *);
void	 siftr_cdev_syncache(int (*)(struct sysctl_req *, const void *, size_t),
	    void *);
void	*siftr_cdev_syncache_arg(struct sysctl_req *);
void	 siftr_cdev_each_vnet(int, void (*)(void *), void *);
int	 siftr_cdev_this_vnet(uint64_t, struct siftr_cdev_vnet *);
uint8_t	 siftr_cdev_tos(struct inpcb *);
int	 siftr_cdev_log_id(struct inpcb *, char *);
int	 siftr_cdev_interface_name(uint64_t, uint32_t, char *);
void	 siftr_cdev_probe_start(uint64_t, uint64_t);
void	 siftr_cdev_probe_done(uint64_t, uint64_t, uint64_t, uint64_t,
	    uint64_t);
void	 siftr_cdev_probe_skip(struct inpcb *, int);
void	 siftr_cdev_say_loaded(u_int);
void	 siftr_cdev_say_no_device(int);

/* Implemented in Rust. */
int	 siftr_cdev_modevent(struct module *, int, void *);
int	 siftr_cdev_open(struct cdev *, int, int, struct thread *);
int	 siftr_cdev_close(struct cdev *, int, int, struct thread *);
int	 siftr_cdev_read(struct cdev *, struct uio *, int);
int	 siftr_cdev_ioctl(struct cdev *, u_long, char *, int, struct thread *);
int	 siftr_cdev_poll(struct cdev *, int, struct thread *);
int	 siftr_cdev_prepare_unload(void);
void	 siftr_cdev_cancel_unload(void);
void	 siftr_cdev_release_memory(void);
void	 siftr_cdev_get_text(char *, size_t);
int	 siftr_cdev_set_text(const char *, size_t);

#endif
