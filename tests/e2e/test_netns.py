# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""--netns: the connections of several network namespaces in one log."""

import collections
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from logger import CsvLog, command, ends, refuse, run, wait_for
from running import Running, start, wait_for_end, wait_for_snapshots
from sockets import Connections, Namespace, exchange, ip
from test_sandbox import NOBODY, Daemon, probe  # noqa: F401

COLUMNS = "gencnt,laddr,lport,faddr,fport,state,sent_bytes,ending,netns"

# Fields that change on idle connections.
MOVING = {"time", "snapshot", "age", "idle_snd", "idle_rcv", "idle_ack", "tt_rexmt", "tt_persist", "tt_keep", "tt_2msl"}

# All network stacks, and the ledger.
FLAGS = 2 + 64


class Pair:
    """A listener and a connection to it in a namespace, between the same addresses and ports as those of any other pair."""

    def __init__(self, namespace):
        with namespace.inside():
            self.listener = socket.create_server(("127.0.0.1", 7001))
            self.client = socket.socket()
        self.client.bind(("127.0.0.1", 7002))
        self.client.connect(("127.0.0.1", 7001))
        self.server, _ = self.listener.accept()

    def close(self):
        for each in self.client, self.server, self.listener:
            each.close()


@pytest.fixture
def namespaces():
    """Creates namespaces, which are deleted after the test unless it has done so."""
    with contextlib.ExitStack() as stack:
        yield lambda count: [stack.enter_context(Namespace()) for _ in range(count)]


@pytest.fixture
def pairs():
    """Creates pairs of sockets, which are closed after the test."""
    made = []

    def make(namespace):
        made.append(Pair(namespace))
        return made[-1]

    yield make
    for each in made:
        each.close()


def inode(namespace):
    return str(os.stat(f"/run/netns/{namespace.name}").st_ino)


def helper_of(logger):
    """Returns the process ID of the logger's helper."""
    children = pathlib.Path(f"/proc/{logger}/task/{logger}/children").read_text().split()
    (helper,) = [int(pid) for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text() == "siftr-netns\n"]
    return helper


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}


def is_running(pid):
    with contextlib.suppress(FileNotFoundError):
        return status_of(pid)["State"][0] != "Z"
    return False


def rows_in(path, netns):
    """Returns the rows of the complete snapshots of a log that have this namespace."""
    text = path.read_text()
    at = text.rfind("\n# snapshot ")
    if at < 0:
        return []
    return [row for row in CsvLog(text[: text.index("\n", at + 1) + 1]).rows if row["netns"] == netns]


def ended_in(path, netns):
    return [row for row in rows_in(path, netns) if row["state"] == "ENDED"]


def test_twenty_namespaces_with_the_same_addresses_and_ports(namespaces, pairs):
    made = namespaces(20)
    for each in made:
        pairs(each)
    log = CsvLog(run("--netns", "all", "-c", 2, "-s", 50_000, "-O", "all", "-o", "-", "-e", "port 7001 and port 7001"))
    expected = {(each.name, state, port) for each in made for state, port in [("LISTEN", "7001"), ("ESTABLISHED", "7001")]}
    expected |= {(each.name, "ESTABLISHED", "7002") for each in made}
    for number in 1, 2:
        rows = [row for row in log.rows if row["snapshot"] == str(number)]
        assert len(rows) == 60 and {(row["netns"], row["state"], row["lport"]) for row in rows} == expected
        assert len({row["gencnt"] for row in rows}) == 60, "numbers are unique in all namespaces"
    assert {(note["flags"], note["seen"], note["matched"]) for note in log.noted("snapshot")} == {(FLAGS, 60, 60)}


def test_the_connections_are_those_that_ss_finds(namespaces, pairs):
    made = namespaces(3)
    for each in made:
        pairs(each)
    with Connections("::1", 3) as connections:
        enters = [*((each.name, each.enter) for each in made), (own_name(), [])]
        before = {name: listed(enter) for name, enter in enters}
        log = CsvLog(run("--netns", "all", "-c", 1, "-o", "-", "-O", f"{COLUMNS},inode"))
        for name, enter in enters:
            found, after = {row["inode"] for row in log.rows if row["netns"] == name and row["inode"]}, listed(enter)
            assert len(found) >= 3 and before[name] & after <= found, name
            # Other programs open and close sockets in the namespace of the tests.
            assert found <= before[name] | after or name == own_name(), name
        assert {row["netns"] for row in log.rows if str(connections.port) in (row["lport"], row["fport"])} == {own_name()}


def listed(enter):
    """Returns the inodes of the TCP sockets that ss finds."""
    out = subprocess.run([*enter, "ss", "-Htane"], capture_output=True, text=True, check=True).stdout
    return {number for number in re.findall(r"\bino:(\d+)", out) if number != "0"}


