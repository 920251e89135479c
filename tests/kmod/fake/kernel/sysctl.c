/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* The module's sysctls, and loader.conf(5) for tunables. */

#include "kernel.h"

#define	LOADER_TUNABLES	8

SET(sysctl_set, struct sysctl_oid);
struct sysctl_oid sysctl___net_inet;

static bool registered;
static struct {
	const char	*name, *value;
} tunables[LOADER_TUNABLES];

static struct sysctl_oid **
find_oid(const char *name)
{
	struct sysctl_oid **oid, **parent;
	char path[128];

	FOREACH(oid, sysctl_set) {
		path[0] = '\0';
		if ((*oid)->oid_parent == SYSCTL_CHILDREN(&sysctl___net_inet))
			continue;
		FOREACH(parent, sysctl_set)
			if ((*oid)->oid_parent == SYSCTL_CHILDREN(*parent))
				snprintf(path, sizeof(path), "net.inet.%s.%s",
				    (*parent)->oid_name, (*oid)->oid_name);
		if (strcmp(path, name) == 0)
			return (oid);
	}
	return (NULL);
}

static int
copy_out(struct sysctl_req *req, const void *from, size_t len)
{
	size_t room = req->oldlen > req->oldidx ? req->oldlen - req->oldidx : 0;

	may_sleep("SYSCTL_OUT()");
	if (req->oldptr != NULL)
		memcpy((char *)req->oldptr + req->oldidx, from, MIN(len, room));
	req->oldidx += len;
	return (req->oldptr != NULL && room < len ? ENOMEM : 0);
}

static int
copy_in(struct sysctl_req *req, void *to, size_t len)
{
	may_sleep("SYSCTL_IN()");
	if (req->newptr == NULL)
		return (0);
	if (req->newlen - req->newidx < len)
		return (EINVAL);
	memcpy(to, (const char *)req->newptr + req->newidx, len);
	req->newidx += len;
	return (0);
}

static int
handle(void *value, size_t size, struct sysctl_req *req)
{
	int error;

	error = SYSCTL_OUT(req, value, size);
	if (error == 0 && req->newptr != NULL)
		error = SYSCTL_IN(req, value, size);
	return (error);
}

int
sysctl_handle_int(SYSCTL_HANDLER_ARGS)
{
	return (handle(arg1, sizeof(int), req));
}

int
sysctl_handle_long(SYSCTL_HANDLER_ARGS)
{
	return (handle(arg1, sizeof(long), req));
}

int
sysctl_handle_64(SYSCTL_HANDLER_ARGS)
{
	return (handle(arg1, sizeof(uint64_t), req));
}

int
sysctl_handle_string(SYSCTL_HANDLER_ARGS)
{
	char *text = arg1;
	size_t len;
	int error;

	error = SYSCTL_OUT(req, text, strlen(text) + 1);
	if (error != 0 || req->newptr == NULL)
		return (error);
	len = req->newlen - req->newidx;
	if (len >= (size_t)arg2)
		return (EINVAL);
	error = SYSCTL_IN(req, text, len);
	text[len] = '\0';
	return (error);
}

static int
request(struct sysctl_oid *oid, void *old, unsigned long *oldlen,
    const void *new, unsigned long newlen)
{
	struct sysctl_req req = {
		.td = curthread,
		.oldptr = old,
		.oldlen = oldlen != NULL ? *oldlen : 0,
		.oldfunc = copy_out,
		.newptr = new,
		.newlen = newlen,
		.newfunc = copy_in,
	};
	int error;

	error = oid->oid_handler(oid, oid->oid_arg1, oid->oid_arg2, &req);
	if (oldlen != NULL)
		*oldlen = req.oldidx;
	return (error);
}

int
fake_sysctl(const char *name, void *old, unsigned long *oldlen,
    const void *new, unsigned long newlen)
{
	struct sysctl_oid **oid = find_oid(name);
	int error;

	if (!registered || oid == NULL)
		return (ENOENT);
	if (new != NULL && ((*oid)->oid_kind & CTLFLAG_WR) == 0)
		return (EPERM);
	if ((*oid)->oid_descr == NULL || (*oid)->oid_descr[0] == '\0')
		fail("sysctl %s has no description", name);
	holds_nothing("sysctl starts");
	error = request(*oid, old, oldlen, new, newlen);
	holds_nothing("sysctl ends");
	return (error);
}

/* A line of loader.conf(5), for later loads. */
void
fake_tunable(const char *name, const char *value)
{
	unsigned i;

	for (i = 0; i < nitems(tunables) && tunables[i].name != NULL; i++)
		continue;
	if (i == nitems(tunables))
		fail("too many tunables");
	tunables[i].name = name;
	tunables[i].value = value;
}

void
register_sysctls(void)
{
	struct sysctl_oid **oid;
	unsigned long value;
	size_t size;
	unsigned i;

	for (i = 0; i < nitems(tunables) && tunables[i].name != NULL; i++) {
		oid = find_oid(tunables[i].name);
		if (oid == NULL || ((*oid)->oid_kind & CTLFLAG_TUN) == 0)
			continue;
		value = strtoul(tunables[i].value, NULL, 0);
		size = ((*oid)->oid_kind & CTLTYPE) == CTLTYPE_ULONG ?
		    sizeof(unsigned long) : sizeof(unsigned);
		(void)request(*oid, NULL, NULL, &value, size);
	}
	registered = true;
}

void
unregister_sysctls(void)
{
	registered = false;
}
