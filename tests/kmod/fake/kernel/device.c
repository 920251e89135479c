/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/* Character devices, open files, and copies to user memory. */

#include "kernel.h"

#define	IOVECS	64

/* devfs_set_cdevpriv(9) */
struct cdev_privdata {
	void		*data;
	d_priv_dtor_t	*destroy;
};

/* A device, and the number of threads in its driver. */
struct node {
	struct cdev	cdev;
	LIST_ENTRY(node) link;
	LIST_HEAD(, handle) files;
	unsigned	threads;
};

/* An open file. */
struct handle {
	struct file	file;
	LIST_ENTRY(handle) link;
	struct node	*node;
	off_t		offset;
	bool		is_revoked;
};

static LIST_HEAD(, node) nodes = LIST_HEAD_INITIALIZER(nodes);
static struct cdevsw other_driver = { .d_version = D_VERSION, .d_name = "other" };
static struct cdev *other_device;

static struct node *
find(const char *name)
{
	struct node *node;

	host_enter();
	LIST_FOREACH(node, &nodes, link)
		if (strcmp(node->cdev.si_name, name) == 0)
			break;
	host_leave();
	return (node);
}

unsigned
devices_alive(void)
{
	struct node *node;
	unsigned count;

	count = 0;
	LIST_FOREACH(node, &nodes, link)
		if (&node->cdev != other_device)
			count++;
	return (count);
}

void
make_dev_args_init_impl(struct make_dev_args *args, size_t size)
{
	memset(args, 0, size);
	args->mda_size = size;
}

int
make_dev_s(struct make_dev_args *args, struct cdev **to, const char *format,
    ...)
{
	struct node *node;
	char name[SPECNAMELEN + 1];
	va_list ap;

	if (args->mda_size != sizeof(*args))
		fail("make_dev_s() with uninitialized arguments");
	if ((args->mda_flags & MAKEDEV_WAITOK) != 0)
		may_sleep("make_dev_s(MAKEDEV_WAITOK)");
	if (args->mda_devsw->d_version != D_VERSION)
		fail("make_dev_s() with a cdevsw of another version");
	va_start(ap, format);
	vsnprintf(name, sizeof(name), format, ap);
	va_end(ap);
	if (find(name) != NULL) {
		if ((args->mda_flags & MAKEDEV_CHECKNAME) == 0)
			panic("make_dev_sv: bad si_name (si_name=%s)", name);
		return (EEXIST);
	}
	node = guarded(sizeof(*node));
	memset(node, 0, sizeof(*node));
	strncpy(node->cdev.si_name, name, sizeof(node->cdev.si_name) - 1);
	node->cdev.si_devsw = args->mda_devsw;
	node->cdev.si_uid = args->mda_uid;
	node->cdev.si_gid = args->mda_gid;
	node->cdev.si_mode = args->mda_mode;
	host_enter();
	LIST_INSERT_HEAD(&nodes, node, link);
	host_leave();
	*to = &node->cdev;
	return (0);
}

static void
drop_private(struct handle *handle)
{
	struct cdev_privdata *private;

	host_enter();
	private = handle->file.f_cdevpriv;
	handle->file.f_cdevpriv = NULL;
	host_leave();
	if (private == NULL)
		return;
	private->destroy(private->data);
	guarded_free(private);
}

void
destroy_dev(struct cdev *cdev)
{
	struct node *node = __containerof(cdev, struct node, cdev);
	struct handle *handle;

	may_sleep("destroy_dev()");
	host_enter();
	LIST_REMOVE(node, link);
	cdev->si_devsw = NULL;
	while (node->threads != 0)
		if (host_wait() == 0)
			fail("destroy_dev() waits forever for a thread");
	host_leave();
	while ((handle = LIST_FIRST(&node->files)) != NULL) {
		drop_private(handle);
		LIST_REMOVE(handle, link);
		handle->node = NULL;
	}
	guarded_free(node);
}

int
fake_other_device(const char *name)
{
	struct make_dev_args args;

	make_dev_args_init(&args);
	args.mda_flags = MAKEDEV_CHECKNAME | MAKEDEV_WAITOK;
	args.mda_devsw = &other_driver;
	return (make_dev_s(&args, &other_device, "%s", name));
}

void
fake_other_device_gone(void)
{
	destroy_dev(other_device);
	other_device = NULL;
}

int
fake_device(const char *name, unsigned *uid, unsigned *gid, unsigned *mode)
{
	struct node *node = find(name);

	if (node == NULL)
		return (ENOENT);
	*uid = node->cdev.si_uid;
	*gid = node->cdev.si_gid;
	*mode = node->cdev.si_mode;
	return (0);
}