def own_name():
    """Returns the name of the namespace in which the tests run."""
    own = os.stat("/proc/self/ns/net").st_ino
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(pathlib.Path("/run/netns").iterdir()):
            if path.stat().st_ino == own:
                return path.name
    return str(own)


@pytest.mark.parametrize("filters", [[], ["-e", "port 7001"], ["-e", "host 127.0.0.1 or port 7001"], ["-e", "state listen"]])
def test_the_values_are_those_of_a_logger_in_the_namespace(namespaces, pairs, filters):
    """Of both families, in several states, with all attributes."""
    (only,) = namespaces(1)
    pair = pairs(only)
    with only.inside():
        dual = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        clients = [socket.create_connection((host, dual.getsockname()[1])) for host in ("127.0.0.1", "::1")]
        servers = [dual.accept()[0] for _ in clients]
    exchange(pair.client, pair.server, 100_000)
    for client, server in zip(clients, servers, strict=True):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 77)
        exchange(client, server, 2000)
    servers[0].shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    arguments = ["-c", 1, "-o", "-", "-O", "all", *filters]
    inside = CsvLog(run(*arguments, enter=only.enter)).rows
    outside = CsvLog(run("--netns", only.name, *arguments)).rows
    for each in [dual, *clients, *servers]:
        each.close()
    assert {row.pop("netns") for row in outside} == {only.name} and {row.pop("netns") for row in inside} == {""}

    def by_number(rows):
        return {row["gencnt"]: {name: row[name] for name in row if name not in MOVING} for row in rows}

    assert by_number(inside) == by_number(outside) and inside


def test_only_the_named_namespaces_are_logged(namespaces, pairs):
    made = namespaces(3)
    for each in made:
        pairs(each)
    log = CsvLog(run("--netns", f"{made[0].name},{inode(made[2])}", "-c", 1, "-o", "-", "-O", COLUMNS))
    assert collections.Counter(row["netns"] for row in log.rows) == {made[0].name: 3, made[2].name: 3}
    assert {note["flags"] for note in log.noted("snapshot")} == {64}


def test_a_filter_selects_namespaces(namespaces, pairs):
    made = namespaces(3)
    for each in made:
        pairs(each)
    blue = made[1].name
    log = CsvLog(run("--netns", "all", "-c", 1, "-o", "-", "-O", COLUMNS, "-e", f"netns {blue} and port 7001"))
    assert collections.Counter(row["netns"] for row in log.rows) == {blue: 3}
    assert [note["seen"] for note in log.noted("snapshot")] == [3], "the others are not dumped"
    others = f"not netns {blue} and lport 7002 and fport 7001"
    log = CsvLog(run("--netns", "all", "-c", 1, "-o", "-", "-O", COLUMNS, "-e", others))
    assert sorted(row["netns"] for row in log.rows) == sorted([made[0].name, made[2].name])
    # Without --netns, the field is absent.
    assert CsvLog(run("-c", 1, "-o", "-", "-O", COLUMNS, "-e", f"netns {blue}")).rows == []


def test_a_namespace_of_a_process_has_its_inode_number_until_it_is_named(tmp_path, namespaces):
    log = tmp_path / "x.csv"
    script = "import socket, time; s = socket.create_server(('127.0.0.1', 7001)); time.sleep(60)"
    with subprocess.Popen(["unshare", "-n", sys.executable, "-c", script]) as process:
        own = os.stat("/proc/self/ns/net").st_ino

        def entered():
            number = os.stat(f"/proc/{process.pid}/ns/net").st_ino
            return number if number != own else None

        number = str(wait_for(entered, "the namespace"))
        try:
            time.sleep(0.5)
            name = f"e2e-{os.getpid()}-late"
            with Running(tmp_path, "--netns", "all", "-s", 50_000, "-o", log, "-O", COLUMNS) as logger:
                wait_for_snapshots(log, 2)
                assert not rows_in(log, name)
                ip(f"netns attach {name} {process.pid}")
                try:
                    wait_for(lambda: rows_in(log, name), "rows with the name")
                finally:
                    ip(f"netns del {name}")
                before = len(rows_in(log, number))
                wait_for(lambda: len(rows_in(log, number)) > before, "rows with the number again")
                logger.stop()
                assert logger.messages() == ""
        finally:
            process.kill()


