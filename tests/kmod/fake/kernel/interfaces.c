/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * Network interfaces and the epoch that protects them: net/if.c and
 * kern/subr_epoch.c.  Every network stack has lo0; the host has em0 too.
 */

#include "kernel.h"

#include <net/if.h>
#include <net/if_var.h>

struct interface {
	u_int		index;
	bool		is_of_host;
	const char	*name;
};

static struct interface interfaces[] = {
	{ 1, false, "lo0" },
	{ 4, true, "em0" },
};

epoch_t net_epoch_preempt;

void
_epoch_enter_preempt(epoch_t epoch __unused, epoch_tracker_t et __unused
    EPOCH_FILE_LINE)
{
	this_thread()->epochs++;
}

void
_epoch_exit_preempt(epoch_t epoch __unused, epoch_tracker_t et __unused
    EPOCH_FILE_LINE)
{
	if (this_thread()->epochs-- == 0)
		fail("an epoch is left that was not entered");
}

if_t
ifnet_byindex(u_int index)
{
	u_int i;

	count_call("ifnet_byindex");
	if (this_thread()->epochs == 0)
		fail("ifnet_byindex() outside the network epoch");
	if (curvnet == NULL)
		fail("ifnet_byindex() without a network stack");
	for (i = 0; i < nitems(interfaces); i++) {
		if (interfaces[i].index == index &&
		    (!interfaces[i].is_of_host || IS_DEFAULT_VNET(curvnet)))
			return ((if_t)(void *)&interfaces[i]);
	}
	return (NULL);
}

const char *
if_name(if_t ifp)
{
	if (this_thread()->epochs == 0)
		fail("if_name() outside the network epoch");
	return (((struct interface *)(void *)ifp)->name);
}

size_t
strlcpy(char *to, const char *from, size_t size)
{
	size_t len;

	len = strlen(from);
	if (size > 0) {
		memcpy(to, from, MIN(len, size - 1));
		to[MIN(len, size - 1)] = '\0';
	}
	return (len);
}
