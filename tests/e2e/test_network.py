# SPDX-License-Identifier: BSD-2-Clause
"""The logger between two network namespaces, behind a bottleneck, and with ten thousand sockets."""

import collections
import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from test_log import LOGGER, notes, rows, tcp_info, tuple_of

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def command(line):
    subprocess.run(line.split(), check=True, capture_output=True, text=True)


class Namespace:
    """A network namespace; sockets made `inside` it stay in it."""

    def __init__(self, name):
        self.name = name
        command(f"ip netns add {name}")
        command(f"ip -n {name} link set lo up")

    @contextlib.contextmanager
    def inside(self):
        with open("/proc/self/task/%d/ns/net" % threading.get_native_id()) as home, open(
            f"/run/netns/{self.name}"
        ) as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), CLONE_NEWNET) == 0

    def log(self, log, *arguments):
        subprocess.run(
            ["ip", "netns", "exec", self.name, LOGGER, "-o", log, *map(str, arguments)], check=True, timeout=120
        )

    def delete(self):
        command(f"ip netns del {self.name}")


@pytest.fixture
def two():
    """Two namespaces joined by a link of 10 Mbit/s."""
    made = []
    try:
        for number in (1, 2):
            made.append(Namespace(f"e2e-{os.getpid()}-{number}"))
        a, b = (each.name for each in made)
        command(f"ip -n {a} link add v type veth peer name v netns {b}")
        for number, name in enumerate((a, b), 1):
            command(f"ip -n {name} link set v up")
            command(f"ip -n {name} addr add 10.71.0.{number}/24 dev v")
            command(f"ip -n {name} addr add fd71::{number}/64 dev v nodad")
            command(f"ip netns exec {name} tc qdisc add dev v root tbf rate 10mbit burst 10kb latency 40ms")
        yield made
    finally:
        for each in made:
            each.delete()


def listen(namespace, family, backlog=64):
    with namespace.inside():
        listener = socket.socket(family)
    listener.bind(("", 0))
    listener.listen(backlog)
    return listener, listener.getsockname()[1]


def connect(namespace, family, to):
    with namespace.inside():
        client = socket.socket(family)
    client.settimeout(20)
    client.connect(to)
    return client


def test_behind_a_bottleneck_the_log_agrees_with_the_sockets(two, tmp_path):
    here, there = two
    clients, servers = [], []
    for family, host in ((socket.AF_INET, "10.71.0.2"), (socket.AF_INET6, "fd71::2")):
        listener, port = listen(there, family)
        for _ in range(5):
            clients.append(connect(here, family, (host, port)))
            servers.append(listener.accept()[0])
        listener.close()
    stop = threading.Event()

    def send(client):
        while not stop.is_set():
            client.sendall(bytes(20_000))

    def swallow(server):
        while server.recv(65536):
            pass

    # One of each family sends as fast as it can; the others sent once and are quiet.
    bulk = [clients[0], clients[5]]
    quiet = [client for client in clients if client not in bulk]
    for client in quiet:
        client.sendall(b"x" * 3000)
    swallowing = [threading.Thread(target=swallow, args=(server,)) for server in servers]
    sending = [threading.Thread(target=send, args=(client,)) for client in bulk]
    for thread in swallowing + sending:
        thread.start()
    time.sleep(1.5)
    log = tmp_path / "x.csv"
    named = {client: tuple_of(client) for client in clients}
    before = {named[client]: tcp_info(client) for client in clients}
    here.log(log, "-t", 2, "-O", "all")
    after = {named[client]: tcp_info(client) for client in clients}
    stop.set()
    for thread in sending:
        thread.join()
    for client in clients:
        client.close()
    for thread in swallowing:
        thread.join()
    for server in servers:
        server.close()

    (end,) = notes(log, "end")
    assert int(end["snapshots"]) + int(end["missed_ticks"]) == 40
    logged = collections.defaultdict(list)
    for row in rows(log):
        logged[row["laddr"], int(row["lport"]), row["faddr"], int(row["fport"])].append(row)
    assert set(logged) == set(before)
    for connection, series in logged.items():
        first, last = before[connection], after[connection]
        assert len(series) == int(end["snapshots"])
        assert {row["state"] for row in series} == {"ESTABLISHED"}
        assert {int(row["maxseg"]) for row in series} == {first["snd_mss"]} == {last["snd_mss"]}
        sent = [int(row["rexmit_packs"]) for row in series]
        assert first["total_retrans"] <= sent[0] and sent == sorted(sent) and sent[-1] <= last["total_retrans"]
        acked = [int(row["acked_bytes"]) for row in series]
        assert acked == sorted(acked)
    for client in quiet:
        info = after[named[client]]
        for row in logged[named[client]]:
            assert int(row["snd_cwnd"]) == info["snd_cwnd"] * info["snd_mss"]
            assert (int(row["srtt"]), int(row["rttvar"])) == (info["rtt"], info["rttvar"])
            assert int(row["rto"]) == info["rto"] and row["inflight"] == "0"
    for client in bulk:
        series = logged[named[client]]
        moved = int(series[-1]["acked_bytes"]) - int(series[0]["acked_bytes"])
        assert moved > 100_000, "the bottleneck lets about 2.5 MB through in 2 s"
        assert max(int(row["inflight"]) for row in series) > 10_000
        assert max(int(row["srtt"]) for row in series) > 5_000, "the bottleneck's queue is seen"
    assert any(int(row["rexmit_packs"]) > 0 for client in bulk for row in logged[named[client]])