def test_namespaces_appear_and_disappear_while_the_logger_runs_as_nobody(reachable, namespaces, pairs):
    log, pidfile = reachable / "x.csv", reachable / "pid"
    reachable.chmod(0o777)
    (kept,) = namespaces(1)
    pairs(kept)
    arguments = ["--netns", "all", "-u", "nobody", "-s", 50_000, "-o", log, "-O", COLUMNS, "-p", pidfile, "-e", "port 7001"]
    started = start(reachable, *arguments)
    assert (started.returncode, started.stderr) == (0, "")
    pid = int(pidfile.read_text())
    try:
        helper = helper_of(pid)
        wait_for_snapshots(log, 2)
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        with Namespace() as late:
            pair = Pair(late)
            exchange(pair.client, pair.server, 12_345)
            wait_for(lambda: rows_in(log, late.name), "rows of the new namespace")
            assert len(os.listdir(f"/proc/{pid}/fd")) == descriptors + 2
            # Another one, between two snapshots.
            with late.inside():
                client = socket.create_connection(("127.0.0.1", 7001))
            server, _ = pair.listener.accept()
            client.close()
            server.close()
            pair.close()
        # The records are those of the namespace that has just been deleted.
        wait_for(lambda: len(ended_in(log, late.name)) == 4, "final records")
        assert "12345" in [row["sent_bytes"] for row in ended_in(log, late.name)]
        # The namespace exists until its sockets are closed.
        wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) == descriptors, "the sockets to be closed")
        assert status_of(pid)["CapEff"] == ["0000000000000000"]
        assert len(os.listdir(f"/proc/{helper}/fd")) == 4, "three streams and the socket"
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    wait_for(lambda: not is_running(helper), "the helper to exit")
    numbers = CsvLog(log.read_text()).numbers()
    assert numbers == list(range(1, len(numbers) + 1)), "no message, and no snapshot is missing"
    assert {row["netns"] for row in CsvLog(log.read_text()).rows} >= {kept.name, late.name}


def test_a_log_of_changes_has_each_namespace(tmp_path, namespaces, pairs):
    log = tmp_path / "x.csv"
    made = namespaces(2)
    one, two = map(pairs, made)
    arguments = ["--netns", "all", "-x", "-s", 50_000, "-o", log, "-O", COLUMNS, "-e", "port 7001"]
    with Running(tmp_path, *arguments) as logger:
        wait_for_snapshots(log, 3)
        exchange(two.client, two.server, 4321)
        wait_for(lambda: "4321" in [row["sent_bytes"] for row in rows_in(log, made[1].name)], "the change")
        one.close()
        wait_for(lambda: len(ended_in(log, made[0].name)) == 2, "the final records")
        logger.stop()
    read = CsvLog(log.read_text())
    (note,) = read.noted("log")
    assert note["source"] == "sock_diag"
    assert len([row for row in read.rows if row["netns"] == made[0].name]) < 10, "not in each snapshot"
    listener = [ends(note) for note in read.noted("close") if note["fport"] == 0]
    assert listener == [("127.0.0.1", 7001, "0.0.0.0", 0)]


def test_the_logger_continues_without_its_helper_and_reports_it(tmp_path, namespaces, pairs):
    log = tmp_path / "x.csv"
    (first,) = namespaces(1)
    pairs(first)
    with Running(tmp_path, "--netns", "all", "-s", 50_000, "-o", log, "-O", COLUMNS) as logger:
        wait_for_snapshots(log, 2)
        os.kill(helper_of(logger.pid), signal.SIGKILL)
        wait_for(logger.messages, "the message")
        count = log.read_bytes().count(b"\n# snapshot ")
        (late,) = namespaces(1)
        pairs(late)
        time.sleep(1.5)
        wait_for_snapshots(log, count + 10)
        logger.stop()
    assert logger.messages() == (
        "siftr_cdev_logger: the process that opens network namespaces has exited; new ones are not noticed until the "
        "program is restarted\n"
    )
    assert len(rows_in(log, first.name)) > 30 and not rows_in(log, late.name)


def test_the_helper_ends_with_the_logger_and_keeps_nothing_of_it(tmp_path):
    log = tmp_path / "x.csv"
    line = command("--netns", "all", "-s", 50_000, "-o", "-", "-p", tmp_path / "pid")
    with log.open("wb") as output, subprocess.Popen(line, stdout=output, stderr=subprocess.PIPE) as process:
        wait_for_snapshots(log, 2)
        helper = helper_of(process.pid)
        # As timeout(1) and a terminal do, which signal the helper as well.
        os.kill(helper, signal.SIGTERM)
        os.kill(helper, signal.SIGINT)
        targets = {os.readlink(f"/proc/{helper}/fd/{number}") for number in os.listdir(f"/proc/{helper}/fd")}
        assert {re.sub(r"\d+", "", each) for each in targets} == {"/dev/null", "socket:[]"}
        process.kill()
        # The helper has no end of this pipe.
        assert process.stderr.read() == b""
    wait_for(lambda: not is_running(helper), "the helper to exit")
    # It does not hold the lock of the pidfile either.
    run("-c", 1, "-o", "/dev/null", "-p", tmp_path / "pid")


