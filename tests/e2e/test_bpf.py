# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The source bpf: snapshots of changes, in which no change is missing."""

import collections
import contextlib
import errno
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from logger import CsvLog, command, ends, refuse, run, wait_for
from running import FULL, Running, start, wait_for_end, wait_for_snapshots
from sockets import Connections, ends_of, exchange, ip, libc, receive

CHANGES_ONLY = 16

# Fields that change on idle connections; see -x in siftr_cdev_logger(8).
MOVING = {"time", "snapshot", "idle_snd", "idle_rcv", "idle_ack", "tt_rexmt", "tt_persist", "tt_keep", "tt_2msl"}

WITHOUT_BPF = ["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-bpf,-perfmon,-sys_admin"]


def why_not():
    """Returns why this machine cannot use the source, or an empty string."""
    done = subprocess.run(command("-x", "-d", "bpf", "-c", 1, "-o", "/dev/null"), capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


pytestmark = pytest.mark.skipif("why_not()", reason="the source bpf cannot be used here")


class Replay:
    """Replays a log of changes; `state` contains the rows of all connections by their numbers."""

    def __init__(self, path):
        self.log = CsvLog(path.read_text())
        self.rows = {}
        for row in self.log.rows:
            self.rows.setdefault(int(row["snapshot"]), []).append(row)

    def snapshots(self):
        """Yields the header of each snapshot, the state before it, its rows, and the numbers of closed connections."""
        state, closed = {}, set()
        for note in self.log.notes:
            if note["note"] == "close":
                closed.add(str(note["gencnt"]))
            if note["note"] != "snapshot":
                continue
            rows = self.rows.get(note["snapshot"], [])
            yield note, dict(state), rows, closed
            if not note["flags"] & CHANGES_ONLY:
                state = {}
            state |= {row["gencnt"]: row for row in rows if row["state"] != "ENDED"}
            for gone in [row["gencnt"] for row in rows if row["state"] == "ENDED"] + list(closed):
                state.pop(gone, None)
            closed = set()


def changed(before, row):
    return {name for name in row if name not in MOVING and row[name] != before[name]}


def has_data(row):
    """Returns whether the connection has data in its buffers or in a network interface."""
    return any(int(row[name] or 0) for name in ("snd_cc", "rcv_cc", "wmem_alloc"))


def was_quiet(row, seconds):
    """Returns whether nothing can have happened on the connection for this time."""
    idle = [int(row[name]) for name in ("idle_snd", "idle_rcv", "idle_ack") if row[name]]
    return row["state"] == "ESTABLISHED" and not has_data(row) and min(idle) / 1e6 > seconds


def missed_changes(path):
    """Returns the changes that complete snapshots contain, though the connections have been quiet since before the
    previous snapshot, and the number of comparisons."""
    missed, compared, previous = [], 0, 0.0
    for note, state, rows, _ in Replay(path).snapshots():
        for row in rows:
            # The kernel counts idle times in ticks of up to 10 ms, sent in ms.
            elapsed = float(row["time"]) - previous + 0.015
            if note["flags"] & CHANGES_ONLY or not state or not was_quiet(row, elapsed):
                continue
            before = state.get(row["gencnt"])
            # Data that the application has read or an interface has sent since then is not a missed change.
            if before and has_data(before):
                continue
            compared += 1
            found = changed(before, row) if before else {"gencnt"}
            # An acknowledgement can be delayed for 200 ms, and sending it is not activity.
            if was_quiet(row, 0.3) or not found <= {"ato", "segs_out", "rcv_wnd"}:
                missed += [(before, row, found)] if found else []
        previous = float(note["time"])
    return missed, compared


class Load:
    """Connections between two namespaces that do different things at the same time."""

    def __init__(self, link):
        self.link, self.stop, self.threads = link, threading.Event(), []
        self.stack = contextlib.ExitStack()
        self.connections = self.stack.enter_context(Connections(link.far4, 12, link.near, link.far, backlog=4))
        self.six = self.stack.enter_context(Connections(link.far6, 4, link.near, link.far))

    def repeat(self, work, pause=0.0):
        def body():
            while not self.stop.is_set():
                work()
                self.stop.wait(pause)

        thread = threading.Thread(target=body)
        thread.start()
        self.threads.append(thread)

    def __enter__(self):
        pairs = list(zip(self.connections.clients, self.connections.servers, strict=True))
        pairs += zip(self.six.clients, self.six.servers, strict=True)
        for each in self.connections.all() + self.six.all():
            each.settimeout(1)
        self.bulk(*pairs[0])
        self.bulk(*reversed(pairs[1]))
        self.bulk(*pairs[12])
        self.repeat(lambda: exchange(*pairs[2], 100))
        self.repeat(lambda: exchange(*pairs[13], 100), 0.03)
        # Rarely, so that the connection is idle when something happens.
        self.repeat(lambda: exchange(*pairs[3], 20_000), 0.6)
        self.repeat(lambda: pairs[4][0].send(b"x") and pairs[4][1].recv(1), 0.4)
        # The application reads later.
        self.repeat(lambda: pairs[5][0].send(b"x" * 500), 0.35)
        self.repeat(lambda: pairs[5][1].recv(10_000), 1.1)
        self.closed_window(*pairs[6])
        # Half-closed, in both roles.
        for client, server in (pairs[7], reversed(pairs[8])):
            client.shutdown(socket.SHUT_WR)
            self.repeat(lambda client=client, server=server: server.send(b"x" * 100) and client.recv(100), 0.25)
        self.repeat(lambda: self.short(accepted_after=0.2), 0.3)
        return self

    def bulk(self, client, server):
        data = b"x" * 100_000

        def send():
            with contextlib.suppress(TimeoutError):
                client.send(data)

        self.repeat(send)
        self.repeat(lambda: server.recv(1_000_000))

    def closed_window(self, client, server):
        client.setblocking(False)

        def fill():
            with contextlib.suppress(BlockingIOError):
                client.send(b"x" * 100_000)

        def drain():
            with contextlib.suppress(TimeoutError):
                server.recv(400_000)

        self.repeat(fill, 0.2)
        self.repeat(drain, 1.3)

    def short(self, accepted_after):
        with self.link.near.inside():
            client = socket.socket()
        with client:
            client.connect((self.link.far4, self.connections.port))
            time.sleep(accepted_after)
            server, _ = self.connections.listener.accept()
            server.close()

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.stack.close()


@pytest.mark.parametrize("interval_us", [20_000, 100_000])
def test_no_change_is_missing_under_mixed_load(tmp_path, link, interval_us):
    link.bottleneck()
    seconds = 60 if FULL else 8
    arguments = ["-o", "log", "-x", "-d", "bpf", "-s", interval_us, "-k", 0.5, "-O", "all", "-t", seconds]
    near, far = (tmp_path / name for name in ("near", "far"))
    near.mkdir()
    far.mkdir()
    with (
        Load(link),
        Running(near, *arguments, enter=link.near.enter) as one,
        Running(far, *arguments, enter=link.far.enter) as other,
    ):
        assert [each.process.wait(timeout=seconds + 20) for each in (one, other)] == [0, 0]
    seen = []
    for side, half_closed in (near, "FIN_WAIT_2"), (far, "CLOSE_WAIT"):
        missed, compared = missed_changes(side / "log")
        assert not missed, missed[:3]
        assert compared > 4 * seconds, "quiet connections were compared"
        rows = CsvLog((side / "log").read_text()).rows
        assert {"ESTABLISHED", half_closed, "ENDED"} <= {row["state"] for row in rows}
        seen += rows
    assert any(int(row["rexmit_packs"] or 0) for row in seen) and any(row["snd_wnd"] == "0" for row in seen)


class Quiet:
    """Connections that have been idle for a while, in a namespace of their own, and a log of changes.  Its only
    complete snapshot is the first, so that each later row was found through a mark."""

    INTERVAL_S = 0.02

    def __init__(self, directory, namespace, connections, *options):
        self.connections, self.path = connections, directory / "x.csv"
        for client, server in zip(connections.clients, connections.servers, strict=True):
            exchange(client, server, 100)
        interval = round(1e6 * self.INTERVAL_S)
        arguments = ["-o", self.path, "-x", "-d", "bpf", "-s", interval, "-k", 1000, "-O", "all", *options]
        self.logger = Running(directory, *arguments, enter=namespace.enter)

    def __enter__(self):
        wait_for_snapshots(self.path, 3)
        return self

    def __exit__(self, *_):
        self.logger.stop()
        self.logger.__exit__()

    def log(self):
        """Returns the log so far, without a snapshot that is being written."""
        text = self.path.read_text()
        return CsvLog(text[: text.index("\n", text.rindex("\n# snapshot ") + 1) + 1])

    def after(self, work):
        """Does something after a pause in which the connections become quiet.  Returns what the log contains after the
        next complete interval: the last row of each connection by its ends, and the closed connections."""
        time.sleep(0.5)
        start = time.time()
        work()
        done = time.time()

        def finished():
            return [note for note in self.log().noted("snapshot") if float(note["time"]) >= done][:2]

        wait_for(lambda: len(finished()) == 2, "two snapshots")
        first, second = finished()
        log = self.log()
        rows = [row for row in log.rows if int(row["snapshot"]) <= second["snapshot"]]
        closed = [note for note in log.noted("close") if start <= float(note["time"]) <= float(second["time"])]
        return {ends(row): row for row in rows}, [ends(note) for note in closed]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_each_change_of_a_quiet_connection_is_in_the_next_snapshot(tmp_path, alone, host):
    with Connections(host, 3, alone, alone) as connections, Quiet(tmp_path, alone, connections) as quiet:
        client, server = connections.clients[0], connections.servers[0]
        near, far = ends_of(client), ends_of(server)

        def expect(work, of, **values):
            rows, closed = quiet.after(work)
            assert closed == []
            assert {name: rows[of][name] for name in values} == {name: str(value) for name, value in values.items()}
            return rows

        expect(lambda: client.send(bytes(10)), near, sent_bytes=110)
        # The acknowledgement was delayed.
        expect(lambda: None, near, acked_bytes=111, snd_cc=0)
        expect(lambda: None, far, received_bytes=110, rcv_cc=10)
        expect(lambda: receive(server, 10), far, rcv_cc=0)
        expect(lambda: server.send(bytes(20)), near, received_bytes=1019, rcv_cc=20)
        expect(lambda: client.recv(5), near, rcv_cc=15)
        client.recv(15)
        # The window closes, data waits, and the window opens again.
        client.setblocking(False)
        quiet.after(lambda: fill(client))
        rows, _ = quiet.after(lambda: None)
        assert int(rows[near]["snd_cc"]) > 0 and int(rows[far]["rcv_cc"]) > 0
        expect(lambda: drain(server), near, snd_cc=0)
        sent = int(expect(lambda: None, far, rcv_cc=0)[near]["sent_bytes"])
        with (tmp_path / "data").open("w+b") as data:
            data.write(bytes(3000))
            data.flush()
            rows = expect(lambda: os.sendfile(client.fileno(), data.fileno(), 0, 3000), far, rcv_cc=3000)
        assert int(rows[near]["sent_bytes"]) == sent + 3000
        drain(server)
        expect(lambda: client.shutdown(socket.SHUT_WR), far, state="CLOSE_WAIT")
        expect(lambda: None, near, state="FIN_WAIT_2")
        expect(lambda: server.send(bytes(7)), near, rcv_cc=7, state="FIN_WAIT_2")
        expect(lambda: None, far, state="CLOSE_WAIT", snd_cc=0)
        rows, closed = quiet.after(server.close)
        # The other end is in TIME_WAIT, though its application has not closed it.
        assert rows[far]["state"] == "ENDED" and closed in ([], [near])
        # The other connections were never marked.
        first = [row for row in quiet.log().rows if ends(row) == ends_of(connections.clients[2])]
        assert {row["snapshot"] for row in first} == {"1"}


def fill(client):
    with contextlib.suppress(BlockingIOError):
        while True:
            client.send(bytes(100_000))


def drain(server):
    server.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while server.recv(1_000_000):
            pass


def test_listening_sockets_and_new_connections_are_in_the_next_snapshot(tmp_path, alone):
    with Connections("127.0.0.1", 1, alone, alone, backlog=5) as connections, Quiet(tmp_path, alone, connections) as quiet:
        listener = ("127.0.0.1", connections.port, "0.0.0.0", 0)
        rows, _ = quiet.after(connections.connect)
        client = connections.clients[-1]
        assert rows[listener]["qlen"] == "1" and rows[ends_of(client)]["state"] == "ESTABLISHED"
        rows, _ = quiet.after(connections.accept)
        assert rows[listener]["qlen"] == "0"
        with alone.inside():
            another = socket.create_server(("127.0.0.1", 0))
        port = another.getsockname()[1]
        # Nothing marks this socket until it is listening.
        rows, _ = quiet.after(lambda: another.listen(7))
        assert ("127.0.0.1", port, "0.0.0.0", 0) in rows
        _, closed = quiet.after(another.close)
        assert closed == [("127.0.0.1", port, "0.0.0.0", 0)]


def test_a_connection_that_is_being_opened_is_logged_and_closed_when_it_fails(tmp_path, link):
    link.cut()
    with Connections("127.0.0.1", 1, link.near, link.near) as connections:
        with Quiet(tmp_path, link.near, connections) as quiet:
            with link.near.inside():
                client = socket.socket()
            client.setblocking(False)
            rows, _ = quiet.after(lambda: client.connect_ex((link.cut4, 80)))
            (opening,) = [row for row in rows.values() if row["faddr"] == link.cut4]
            assert (opening["state"], opening["fport"]) == ("SYN_SENT", "80") and int(opening["lport"]) > 0
            wait_for(lambda: any(int(row["retransmits"] or 0) for row in rows_to(quiet, link.cut4)), "another SYN")
            client.close()
            _, closed = quiet.after(lambda: None)
            assert [each[2:] for each in closed] in ([], [(link.cut4, 80)])
            assert [note["fport"] for note in quiet.log().noted("close")] == [80]


def rows_to(quiet, address):
    return [row for row in quiet.log().rows if row["faddr"] == address]


def test_a_send_that_blocks_is_noticed(tmp_path, link):
    """Without acknowledgements, nothing is received until the connection fails."""
    with Connections(link.far4, 1, link.near, link.far) as connections, Quiet(tmp_path, link.near, connections) as quiet:
        (client,) = connections.clients
        client.settimeout(3)

        def send():
            with contextlib.suppress(TimeoutError):
                client.sendall(bytes(20_000_000))

        thread = threading.Thread(target=send)

        def start_to_send():
            ip(f"-n {link.far.name} link set veth0 down")
            thread.start()
            time.sleep(0.1)

        rows, closed = quiet.after(start_to_send)
        assert int(rows[ends_of(client)]["snd_cc"]) > 10_000 and closed == []
        again = wait_for(lambda: [row for row in quiet.log().rows if int(row["total_rto"] or 0)], "a retransmission")
        assert ends(again[0]) == ends_of(client)
        thread.join()


def test_a_connection_that_moves_to_an_interface_stays_open(tmp_path, alone):
    with Connections("127.0.0.1", 1, alone, alone) as connections, Quiet(tmp_path, alone, connections) as quiet:
        client = connections.clients[0]

        def send_and_bind():
            client.send(b"x")
            time.sleep(0.05)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            time.sleep(0.2)
            client.send(b"x")

        rows, _ = quiet.after(send_and_bind)
        assert rows[ends_of(client)]["sent_bytes"] == "102" and rows[ends_of(client)]["ifindex"] == "1"
        assert quiet.log().noted("close") == []


def test_a_connection_is_closed_if_its_socket_is_used_again_at_once(tmp_path, alone):
    with Connections("127.0.0.1", 1, alone, alone) as connections, Quiet(tmp_path, alone, connections) as quiet:
        client = connections.clients[0]
        near = ends_of(client)

        def disconnect_and_connect():
            # connect(2) with AF_UNSPEC.
            assert libc.connect(client.fileno(), bytes(16), 16) == 0
            assert client.connect_ex(("127.0.0.1", 1)) == errno.ECONNREFUSED

        quiet.after(disconnect_and_connect)
        wait_for(lambda: near in [ends(note) for note in quiet.log().noted("close")], "the end of the connection")


def test_a_filter_is_applied_to_changes(tmp_path, alone):
    with Connections("127.0.0.1", 3, alone, alone) as connections:
        with Quiet(tmp_path, alone, connections, "-e", f"lport {connections.port} and rcv_cc >= 10") as quiet:
            client, server = connections.clients[0], connections.servers[0]
            rows, _ = quiet.after(lambda: client.send(bytes(9)))
            assert rows == {}
            rows, _ = quiet.after(lambda: client.send(bytes(2)))
            assert {row["rcv_cc"] for row in rows.values()} == {"11"} and list(rows) == [ends_of(server)]
            _, closed = quiet.after(lambda: receive(server, 5))
            assert closed == [ends_of(server)]


def test_sockets_of_other_namespaces_are_not_logged(tmp_path, alone):
    with Connections("127.0.0.1", 2, alone, alone) as connections, Connections("127.0.0.1", 2) as others:
        with Quiet(tmp_path, alone, connections) as quiet:
            rows, _ = quiet.after(lambda: exchange(others.clients[0], others.servers[0], 100))
            assert {row["snapshot"] for row in rows.values()} == {"1"} and len(rows) == 5
            assert {note["seen"] for note in quiet.log().noted("snapshot")} == {5}


def test_the_source_works_without_privileges_after_the_start(reachable, alone):
    log = reachable / "log"
    with Connections("127.0.0.1", 2, alone, alone) as connections:
        pidfile = reachable / "pid"
        pidfile.touch()
        pidfile.chmod(0o666)
        reachable.chmod(0o777)
        arguments = ["-x", "-o", log, "-p", pidfile, "-u", "nobody", "-s", 20_000, "-d", "bpf"]
        started = start(reachable, *arguments, enter=alone.enter)
        assert (started.returncode, started.stderr) == (0, "")
        pid = int(pidfile.read_text())
        try:
            wait_for_snapshots(log, 30)
            exchange(connections.clients[0], connections.servers[0], 12_345)
            wait_for(lambda: ",12345," in log.read_text(), "the change")
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE) and re.search(r"^Uid:\s+[1-9]", status, re.MULTILINE)
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_for_end(pid)
    (note,) = CsvLog(log.read_text()).noted("log")
    assert note["source"] == "bpf" and note["sandbox"] == "landlock"


