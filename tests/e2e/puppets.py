# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Processes that do what a test says, and a program that finds the owners of their sockets."""

import collections
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWNERS = os.environ.get("SIFTR_CDEV_OWNERS", str(ROOT / "target/release/examples/owners"))

# Where puppets receive sockets, also from other network namespaces.
ADDRESS = f"{tempfile.gettempdir()}/puppet-%d"

# The main loop of a puppet: it executes lines of Python, and prints the value of `result`.
LOOP = r"""
import array, ctypes, os, signal, socket, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
letters = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
letters.bind(ADDRESS % os.getpid())
mine = {}

def add(sock):
    "Keeps a socket, and returns its inode number."
    inode = os.fstat(sock.fileno()).st_ino
    mine[inode] = sock
    return inode

def listen():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(1000)
    return sock

def pairs(count):
    "Opens connections, and returns the inode numbers of both ends."
    with listen() as listener:
        found = []
        for _ in range(count):
            client = socket.create_connection(listener.getsockname())
            found += [add(client), add(listener.accept()[0])]
        return found

def close(inode):
    mine.pop(inode).close()

def send(inode, pid):
    "Sends a socket to another puppet and keeps it."
    rights = socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [mine[inode].fileno()])
    letters.sendmsg([b"x"], [rights], 0, ADDRESS % pid)

def receive():
    descriptor = socket.recv_fds(letters, 1, 1)[1][0]
    return add(socket.socket(fileno=descriptor))

def fork():
    "Starts a child that has the same sockets and waits for a signal."
    pid = os.fork()
    if pid == 0:
        os.close(0)
        while True:
            signal.pause()
    return pid

for line in sys.stdin:
    result = None
    exec(eval(line))
    print(repr(result), flush=True)
"""


class Puppet:
    """A process that executes Python."""

    def __init__(self, enter=(), name=None):
        # The name of a script is not that of the process.
        start = f"ADDRESS = {ADDRESS!r}\n" + (f"open('/proc/self/comm', 'w').write({name!r})\n" if name else "")
        line = [*enter, sys.executable, "-c", start + LOOP]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.do("result = os.getpid()")

    def do(self, code):
        """Executes statements, and returns `result`."""
        self.start(code)
        return self.finish()

    def start(self, code):
        print(repr(code), file=self.process.stdin, flush=True)

    def finish(self):
        return eval(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        os.unlink(ADDRESS % self.pid)


Owner = collections.namedtuple("Owner", "pid processes container command")


class Finder:
    """The program that finds owners."""

    def __init__(self, *arguments, enter=()):
        line = [*enter, OWNERS, *map(str, arguments)]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def find(self, inodes):
        """Returns the owner of each of these sockets that has one."""
        print(*inodes, file=self.process.stdin, flush=True)
        found = {}
        for inode in inodes:
            words = self.process.stdout.readline().rstrip("\n").split(" ", 3)
            if words != ["-"]:
                found[inode] = Owner(int(words[0]), int(words[1]), words[2], words[3])
        assert self.process.stdout.readline() == "\n"
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0


def scan():
    """Returns for each socket the processes that have it open, from all descriptors in /proc."""
    holders = collections.defaultdict(set)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for task in tasks(pid):
            try:
                descriptors = os.listdir(f"/proc/{pid}/task/{task}/fd")
            except OSError:
                continue
            for descriptor in descriptors:
                try:
                    link = os.readlink(f"/proc/{pid}/task/{task}/fd/{descriptor}")
                except OSError:
                    continue
                if link.startswith("socket:["):
                    holders[int(link[8:-1])].add(int(pid))
    return holders


def tasks(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def expected(inodes):
    """Returns what a scan finds for these sockets: the process, the number of processes and the command."""
    holders = scan()
    return {inode: owner_among(holders[inode]) for inode in inodes if holders.get(inode)}


def owner_among(pids):
    return min(pids), len(pids), command_of(min(pids))


def command_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().removesuffix("\n")


def summary(owners):
    """Returns found owners in the same form."""
    return {inode: (owner.pid, owner.processes, owner.command) for inode, owner in owners.items()}