def test_the_logger_and_its_helper_are_confined(reachable, probe):  # noqa: F811
    made = Daemon(reachable, probe, "--netns", "all", "-u", "nobody")
    try:
        helper = helper_of(made.pid)
        assert made.results()["enter_namespace"] == "EPERM"
        wait_for(lambda: "helper_diag_socket" in made.results(), "the operations of the helper")
        results = {name: result for name, result in made.results().items() if name.startswith("helper_")}
        assert {results.pop(name) for name in ("helper_list", "helper_diag_socket")} == {"done"}
        assert results.pop("helper_read_shadow") == "EACCES"
        assert set(results.values()) == {"EPERM"} and len(results) == 17
        status = status_of(helper)
        assert status["Uid"] == [str(NOBODY)] * 4 and set(status["Groups"]) <= {str(NOBODY)}
        # CAP_NET_ADMIN, CAP_SYS_PTRACE and CAP_SYS_ADMIN.
        kept = f"{1 << 12 | 1 << 19 | 1 << 21:016x}"
        assert status["CapEff"] == status["CapPrm"] == [kept]
        assert status["CapInh"] == status["CapBnd"] == status["CapAmb"] == ["0" * 16]
        assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
    finally:
        made.listener.close()
        made.end()


def test_namespaces_do_not_use_up_the_descriptors(tmp_path, namespaces):
    """Any user can create as many as the kernel allows."""
    path = tmp_path / "x.csv"
    first = namespaces(1)
    limited = ["prlimit", "--nofile=80:80"]
    with Running(tmp_path, "--netns", "all", "-s", 50_000, "-o", path, enter=limited) as logger:
        wait_for_snapshots(path, 2)
        more = namespaces(12)
        wait_for(logger.messages, "the warning")
        path.rename(tmp_path / "old")
        logger.send(signal.SIGHUP)
        wait_for_snapshots(path, 2)
        assert len(os.listdir(f"/proc/{logger.pid}/fd")) < 40
        assert is_running(helper_of(logger.pid)), [*first, *more]
        logger.stop()
    assert logger.messages() == (
        "siftr_cdev_logger: only 8 network namespaces can be open, because of the limit of open files; ignoring others\n"
    )


def test_root_cannot_enter_namespaces_after_the_start(reachable, probe):  # noqa: F811
    made = Daemon(reachable, probe, "--netns", "all")
    try:
        assert made.results()["enter_namespace"] == "EPERM"
    finally:
        made.listener.close()
        made.end()


def test_an_unknown_namespace_is_an_error_that_lists_the_others(namespaces):
    (only,) = namespaces(1)
    message = refuse("--netns", f"{only.name},nowhere", "-c", 1, "-o", "-")
    assert message.startswith('--netns: unknown network namespace "nowhere"; expected all, an inode number, or one of: ')
    assert only.name in message


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--netns", ""], '--netns "": expected all, or a comma-separated list of network namespaces'),
        (["--netns", "all", "-x", "-d", "bpf"], "source bpf: for one network namespace only; use sock_diag with --netns"),
        (["--netns", "all", "-d", "x.bin"], "--netns: requires the source sock_diag, not x.bin"),
        (["--all-vnets"], "--all-vnets: available on FreeBSD only; use --netns all"),
    ],
)
def test_what_cannot_be_combined_is_refused(arguments, message):
    assert refuse(*arguments, "-c", 1, "-o", "-") == message


def test_entering_namespaces_requires_a_capability():
    enter = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    message = refuse("--netns", "all", "-c", 1, "-o", "-", enter=enter)
    assert message == "--netns: entering network namespaces requires CAP_SYS_ADMIN"


def test_a_namespace_that_cannot_be_opened_is_a_warning(tmp_path, namespaces, pairs):
    (good,) = namespaces(1)
    pairs(good)
    name = f"e2e-{os.getpid()}-mounts"
    path = pathlib.Path("/run/netns") / name
    path.touch()
    log = tmp_path / "x.csv"
    # A namespace of another kind.
    subprocess.run(["mount", "--bind", "/proc/self/ns/uts", path], check=True)
    try:
        done = subprocess.run(
            command("--netns", "all", "-c", 1, "-o", log, "-O", COLUMNS), capture_output=True, text=True, timeout=20
        )
    finally:
        subprocess.run(["umount", path], check=True)
        path.unlink()
    assert (done.returncode, done.stderr) == (
        0,
        f"siftr_cdev_logger: network namespace {name} cannot be opened: Invalid argument\n",
    )
    assert len(rows_in(log, good.name)) == 3