@pytest.mark.parametrize("user", [[], ["--reuid", "nobody", "--clear-groups", "--ambient-caps=+bpf,+perfmon"]])
def test_the_capabilities_are_dropped_after_the_start(reachable, user):
    """As root, and as a user with only the capabilities that the service has."""
    reachable.chmod(0o777)
    enter = ["setpriv", *user, "--inh-caps=+bpf,+perfmon", "--bounding-set=-all,+bpf,+perfmon"] if user else []
    log = reachable / "x.csv"
    with Running(reachable, "-x", "-o", log, "-s", 20_000, "-d", "bpf", enter=enter) as logger:
        wait_for_snapshots(log, 3)
        status = pathlib.Path(f"/proc/{logger.pid}/status").read_text()
        masks = {name: int(mask, 16) for name, mask in re.findall(r"^Cap(Inh|Prm|Eff|Amb):\s+(\w+)$", status, re.MULTILINE)}
        assert {name: mask >> 38 & 3 for name, mask in masks.items()} == dict.fromkeys(["Inh", "Prm", "Eff", "Amb"], 0)
        logger.stop()


@pytest.mark.parametrize("options, source", [(["-x"], "bpf"), ([], "sock_diag"), (["-x", "-d", "sock_diag"], "sock_diag")])
def test_the_log_names_the_source_that_was_chosen(options, source):
    log = CsvLog(run("-o", "-", "-c", 1, *options))
    assert [note["source"] for note in log.noted("log")] == [source]


