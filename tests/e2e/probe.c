/* SPDX-License-Identifier: BSD-2-Clause
 * Copyright (c) 2026 The siftr_cdev maintainers
 *
 * This library is loaded into the logger with LD_PRELOAD.  On SIGUSR2 the logger
 * tries operations that must not be allowed, and writes their results to the
 * directory of its log.  The signal handler runs in a thread of the logger, inside
 * the sandbox.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char report[4096];

static void
record(const char *what, int result)
{
	size_t used = strlen(report);

	snprintf(report + used, sizeof(report) - used, "%s=%s\n", what, result < 0 ? strerrorname_np(errno) : "done");
	if (result > 2)
		close(result);
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
	sock = socket(AF_INET, SOCK_STREAM, 0);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	record("connect", connect(sock, (struct sockaddr *)&server, sizeof(server)));
	close(sock);
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

	sigaction(SIGUSR2, &action, NULL);
}
