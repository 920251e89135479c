/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Console, panic, clock, and queries of tests. */

#include "kernel.h"

int hz = 1000;
volatile int ticks = 100000;
int kernel_version = __FreeBSD_version;

static struct {
	void	(*run)(void *);
	void	*arg;
} hooks[HOOK_COUNT];

static struct {
	const char	*function;
	unsigned long	count;
} calls[32];

static unsigned long clock_ns = 1000000000000UL;
static unsigned long clock_step_ns = 100;
static unsigned long slept_ns;

static const unsigned long booted_wall_s = 1700000000UL;

void
fail(const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	host_fail(text);
}

void
panic(const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fail("panic: %s", text);
}

int
printf(const char *format, ...)
{
	char text[512];
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	host_console(text);
	return (len);
}

void
count_call(const char *function)
{
	unsigned i;

	host_enter();
	/* Names are compared by address: each caller has its own literal. */
	for (i = 0; calls[i].function != function; i++) {
		if (i == nitems(calls) - 1)
			fail("too many functions are counted");
		if (calls[i].function == NULL) {
			calls[i].function = function;
			break;
		}
	}
	calls[i].count++;
	host_leave();
}

unsigned long
fake_calls(const char *function)
{
	unsigned long count;
	unsigned i;

	count = 0;
	for (i = 0; i < nitems(calls) && calls[i].function != NULL; i++)
		if (strcmp(calls[i].function, function) == 0)
			count += calls[i].count;
	return (count);
}

void
fake_hook(enum fake_hook which, void (*run)(void *), void *arg)
{
	hooks[which].run = run;
	hooks[which].arg = arg;
}

/* Returns whether the test has set the hook. */
bool
run_hook(enum fake_hook which)
{
	if (hooks[which].run == NULL)
		return (false);
	hooks[which].run(hooks[which].arg);
	return (true);
}

unsigned
fake_release(void)
{
	return (__FreeBSD_version / 100000);
}

#define	CONSTANT(name)	{ #name, name }
static const struct {
	const char	*name;
	unsigned long	value;
} constants[] = {
	CONSTANT(TF_ACKNOW),
	CONSTANT(TF_DELACK),
	CONSTANT(TF_FASTOPEN),
	CONSTANT(TF_NOPUSH),
	CONSTANT(TF_RCVD_SCALE),
	CONSTANT(TF_RCVD_TSTMP),
	CONSTANT(TF_REQ_SCALE),
	CONSTANT(TF_REQ_TSTMP),
	CONSTANT(TF_SACK_PERMIT),
	CONSTANT(TF_SENTFIN),
	CONSTANT(TF_TOE),
	CONSTANT(TF2_ACE_PERMIT),
	CONSTANT(TF2_ECN_PERMIT),
	CONSTANT(TCP_TMR_GRANULARITY_TICKS),
	CONSTANT(TCP_TMR_GRANULARITY_USEC),
	CONSTANT(INP_IPV4),
	CONSTANT(INP_IPV6),
	CONSTANT(INP_DROPPED),
	CONSTANT(SO_ACCEPTCONN),
	CONSTANT(SO_LINGER),
	CONSTANT(TF_CLOSED),
	CONSTANT(FREAD),
	CONSTANT(FWRITE),
	CONSTANT(MOD_LOAD),
	CONSTANT(MOD_UNLOAD),
	CONSTANT(MOD_SHUTDOWN),
	CONSTANT(MOD_QUIESCE),
	CONSTANT(__FreeBSD_version),
	CONSTANT(EPERM),
	CONSTANT(ENOENT),
	CONSTANT(EINTR),
	CONSTANT(ENXIO),
	CONSTANT(ENOEXEC),
	CONSTANT(EAGAIN),
	CONSTANT(EFAULT),
	CONSTANT(EBUSY),
	CONSTANT(EEXIST),
	CONSTANT(EINVAL),
	CONSTANT(ENFILE),
	CONSTANT(EMFILE),
	CONSTANT(ENOTTY),
	CONSTANT(ENOMEM),
	CONSTANT(ECONNABORTED),
	CONSTANT(ECONNREFUSED),
	CONSTANT(ECONNRESET),
	CONSTANT(ETIMEDOUT),
	CONSTANT(EOPNOTSUPP),
	CONSTANT(POLLIN),
	CONSTANT(POLLOUT),
	CONSTANT(POLLRDNORM),
	CONSTANT(FIONBIO),
	CONSTANT(FIOASYNC),
	CONSTANT(FIOCLEX),
	CONSTANT(FIONCLEX),
	{ "ERESTART", (unsigned long)ERESTART },
};

unsigned long
fake_constant(const char *name)
{
	unsigned i;

	for (i = 0; i < nitems(constants); i++)
		if (strcmp(constants[i].name, name) == 0)
			return (constants[i].value);
	fail("the fake kernel has no constant %s", name);
}

/* The clock advances by a step whenever it is read. */
static unsigned long
read_clock(void)
{
	return (atomic_fetchadd_long(&clock_ns, clock_step_ns));
}

void
nanouptime(struct timespec *ts)
{
	unsigned long now;

	now = read_clock();
	ts->tv_sec = now / 1000000000;
	ts->tv_nsec = now % 1000000000;
}

void
nanotime(struct timespec *ts)
{
	nanouptime(ts);
	ts->tv_sec += booted_wall_s;
}

void
binuptime(struct bintime *bt)
{
	struct timespec ts;

	nanouptime(&ts);
	timespec2bintime(&ts, bt);
}

/* The time of the last tick. */
void
getbinuptime(struct bintime *bt)
{
	struct timespec ts;
	unsigned long tick_ns = 1000000000 / hz, now;

	now = clock_ns / tick_ns * tick_ns;
	ts.tv_sec = now / 1000000000;
	ts.tv_nsec = now % 1000000000;
	timespec2bintime(&ts, bt);
}

void
fake_clock(int new_hz, unsigned new_ticks)
{
	hz = new_hz;
	ticks = (int)new_ticks;
}

void
fake_clock_step(unsigned long ns)
{
	clock_step_ns = ns;
}

void
fake_clock_advance(unsigned long ns)
{
	atomic_add_long(&clock_ns, ns);
}

unsigned long
fake_clock_now(void)
{
	return (clock_ns);
}

unsigned long
fake_slept_ns(void)
{
	return (slept_ns);
}

int
pause_sbt(const char *wmesg __unused, sbintime_t sbt,
    sbintime_t pr __unused, int flags)
{
	unsigned long ns;

	count_call("pause_sbt");
	may_sleep("pause_sbt()");
	if (sbt <= 0)
		fail("pause_sbt(%jd): invalid time", (intmax_t)sbt);
	run_hook(HOOK_SLEEP);
	if ((flags & C_CATCH) != 0 && signal_is_pending() &&
	    this_thread()->signal != 0)
		return (this_thread()->signal);
	/* Round up, so that no thread wakes too early. */
	ns = sbttons(sbt) + 1;
	atomic_add_long(&clock_ns, ns);
	atomic_add_long(&slept_ns, ns);
	timers_fire();
	return (EWOULDBLOCK);
}