def test_a_connection_that_nobody_answers_is_in_syn_sent(two, tmp_path):
    here, _ = two
    command(f"ip -n {here.name} neigh add 10.71.0.99 lladdr 02:00:00:00:00:99 dev v nud permanent")
    with here.inside():
        client = socket.socket()
    client.setblocking(False)
    assert client.connect_ex(("10.71.0.99", 9)) == 115  # EINPROGRESS
    log = tmp_path / "x.csv"
    here.log(log, "-c", 1, "-O", "faddr,fport,state,srtt,tt_rexmt")
    client.close()
    (row,) = rows(log)
    assert (row["faddr"], row["fport"], row["state"], row["srtt"]) == ("10.71.0.99", "9", "SYN_SENT", "")
    assert 0 < int(row["tt_rexmt"]) <= 3_000_000


HOLDER = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (6000, 6000))
held = []
if sys.argv[1] == "accept":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    print(listener.getsockname()[1], flush=True)
    held = [listener.accept()[0] for _ in range(5000)]
else:
    held = [socket.create_connection(("127.0.0.1", int(sys.argv[2]))) for _ in range(5000)]
print("held", flush=True)
sys.stdin.read()
"""


def test_ten_thousand_sockets_every_50_ms_lose_no_tick_unsaid(tmp_path):
    alone = Namespace(f"e2e-{os.getpid()}-0")
    holders = []

    def hold(*arguments):
        process = subprocess.Popen(
            ["ip", "netns", "exec", alone.name, sys.executable, "-c", HOLDER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        holders.append(process)
        return process

    try:
        accepting = hold("accept")
        port = accepting.stdout.readline().strip()
        connecting = hold("connect", port)
        assert connecting.stdout.readline() == accepting.stdout.readline() == "held\n"
        log = tmp_path / "x.csv"
        alone.log(log, "-t", 10, "-O", "laddr,lport,faddr,fport,state")
        (end,) = notes(log, "end")
        assert int(end["snapshots"]) + int(end["missed_ticks"]) == 200
        counts = {note["snapshot"]: int(note["records"]) for note in notes(log, "snapshot")}
        seen = collections.defaultdict(set)
        total = 0
        with log.open() as lines:
            for line in lines:
                if line[0].isdigit():
                    _, snapshot, connection = line.split(",", 2)
                    seen[snapshot].add(connection)
                    total += 1
        assert total == int(end["records"]) == sum(counts.values())
        assert {snapshot: len(connections) for snapshot, connections in seen.items()} == counts
        assert len(counts) == int(end["snapshots"]) and set(counts.values()) == {10_001}, "and the listener"
    finally:
        for process in holders:
            process.kill()
            process.wait()
        alone.delete()
