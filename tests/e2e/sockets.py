# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Real TCP sockets, in this network namespace or in others, and the kernel's information about them."""

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)

# struct tcp_info of linux/tcp.h.
MEMBERS = [
    ("B", "state ca_state retransmits probes backoff options wscale limited"),
    ("I", "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets"),
    ("I", "last_data_sent last_ack_sent last_data_recv last_ack_recv"),
    ("I", "pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering"),
    ("I", "rcv_rtt rcv_space total_retrans"),
    ("Q", "pacing_rate max_pacing_rate bytes_acked bytes_received"),
    ("I", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
    ("Q", "delivery_rate busy_time rwnd_limited sndbuf_limited"),
    ("I", "delivered delivered_ce"),
    ("Q", "bytes_sent bytes_retrans"),
    ("I", "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd"),
]


def tcp_info(connection):
    """Returns the TCP_INFO of a socket.  The kernel must have every member above (Linux 6.2 and later)."""
    names = [name for _, members in MEMBERS for name in members.split()]
    layout = "=" + "".join(code * len(members.split()) for code, members in MEMBERS)
    data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)
    info = dict(zip(names, struct.unpack_from(layout, data), strict=True))
    # Two bit fields of four bits.  On a little-endian machine the first is in the low bits.
    scales = info["wscale"] & 15, info.pop("wscale") >> 4
    info["snd_wscale"], info["rcv_wscale"] = scales if sys.byteorder == "little" else scales[::-1]
    return info


def ends_of(connection):
    """Returns local address and port, foreign address and port.  An IPv4-mapped address is returned as IPv4."""
    both = connection.getsockname()[:2] + connection.getpeername()[:2]
    return tuple(part.removeprefix("::ffff:") if isinstance(part, str) and "." in part else part for part in both)


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class ThisNamespace:
    """The network namespace in which the tests run."""

    enter = ()
    inside = contextlib.nullcontext


def ip(line, program="ip"):
    """Runs an ip(8) command, which must succeed."""
    done = subprocess.run([program, *line.split()], capture_output=True, text=True)
    assert done.returncode == 0, f"{program} {line}: {done.stderr}"


class Namespace:
    """A network namespace.  Sockets that are created `inside` it stay in it."""

    created = 0

    def __init__(self):
        Namespace.created += 1
        self.name = f"e2e-{os.getpid()}-{Namespace.created}"
        self.enter = ["ip", "netns", "exec", self.name]
        ip(f"netns add {self.name}")
        ip(f"-n {self.name} link set lo up")

    @contextlib.contextmanager
    def inside(self):
        """Runs this thread in the namespace."""
        own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        with open(own) as home, open(f"/run/netns/{self.name}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns to {self.name}")
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), CLONE_NEWNET) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        ip(f"netns del {self.name}")


class Link:
    """Two network namespaces, `near` and `far`, connected by a pair of interfaces."""

    near4, far4, near6, far6 = "10.71.0.1", "10.71.0.2", "fd71::1", "fd71::2"
    # Another address of far.  After `cut`, packets from near to it are lost.
    cut4 = "10.71.0.3"

    def __init__(self, near, far):
        self.near, self.far = self.sides = near, far
        ip(f"-n {near.name} link add veth0 type veth peer name veth0 netns {far.name}")
        for side, addresses in (near, [self.near4, self.near6]), (far, [self.far4, self.cut4, self.far6]):
            ip(f"-n {side.name} link set veth0 up")
            for address in addresses:
                ip(f"-n {side.name} address add {address}/{64 if ':' in address else 24} dev veth0 nodad")

    def bottleneck(self):
        """Limits the link to 10 Mbit/s, with a short queue that drops packets when it is full."""
        for side in (self.near, self.far):
            ip(f"-n {side.name} qdisc add dev veth0 root tbf rate 10mbit burst 10kb latency 40ms", program="tc")

    def cut(self):
        """From now on packets from near to `cut4` are lost.  Packets from far still arrive."""
        nobody = "lladdr 02:00:00:00:00:99 nud permanent"
        ip(f"-n {self.near.name} neighbour replace {self.cut4} {nobody} dev veth0")


def ports_in_use():
    """Returns the local and foreign ports of all TCP sockets in the namespace of this thread, TIME_WAIT included."""
    lines = []
    for table in "tcp", "tcp6":
        with open(f"/proc/thread-self/net/{table}") as file:
            lines += file.readlines()[1:]
    return {int(end.rpartition(":")[2], 16) for line in lines for end in line.split()[1:3]}


def listen(host, backlog=64):
    """Returns a listener on a port that no other socket has, so that a filter by the port finds its connections only.

    The kernel selects a port that is free for the address.  Connections to another address, or connections that
    an earlier test closed first, may still have it.
    """
    used, rejected = ports_in_use(), []
    try:
        while True:
            listener = socket.socket(family_of(host))
            listener.bind((host, 0))
            if listener.getsockname()[1] not in used:
                listener.listen(backlog)
                return listener
            rejected.append(listener)
    finally:
        for each in rejected:
            each.close()


class Connections:
    """A listener on a host in `far`, and `count` connections to it from `near`."""

    def __init__(self, host, count, near=ThisNamespace, far=ThisNamespace, backlog=64):
        self.host, self.near = host, near
        with far.inside():
            self.listener = listen(host, backlog)
        self.port = self.listener.getsockname()[1]
        self.clients, self.servers = [], []
        for _ in range(count):
            self.connect()
            self.accept()

    def connect(self):
        """Opens another connection, which is not accepted yet."""
        with self.near.inside():
            client = socket.socket(family_of(self.host))
        client.settimeout(20)
        client.connect((self.host, self.port))
        self.clients.append(client)
        return client

    def accept(self):
        """Accepts a connection."""
        server = self.listener.accept()[0]
        self.servers.append(server)
        return server

    def all(self):
        return self.clients + self.servers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in [self.listener, *self.all()]:
            each.close()


def receive(connection, size):
    """Receives exactly `size` bytes."""
    while size > 0:
        data = connection.recv(size)
        assert data, f"the connection ended {size} bytes early"
        size -= len(data)


def exchange(client, server, size):
    """Sends `size` bytes to the server, and 999 bytes back."""
    sender = threading.Thread(target=client.sendall, args=[bytes(size)])
    sender.start()
    receive(server, size)
    sender.join()
    server.sendall(bytes(999))
    receive(client, 999)