def test_complete_snapshots_are_those_of_sock_diag():
    message = refuse("-d", "bpf", "-c", 1, "-o", "-")
    assert message == "source bpf: for a log of changes only (siftr_cdev_logger -x); use sock_diag"


def test_without_the_capabilities_sock_diag_is_used(tmp_path):
    message = refuse("-x", "-d", "bpf", "-c", 1, "-o", "-", enter=WITHOUT_BPF)
    assert message == "source bpf: loading programs requires CAP_BPF and CAP_PERFMON"
    log = tmp_path / "log"
    line = command("-x", "-v", "-c", 1, "-o", log, enter=WITHOUT_BPF)
    done = subprocess.run(line, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and f"{message}; using sock_diag\n" in done.stderr
    (note,) = CsvLog(log.read_text()).noted("log")
    assert note["source"] == "sock_diag"


def test_more_marks_than_the_ring_buffer_can_hold_cause_a_complete_snapshot(tmp_path, alone):
    """A complete snapshot is recognized by the connections in TIME_WAIT, which are never marked."""
    log = tmp_path / "x.csv"
    churn = f"""
import socket
listeners = [socket.create_server((f"127.0.0.{{host}}", 0), backlog=8) for host in range(1, 9)]
for number in range(60_000):
    listener = listeners[number % 8]
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    client.close()
    server.close()
"""
    with Running(tmp_path, "-o", log, "-x", "-d", "bpf", "-s", 30_000_000, "-O", "state", enter=alone.enter) as logger:
        wait_for_snapshots(log, 1)
        subprocess.run([*alone.enter, sys.executable, "-c", churn], check=True, timeout=25)
        logger.stop()
    states = collections.Counter(row["state"] for row in CsvLog(log.read_text()).rows)
    assert states["ENDED"] > 100_000 and states["TIME_WAIT"] > 0