int
devfs_set_cdevpriv(void *data, d_priv_dtor_t *destroy)
{
	struct cdev_privdata *private;

	may_sleep("devfs_set_cdevpriv()");
	if (curthread->td_fpop == NULL)
		return (ENOENT);
	if (curthread->td_fpop->f_cdevpriv != NULL)
		return (EBUSY);
	private = guarded(sizeof(*private));
	private->data = data;
	private->destroy = destroy;
	curthread->td_fpop->f_cdevpriv = private;
	return (0);
}

int
devfs_get_cdevpriv(void **data)
{
	struct file *file = curthread->td_fpop;

	if (file == NULL)
		return (EBADF);
	if (file->f_cdevpriv == NULL)
		return (ENOENT);
	*data = file->f_cdevpriv->data;
	return (0);
}

void
devfs_clear_cdevpriv(void)
{
	if (curthread->td_fpop != NULL)
		drop_private(__containerof(curthread->td_fpop, struct handle,
		    file));
}

/* Enters the driver, unless the device has been destroyed. */
static struct cdevsw *
enter_driver(struct node *node, struct file *file)
{
	struct cdevsw *driver;

	holds_nothing("a system call starts");
	host_enter();
	driver = node == NULL ? NULL : node->cdev.si_devsw;
	if (driver != NULL)
		node->threads++;
	host_leave();
	curthread->td_fpop = file;
	return (driver);
}

static void
leave_driver(struct node *node, const char *call)
{
	char when[32];

	curthread->td_fpop = NULL;
	snprintf(when, sizeof(when), "%s ends", call);
	holds_nothing(when);
	host_enter();
	node->threads--;
	host_wake();
	host_leave();
}

int
fake_open(int flags, void **to)
{
	struct handle *handle;
	struct cdevsw *driver;
	struct node *node;
	int error;

	handle = guarded(sizeof(*handle));
	memset(handle, 0, sizeof(*handle));
	handle->file.f_flag = flags;
	host_enter();
	node = find("tcpstats");
	driver = enter_driver(node, &handle->file);
	host_leave();
	if (driver == NULL) {
		curthread->td_fpop = NULL;
		guarded_free(handle);
		return (node == NULL ? ENOENT : ENXIO);
	}
	handle->node = node;
	handle->file.f_data = &node->cdev;
	error = driver->d_open(&node->cdev, flags, S_IFCHR, curthread);
	if (error != 0)
		devfs_clear_cdevpriv();
	else {
		host_enter();
		LIST_INSERT_HEAD(&node->files, handle, link);
		host_leave();
	}
	leave_driver(node, "open");
	if (error != 0)
		guarded_free(handle);
	else
		*to = handle;
	return (error);
}

void
fake_close(void *file)
{
	struct handle *handle = file;
	struct node *node = handle->node;
	struct cdevsw *driver;

	/* The vnode of a revoked file no longer belongs to the driver. */
	driver = handle->is_revoked ? NULL : enter_driver(node, &handle->file);
	if (driver != NULL) {
		/* Every close is reported only with D_TRACKCLOSE. */
		if ((driver->d_flags & D_TRACKCLOSE) != 0 &&
		    driver->d_close(&node->cdev, handle->file.f_flag, S_IFCHR,
		    curthread) != 0)
			fail("d_close() failed");
		host_enter();
		LIST_REMOVE(handle, link);
		host_leave();
		leave_driver(node, "close");
	}
	curthread->td_fpop = NULL;
	drop_private(handle);
	holds_nothing("close ends");
	guarded_free(handle);
}

/* revoke(2), or a forced unmount of the devfs. */
void
fake_revoke(void *file)
{
	struct handle *handle = file;

	host_enter();
	LIST_REMOVE(handle, link);
	handle->is_revoked = true;
	host_leave();
}

/* poll(2) without waiting. */
int
fake_poll(void *file, int events)
{
	struct handle *handle = file;
	struct node *node = handle->node;
	struct cdevsw *driver;
	int revents;

	driver = enter_driver(node, &handle->file);
	if (driver == NULL) {
		curthread->td_fpop = NULL;
		return (POLLNVAL);
	}
	/* no_poll() */
	revents = driver->d_poll == NULL ? events :
	    driver->d_poll(&node->cdev, events, curthread);
	leave_driver(node, "poll");
	return (revents);
}

