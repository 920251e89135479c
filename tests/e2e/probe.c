/* SPDX-License-Identifier: BSD-2-Clause
 * Copyright (c) 2026 The siftr_cdev maintainers
 *
 * This library is loaded into the logger with LD_PRELOAD.  On SIGUSR2 the logger
 * tries operations that must not be allowed, and writes their results to the
 * directory of its log.  The signal handler runs in a thread of the logger, inside
 * the sandbox.
 *
 * A helper process of the logger, which receives no signals, tries its operations when
 * it first waits, and writes the results to memory that it shares with the logger, whose
 * report contains them with the prefix helper_.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define	REPORT_LEN 4096

static char report[2 * REPORT_LEN];

/* The results of a helper process. */
static char *shared;

static void
append(char *to, const char *what, int result)
{
	size_t used = strlen(to);

	snprintf(to + used, REPORT_LEN - used, "%s=%s\n", what, result < 0 ? strerrorname_np(errno) : "done");
	if (result > 2)
		close(result);
}

static void
record(const char *what, int result)
{
	append(report, what, result);
}

static void
probe_helper(void)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/helper", getenv("PROBE_OUTSIDE"));
	append(shared, "helper_read_shadow", open("/etc/shadow", O_RDONLY));
	append(shared, "helper_create", open(path, O_WRONLY | O_CREAT, 0644));
	append(shared, "helper_temporary", open(getenv("PROBE_OUTSIDE"), O_RDONLY | O_TMPFILE, 0644));
	append(shared, "helper_write", open(getenv("PROBE_EXISTING"), O_WRONLY | O_APPEND));
	append(shared, "helper_truncate", open(getenv("PROBE_EXISTING"), O_RDONLY | O_TRUNC));
	append(shared, "helper_remove", unlink(getenv("PROBE_EXISTING")));
	append(shared, "helper_inet_socket", socket(AF_INET, SOCK_STREAM, 0));
	append(shared, "helper_route_socket", socket(AF_NETLINK, SOCK_RAW, 0));
	append(shared, "helper_unix_socket", socket(AF_UNIX, SOCK_STREAM, 0));
	append(shared, "helper_execute", execl("/bin/true", "true", (char *)NULL));
	append(shared, "helper_fork", (int)syscall(SYS_fork));
	append(shared, "helper_become_root", setuid(0));
	append(shared, "helper_trace", (int)ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
	append(shared, "helper_kill", kill(getppid(), SIGKILL));
	append(shared, "helper_mount", mount("none", getenv("PROBE_OUTSIDE"), "tmpfs", 0, NULL));
	append(shared, "helper_unshare", unshare(CLONE_NEWNET));
	append(shared, "helper_enter_mounts", setns(0, CLONE_NEWNS));
	append(shared, "helper_enter_any", setns(0, 0));
	append(shared, "helper_list", open("/proc", O_RDONLY | O_DIRECTORY));
	append(shared, "helper_diag_socket", socket(AF_NETLINK, SOCK_RAW, 4));
}

static void
probe_if_helper(void)
{
	char name[16] = "";

	if (prctl(PR_GET_NAME, name) == -1 && shared[0] == '\0')
		probe_helper();
}

int
poll(struct pollfd *descriptors, nfds_t count, int timeout)
{
	struct timespec time = { .tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L };

	probe_if_helper();
	return (ppoll(descriptors, count, timeout < 0 ? NULL : &time, NULL));
}

ssize_t
read(int descriptor, void *buffer, size_t size)
{
	probe_if_helper();
	return (syscall(SYS_read, descriptor, buffer, size));
}

static void
probe(int signal)
{
	const char *directory = getenv("PROBE_DIRECTORY"), *outside = getenv("PROBE_OUTSIDE");
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(atoi(getenv("PROBE_PORT"))) };
	char path[1024];
	int file, sock;

	(void)signal;
	report[0] = '\0';
	record("read_shadow", open("/etc/shadow", O_RDONLY));
	record("read_passwd", open("/etc/passwd", O_RDONLY));
	snprintf(path, sizeof(path), "%s/created", outside);
	record("create_outside", open(path, O_WRONLY | O_CREAT, 0644));
	record("write_outside", open(getenv("PROBE_EXISTING"), O_WRONLY | O_APPEND));
	record("write_tmp", open("/tmp/siftr_cdev_probe", O_WRONLY | O_CREAT, 0644));
	snprintf(path, sizeof(path), "%s/subdirectory", directory);
	record("make_directory", mkdir(path, 0755));
	record("remove_log", unlink(getenv("PROBE_LOG")));
	record("execute", execl("/bin/true", "true", (char *)NULL));
	record("become_root", setuid(0));
	/* Landlock does not restrict opening the files of namespaces. */
	record("list_descriptors", open("/proc/1/fd", O_RDONLY | O_DIRECTORY));
	file = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	record("enter_namespace", setns(file, CLONE_NEWNET));
	close(file);
	sock = socket(AF_INET, SOCK_STREAM, 0);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	record("connect", connect(sock, (struct sockaddr *)&server, sizeof(server)));
	close(sock);
	strcat(report, shared);
	snprintf(path, sizeof(path), "%s/report", directory);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (file < 0 || write(file, report, strlen(report)) < 0)
		abort();
	close(file);
}

__attribute__((constructor)) static void
install(void)
{
	struct sigaction action = { .sa_handler = probe };

	shared = mmap(NULL, REPORT_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	sigaction(SIGUSR2, &action, NULL);
}
