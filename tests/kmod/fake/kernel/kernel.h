/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Declarations that the parts of the fake kernel share. */
#ifndef _FAKE_KERNEL_H_
#define	_FAKE_KERNEL_H_

/* As for the module, which is built with probes. */
#define	KDTRACE_HOOKS	1

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/callout.h>
#include <sys/conf.h>
#include <sys/counter.h>
#include <sys/epoch.h>
#include <sys/eventhandler.h>
#include <sys/fcntl.h>
#include <sys/file.h>
#include <sys/filio.h>
#include <sys/jail.h>
#include <sys/kernel.h>
#include <sys/ktr.h>
#include <sys/linker.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/module.h>
#include <sys/mutex.h>
#include <sys/pcpu.h>
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sx.h>
#include <sys/sysctl.h>
#include <sys/time.h>
#include <sys/ucred.h>
#include <sys/uio.h>

#include <machine/stdarg.h>

#include <net/vnet.h>
#include <netinet/in.h>
#include <netinet/in_pcb.h>
#include <netinet/in_systm.h>
#include <netinet/tcp.h>
#include <netinet/tcp_fsm.h>
#include <netinet/tcp_var.h>
#include <netinet/tcp_syncache.h>
#include <netinet/tcp_log_buf.h>
#include <netinet/cc/cc.h>
#include <netinet6/ip6_var.h>

#include "fake.h"

/* A linker set of the module.  The linker defines the symbols of its ends. */
#define	SET(name, type)							\
	extern type *name##_start[] __asm("__start_set_" #name) __weak_symbol; \
	extern type *name##_stop[] __asm("__stop_set_" #name) __weak_symbol
#define	FOREACH(var, name)						\
	for ((var) = name##_start; (var) < name##_stop; (var)++)

/* A lock that a thread holds. */
struct held {
	const void	*lock;
	const char	*name;
	bool		may_sleep;	/* sx: its holder may sleep */
};

/* A kernel thread.  %gs points to its pcpu while it runs. */
struct fake_thread {
	struct pcpu	pcpu;
	struct thread	td;
	struct proc	proc;
	struct held	held[8];
	int		held_count;
	int		epochs;		/* network epochs entered */
	int		smr_sections;	/* SMR sections entered */
	int		signal;		/* what sig_intr() returns */
	bool		always_wants;	/* kern_yield() keeps TDA_SCHED */
	uintptr_t	user_end;	/* end of the caller's memory */
};

/* Differences between the releases. */
#if __FreeBSD_version < 1500000
#define	SYSINIT_ARGUMENT	void *
#else
#define	SYSINIT_ARGUMENT	const void *
#endif

static inline struct fake_thread *
this_thread(void)
{
	return (__containerof(curthread, struct fake_thread, td));
}

static inline bool
signal_is_pending(void)
{
	return ((curthread->td_ast & TDAI(TDA_SIG)) != 0);
}

/* kernel.c */
extern int kernel_version __asm("osreldate");	/* const in the headers */
void	 fail(const char *, ...) __printflike(1, 2) __dead2;
void	 count_call(const char *);
bool	 run_hook(enum fake_hook);

/* locks.c */
void	 may_sleep(const char *);
void	 holds_nothing(const char *);
void	 pcb_lock_init(struct inpcb *);
void	 pcb_rlock(struct inpcb *);
bool	 pcb_try_rlock(struct inpcb *);
void	 pcb_wait(void);
bool	 pcb_is_rlocked(const struct inpcb *);
bool	 pcb_is_locked(const struct inpcb *);
void	 pcb_wlock(struct inpcb *);
void	 pcb_wunlock(struct inpcb *);
bool	 pcb_is_wlocked(const struct inpcb *);
unsigned locks_alive(void);
bool	 is_held(const void *);

/* memory.c: memory with inaccessible pages around it. */
void	*guarded(size_t);
void	 guarded_free(void *);

/* connections.c */
void	 connections_of(struct vnet *);
unsigned references_alive(void);
void	 timers_fire(void);

/* tcp.c */
void	 tcp_init(void);
struct tcp_function_block *stack_register(const char *, bool);
struct tcp_function_block *stack_find(const char *);

/* thread.c */
unsigned credentials_held(void);

/* vnets.c */
void	 vnet_sysinits_init(void);
void	 vnet_created(struct vnet *);
void	 vnet_removed(struct vnet *);

/* device.c */
unsigned devices_alive(void);

/* events.c */
bool	 sdt_knows_the_probes(void);
void	 sdt_learns_the_probes(void);
int	 run_unload_handlers(struct linker_file *, bool is_ours);
void	 run_load_handlers(void);
void	 check_events_after_unload(void);

/* sysctl.c */
void	 register_sysctls(void);
void	 unregister_sysctls(void);

#endif
