/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loaded into the logger by LD_PRELOAD: on SIGUSR2 the process itself tries
 * what it must not be able to do, and writes into its log's directory what came
 * of it.  A signal is answered by a thread of the logger, inside the sandbox.
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
tell(const char *what, int result)
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
	tell("read_shadow", open("/etc/shadow", O_RDONLY));
	tell("read_passwd", open("/etc/passwd", O_RDONLY));
	snprintf(path, sizeof(path), "%s/there", outside);
	tell("create_outside", open(path, O_WRONLY | O_CREAT, 0644));
	tell("write_outside", open(getenv("PROBE_EXISTING"), O_WRONLY | O_APPEND));
	tell("write_tmp", open("/tmp/siftr_cdev_probe", O_WRONLY | O_CREAT, 0644));
	snprintf(path, sizeof(path), "%s/subdirectory", directory);
	tell("make_directory", mkdir(path, 0755));
	tell("remove_log", unlink(getenv("PROBE_LOG")));
	tell("execute", execl("/bin/true", "true", (char *)NULL));
	tell("become_root", setuid(0));
	sock = socket(AF_INET, SOCK_STREAM, 0);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	tell("connect", connect(sock, (struct sockaddr *)&server, sizeof(server)));
	close(sock);
	snprintf(path, sizeof(path), "%s/report", directory);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (file < 0 || write(file, report, strlen(report)) < 0)
		abort();
	close(file);
}

__attribute__((constructor)) static void
begin(void)
{
	struct sigaction action = { .sa_handler = probe };

	sigaction(SIGUSR2, &action, NULL);
}
