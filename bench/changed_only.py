#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What -x saves: bytes and CPU time of the logger beside those of logging everything."""

import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CONNECTIONS = 500
SECONDS = 10
REPEATS = 3


class Load:
    """Connections on loopback, of which some send a message every 20 ms."""

    def __init__(self, working):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
        self.clients, self.servers = [], []
        for _ in range(CONNECTIONS):
            self.clients.append(socket.create_connection(self.listener.getsockname()))
            self.servers.append(self.listener.accept()[0])
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=self.send, args=(self.clients[:working],)),
            threading.Thread(target=self.swallow, args=(self.servers[:working],)),
        ]
        for thread in self.threads:
            thread.start()

    def send(self, clients):
        while not self.stop.wait(0.02):
            for client in clients:
                client.send(b"x" * 100)

    def swallow(self, servers):
        ready = selectors.DefaultSelector()
        for server in servers:
            ready.register(server, selectors.EVENT_READ)
        while not self.stop.is_set():
            for key, _ in ready.select(0.1):
                key.fileobj.recv(65536)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for each in [self.listener, *self.clients, *self.servers]:
            each.close()

    def port(self):
        return self.listener.getsockname()[1]


def measure(logger, load, options):
    """Bytes of the log and CPU seconds of a logger that runs for a while."""
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "x.csv")
        process = subprocess.Popen([logger, "-o", log, "-t", str(SECONDS), "-e", f"port {load.port()}", *options])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit("the logger failed")
        return os.path.getsize(log), usage.ru_utime + usage.ru_stime


def main():
    logger = sys.argv[1]
    print(f"{2 * CONNECTIONS} ends of connections every 50 ms for {SECONDS} s, csv, median of {REPEATS}")
    print(f"{'connections that work':24}{'log':10}{'MB':>8}{'ratio':>8}{'CPU s':>8}{'ratio':>8}")
    for working in (0, CONNECTIONS // 10, CONNECTIONS):
        load = Load(working)
        time.sleep(0.5)
        kinds = {"all": [], "changes": ["-x"]}
        # In turns, so that what else the machine does falls on both.
        runs = [{name: measure(logger, load, options) for name, options in kinds.items()} for _ in range(REPEATS)]
        load.end()
        found = {name: [statistics.median(run[name][i] for run in runs) for i in (0, 1)] for name in kinds}
        for name, (size, cpu) in found.items():
            share = [value / whole for value, whole in zip((size, cpu), found["all"])]
            row = f"{size / 1e6:8.2f}{share[0]:8.3f}{cpu:8.2f}{share[1]:8.2f}"
            print(f"{f'{working} of {CONNECTIONS}':24}{name:10}{row}")


if __name__ == "__main__":
    main()
