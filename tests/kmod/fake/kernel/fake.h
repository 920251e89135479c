/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * The interface between the fake kernel, which is compiled with FreeBSD's
 * headers, and the program around it, which is compiled for the host.  It uses
 * only types that are the same in both.  Errors are FreeBSD's numbers.
 */
#ifndef _FAKE_H_
#define	_FAKE_H_

/* Functions of the program for the fake kernel. */
void	 host_fail(const char *) __attribute__((noreturn));
void	 host_console(const char *);
void	*host_map(unsigned long);
void	 host_unmap(void *, unsigned long);
void	 host_forbid(void *, unsigned long);
void	 host_make_writable(void *, unsigned long);
void	 host_set_gs(void *);
/*
 * A monitor, which protects all shared state.  It can be entered recursively.
 */
void	 host_enter(void);
void	 host_leave(void);
int	 host_wait(void);		/* 0: timed out */
void	 host_wake(void);

/* Points at which a test can intervene while the module runs. */
enum fake_hook {
	HOOK_WALK,		/* inp_next() has locked a pcb, or found none */
	HOOK_COPY,		/* uiomove() is about to copy */
	HOOK_SLEEP,		/* pause_sbt() sleeps */
	HOOK_YIELD,		/* kern_yield() lets other threads run */
	HOOK_CLOSE,		/* a connection is about to end */
	HOOK_SWITCH,		/* a connection is between two TCP stacks */
	HOOK_LOCK,		/* a pcb is about to be locked, by inp_next() too */
	HOOK_COUNT
};
void	 fake_hook(enum fake_hook, void (*)(void *), void *);
unsigned long fake_calls(const char *);
unsigned long fake_constant(const char *);
unsigned	 fake_release(void);

/* Clock. */
void	 fake_clock(int hz, unsigned ticks);
void	 fake_clock_step(unsigned long ns);
void	 fake_clock_advance(unsigned long ns);
unsigned long fake_clock_now(void);
unsigned long fake_slept_ns(void);

/* Module. */
int	 fake_load(int osreldate);
int	 fake_unload(int force);
int	 fake_modevent(int);
void	 fake_tunable(const char *, const char *);
int	 fake_sysctl(const char *, void *, unsigned long *, const void *,
	    unsigned long);
void	 fake_unload_of_another_file(void);
void	 fake_refuse_unload(int);	/* as if dtrace(1) used a probe */
void	 fake_probes(void (*)(void *, const char *, const unsigned long *),
	    void *);

/* Memory. */
unsigned long fake_memory_bytes(void);
unsigned long fake_memory_peak(void);
void	 fake_memory_fail(unsigned long after);	/* M_NOWAIT only */

void	 fake_lowmem(void);

/* Threads, users, jails, network stacks. */
void	 fake_attach(void);
void	*fake_vnet(void);			/* the first is the host's */
void	 fake_vnet_free(void *);		/* the next has its address */
void	*fake_jail(unsigned, void *);
void	*fake_jail_inside(unsigned, void *);
void	*fake_cred(unsigned, void *);		/* no jail: the host */
void	 fake_become(void *);
void	 fake_signal(int);			/* what sig_intr() returns */
void	 fake_signal_gone(void);
void	 fake_kill(void);
void	 fake_wants_cpu(int always);	/* another thread */
void	 fake_preempt(void);
void	 fake_see_other_uids(int);
void	 fake_in_sysctl(int);		/* the thread is in sysctl(3) */
unsigned fake_credentials(void);	/* references that the module holds */

/* Stack. */
unsigned long fake_stack_used(void (*)(void *), void *);

/* Connections. */
void	*fake_pcb(void *, void *);
void	 fake_pcbs(void *, void *, unsigned long);
void	 fake_pcbs_rest(void);
unsigned long fake_walk(int statistics);		/* number of connections */
void	 fake_pcb_set(void *, const char *, unsigned long);
void	 fake_pcb_endpoints(void *, int, const unsigned char *, unsigned,
	    const unsigned char *, unsigned);
void	 fake_pcb_stack(void *, const char *, const char *);
int	 fake_log_ids(void);			/* option TCP_BLACKBOX */
void	 fake_pcb_log_id(void *, const char *);
void	 fake_pcb_drop(void *);
void	 fake_pcb_detach(void *);
void	 fake_pcb_timer(void *, unsigned long in_ns, int is_ordinary);
void	 fake_pcb_busy(void *, int ends);
void	 fake_pcb_alternate(void *, unsigned long times);
int	 fake_loses_timers(void);		/* 15.0 */
unsigned fake_timers_lost(void);
void	 fake_softclock(int runs);
int	 fake_pcb_free(void *);			/* 0: it is locked */
void	 fake_pcb_close(void *);		/* tcp_close() */
void	 fake_pcb_discard(void *);		/* tcp_discardcb() */
void	 fake_pcb_switch(void *, const char *, int refuses);
void	 fake_half_open(void *, void *, int, const unsigned char *, unsigned,
	    const unsigned char *, unsigned);

/* TCP stacks. */
void	 fake_stack(const char *, int has_functions);
void	 fake_stack_load(const char *);
unsigned fake_stacks_changed(void);
unsigned fake_stack_references(void);
unsigned fake_stack_calls(void);

/* Device. */
int	 fake_other_device(const char *);
void	 fake_other_device_gone(void);
int	 fake_device(const char *, unsigned *, unsigned *, unsigned *);
int	 fake_open(int, void **);
int	 fake_read(void *, void *, unsigned long, unsigned long fault_at,
	    unsigned long iov_len, unsigned long *);
void	 fake_seek(void *, long);
int	 fake_ioctl(void *, unsigned long, void *);
void	 fake_nonblocking(void *, int);
void	 fake_close(void *);
void	 fake_revoke(void *);
int	 fake_poll(void *, int);
unsigned fake_pollers(void);		/* threads that sleep in poll(2) */
void	 fake_callouts(void);		/* runs those that are due */

/* What a faulty module would do, to check that each case is detected. */
const char *fake_misuse(unsigned);		/* names, NULL after the last */
void	 fake_misbehave(const char *);

#endif