int
uiomove(void *from, int len, struct uio *uio)
{
	struct iovec *iov;
	unsigned long valid;
	size_t part;

	count_call("uiomove");
	may_sleep("uiomove()");
	if (uio->uio_td != curthread)
		fail("uiomove() by a thread that is not the caller");
	if (len < 0)
		fail("uiomove(%d)", len);
	run_hook(HOOK_COPY);
	while (len > 0 && uio->uio_resid > 0) {
		iov = uio->uio_iov;
		if (iov->iov_len == 0) {
			uio->uio_iov++;
			uio->uio_iovcnt--;
			continue;
		}
		part = MIN(iov->iov_len, (size_t)len);
		valid = this_thread()->user_end - (uintptr_t)iov->iov_base;
		if (part > valid) {
			/*
			 * Bytes before the fault are copied, but not counted.
			 */
			memcpy(iov->iov_base, from, valid);
			return (EFAULT);
		}
		memcpy(iov->iov_base, from, part);
		iov->iov_base = (char *)iov->iov_base + part;
		iov->iov_len -= part;
		uio->uio_resid -= part;
		uio->uio_offset += part;
		from = (char *)from + part;
		len -= part;
	}
	return (0);
}

/*
 * read(2) or readv(2).  User memory ends at fault_at.  If iov_len is not 0, it
 * is the length of each iovec except the last.
 */
int
fake_read(void *file, void *to, unsigned long len, unsigned long fault_at,
    unsigned long iov_len, unsigned long *got)
{
	struct handle *handle = file;
	struct node *node = handle->node;
	struct iovec iov[IOVECS];
	struct uio uio;
	struct cdevsw *driver;
	unsigned long at, part;
	int error;

	*got = 0;
	if (len == 0)
		return (0);
	memset(&uio, 0, sizeof(uio));
	for (at = 0; at < len; at += part) {
		part = len - at;
		if (iov_len != 0 && uio.uio_iovcnt < IOVECS - 1)
			part = MIN(part, iov_len);
		iov[uio.uio_iovcnt].iov_base = (char *)to + at;
		iov[uio.uio_iovcnt++].iov_len = part;
	}
	uio.uio_iov = iov;
	uio.uio_offset = handle->offset;
	uio.uio_resid = len;
	uio.uio_segflg = UIO_USERSPACE;
	uio.uio_rw = UIO_READ;
	uio.uio_td = curthread;
	this_thread()->user_end = (uintptr_t)to + MIN(len, fault_at);
	driver = enter_driver(node, &handle->file);
	if (driver == NULL) {
		curthread->td_fpop = NULL;
		return (ENXIO);
	}
	error = driver->d_read(&node->cdev, &uio,
	    handle->file.f_flag & (O_NONBLOCK | O_DIRECT));
	leave_driver(node, "read");
	handle->offset = uio.uio_offset;
	if ((unsigned long)uio.uio_resid > len)
		fail("read returned more than requested");
	if ((error == EINTR || error == ERESTART || error == EWOULDBLOCK) &&
	    (unsigned long)uio.uio_resid != len)
		error = 0;
	*got = len - uio.uio_resid;
	return (error);
}

void
fake_seek(void *file, long offset)
{
	((struct handle *)file)->offset = offset;
}

void
fake_nonblocking(void *file, int nonblocking)
{
	struct handle *handle = file;

	if (nonblocking)
		handle->file.f_flag |= O_NONBLOCK;
	else
		handle->file.f_flag &= ~O_NONBLOCK;
}

/* ioctl(2).  User memory must have the size that is encoded in the command. */
int
fake_ioctl(void *file, unsigned long command, void *user)
{
	struct handle *handle = file;
	struct node *node = handle->node;
	struct cdevsw *driver;
	unsigned com = command;
	size_t size = IOCPARM_LEN(com);
	char *data;
	int error;

	if (size > IOCPARM_MAX || (com & (IOC_VOID | IOC_IN | IOC_OUT)) == 0 ||
	    ((com & (IOC_IN | IOC_OUT)) != 0 && size == 0) ||
	    ((com & IOC_VOID) != 0 && size > 0 && size != sizeof(int)))
		return (ENOTTY);
	/* The memory after its end is inaccessible. */
	data = guarded(size > 0 ? size : sizeof(void *));
	if ((com & (IOC_VOID | IOC_IN)) == IOC_IN)
		memcpy(data, user, size);
	else
		memset(data, 0, size);
	driver = enter_driver(node, &handle->file);
	if (driver == NULL) {
		curthread->td_fpop = NULL;
		guarded_free(data);
		return (ENXIO);
	}
	error = driver->d_ioctl(&node->cdev, com, data, handle->file.f_flag,
	    curthread);
	leave_driver(node, "ioctl");
	if (error == ENOIOCTL)
		error = ENOTTY;
	if (error == 0 && (com & IOC_OUT) != 0 && (com & IOC_VOID) == 0)
		memcpy(user, data, size);
	guarded_free(data);
	return (error);
}
