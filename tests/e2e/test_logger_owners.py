# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The owners of connections in the log (-P), and the process that finds them."""

import os
import pathlib
import re
import signal
import subprocess

import pytest
from logger import CsvLog, log, refuse, run, wait_for
from puppets import Puppet, command_of
from running import Running, start, wait_for_end, wait_for_snapshots
from sockets import Connections, Namespace, ends_of, exchange, listen
from test_netns import is_running, status_of
from test_sandbox import NOBODY, Daemon, probe  # noqa: F401

COLUMNS = "gencnt,laddr,lport,faddr,fport,state,ending,sent_bytes,inode,pid,processes,command,container"


def helper_of(logger):
    """Returns the process ID of the logger's helper."""
    children = pathlib.Path(f"/proc/{logger}/task/{logger}/children").read_text().split()
    (helper,) = [int(pid) for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text() == "siftr-owners\n"]
    return helper


def shown_by_ss(enter):
    """Returns the lowest process and its command, and the number of processes, for each connection that has one, by
    its ends."""
    text = subprocess.run([*enter, "ss", "-tnHp"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in text.splitlines():
        _, _, _, local, foreign, *rest = line.split()
        users = re.findall(r'\("([^"]*)",pid=(\d+),fd=\d+\)', " ".join(rest))
        if users:
            pid, command = min((int(pid), command) for command, pid in users)
            found[local, foreign] = pid, command, len({pid for _, pid in users})
    return found


def owners_in(rows):
    """Returns the same from the rows of a log."""
    return {
        (f"{row['laddr']}:{row['lport']}", f"{row['faddr']}:{row['fport']}"): (int(row["pid"]), row["command"], int(row["processes"]))
        for row in rows
        if row["pid"] and row["state"] not in ("LISTEN", "ENDED")
    }


@pytest.mark.parametrize("options", [(), ("-u", "nobody")])
@pytest.mark.parametrize("first", ["the client", "the server"])
def test_connections_in_no_snapshot_have_the_processes_that_opened_and_closed_them(reachable, options, first):
    path = reachable / "x.csv"
    reachable.chmod(0o777)
    names = "the server", "the client"
    with Namespace() as space, Puppet(enter=space.enter, name=names[0]) as server, Puppet(enter=space.enter, name=names[1]) as client:
        port = server.do("listener = listen(); result = listener.getsockname()[1]")
        arguments = ["-P", "-x", "-d", "bpf", "-s", 60_000_000, "-o", path, "-O", COLUMNS, *options]
        with Running(reachable, *arguments, enter=space.enter) as logger:
            wait_for_snapshots(path, 1)
            other_end = "" if first == "the server" else ".recv(1)"
            server.start(f"for _ in range(20): listener.accept()[0]{other_end}")
            other_end = ".recv(1)" if first == "the server" else ".close()"
            client.do(f"for _ in range(20): socket.create_connection(('127.0.0.1', {port})){other_end}")
            server.finish()
            logger.stop()
    ended = [row for row in CsvLog(path.read_text()).rows if row["state"] == "ENDED"]
    assert len(ended) == 40
    for row in ended:
        process = (server.pid, names[0]) if row["lport"] == str(port) else (client.pid, names[1])
        assert (int(row["pid"]), row["command"]) == process
        assert row["processes"] == row["container"] == ""


@pytest.mark.parametrize("options", [(), ("-x",), ("-u", "nobody"), ("-u", "nobody", "-x", "-d", "sock_diag")])
def test_owners_are_those_that_ss_shows(reachable, options):
    with Namespace() as space, Puppet(enter=space.enter) as one, Puppet(enter=space.enter, name="a b c") as other:
        one.do("pairs(20)")
        other.do("pairs(20); child = fork()")
        try:
            arguments = ["-P", "-s", 50_000, "-c", 3, "-O", COLUMNS, "-o", "-", *options]
            text = run(*arguments, enter=space.enter)
            read = CsvLog(text)
            last = {row["gencnt"]: row for row in read.rows}
            shown = shown_by_ss(space.enter)
            assert len(shown) == 80 and owners_in(last.values()) == shown
            assert {command for _, command, _ in shown.values()} == {command_of(one.pid), "a b c"}
        finally:
            other.do("os.kill(child, signal.SIGKILL)")


def test_the_default_columns_contain_the_owner():
    with listen("127.0.0.1") as server:
        port = server.getsockname()[1]
        (row,) = log("-P", "-c", 1, "-e", f"lport {port} and pid {os.getpid()}").rows
    assert (row["pid"], row["processes"], row["command"]) == (str(os.getpid()), "1", command_of(os.getpid()))
    assert row["state"] == "LISTEN" and "jail" not in row and "container" in row


def test_a_filter_selects_owners_in_a_log_of_changes(tmp_path):
    path = tmp_path / "x.csv"
    with Namespace() as space, Puppet(enter=space.enter) as one, Puppet(enter=space.enter) as other:
        pairs = one.do("result = pairs(1)"), other.do("result = pairs(1)")
        # The source bpf does not notice that a socket was passed on.
        options = ["-P", "-x", "-d", "sock_diag", "-e", f"pid {one.pid}"]
        arguments = [*options, "-s", 50_000, "-o", path, "-O", COLUMNS]
        with Running(tmp_path, *arguments, enter=space.enter) as logger:
            wait_for_snapshots(path, 3)
            # The connection changes its owner, and does not match any more.
            other.start("result = receive()")
            one.do(f"send({pairs[0][0]}, {other.pid}); close({pairs[0][0]})")
            other.finish()
            wait_for(lambda: "\n# close " in path.read_text(), "the note")
            logger.stop()
        read = CsvLog(path.read_text())
        rows = [row for row in read.rows if row["state"] != "ENDED"]
        assert {row["inode"] for row in rows} == {str(inode) for inode in pairs[0]}
        assert len(read.noted("close")) == 1


def test_a_final_record_has_the_last_owner(tmp_path):
    path = tmp_path / "x.csv"
    with Namespace() as space, Puppet(enter=space.enter) as puppet:
        inodes = puppet.do("result = pairs(1)")
        arguments = ["-P", "-s", 50_000, "-o", path, "-O", COLUMNS]
        with Running(tmp_path, *arguments, enter=space.enter) as logger:
            wait_for_snapshots(path, 3)
            puppet.do(f"[close(inode) for inode in {inodes}]")
            wait_for(lambda: path.read_text().count("ENDED") == 2, "the final records")
            logger.stop()
        ended = [row for row in CsvLog(path.read_text()).rows if row["state"] == "ENDED"]
        assert [(row["pid"], row["command"]) for row in ended] == [(str(puppet.pid), command_of(puppet.pid))] * 2


def test_the_logger_continues_without_owners_if_the_helper_is_killed(tmp_path):
    path = tmp_path / "x.csv"
    with Connections("127.0.0.1", 1) as connections:
        exchange(connections.clients[0], connections.servers[0], 100)
        port = ends_of(connections.clients[0])[1]
        arguments = ["-P", "-s", 50_000, "-o", path, "-O", COLUMNS, "-e", f"lport {port} and state established"]
        with Running(tmp_path, *arguments) as logger:
            wait_for_snapshots(path, 3)
            helper = helper_of(logger.pid)
            os.kill(helper, signal.SIGKILL)
            wait_for(logger.messages, "the message")
            wait_for(lambda: not pathlib.Path(f"/proc/{helper}").exists(), "the end of the helper, which is not a zombie")
            wait_for_snapshots(path, path.read_bytes().count(b"\n# snapshot ") + 5)
            logger.stop()
    assert logger.messages() == (
        "siftr_cdev_logger: the process that finds the owners of connections has exited; continuing without owners\n"
    )
    read = CsvLog(path.read_text())
    assert read.rows[0]["pid"] == str(os.getpid()) and read.rows[-1]["pid"] == ""
    assert read.numbers() == list(range(1, len(read.numbers()) + 1)), "no snapshot is missing"


@pytest.mark.parametrize("connections", [1, 5000])
def test_the_logger_continues_without_owners_if_the_helper_is_stopped(tmp_path, connections):
    """Also if the numbers of the sockets do not fit into the buffer."""
    path = tmp_path / "x.csv"
    with Namespace() as space, Puppet(enter=space.enter) as puppet:
        puppet.do(f"result = len(pairs({connections}))")
        with Running(tmp_path, "-P", "-s", 200_000, "-o", path, "-O", COLUMNS, enter=space.enter) as logger:
            wait_for_snapshots(path, 3)
            os.kill(helper_of(logger.pid), signal.SIGSTOP)
            wait_for(logger.messages, "the message")
            wait_for_snapshots(path, path.read_bytes().count(b"\n# snapshot ") + 3)
            logger.stop()
    slow = "the process that finds the owners of connections has not replied for 10 s; continuing without owners"
    assert logger.messages() == f"siftr_cdev_logger: {slow}\n"
    read = CsvLog(path.read_text())
    assert read.rows[0]["pid"] == str(puppet.pid) and len(read.noted("end")) == 1


def test_the_logger_and_its_helper_are_confined(reachable, probe):  # noqa: F811
    made = Daemon(reachable, probe, "-P", "-u", "nobody")
    try:
        helper = helper_of(made.pid)
        assert made.results()["list_descriptors"] == "EACCES"
        wait_for(lambda: "helper_diag_socket" in made.results(), "the operations of the helper")
        results = {name: result for name, result in made.results().items() if name.startswith("helper_")}
        # To read the descriptors of all processes, it can read all files.
        assert results.pop("helper_read_shadow") == results.pop("helper_list") == "done"
        assert set(results.values()) == {"EPERM"} and len(results) == 18
        status = status_of(helper)
        assert status["Uid"] == [str(NOBODY)] * 4 and set(status["Groups"]) <= {str(NOBODY)}
        # CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE.
        assert status["CapEff"] == status["CapPrm"] == [f"{1 << 2 | 1 << 19:016x}"]
        assert status["CapInh"] == status["CapBnd"] == status["CapAmb"] == ["0" * 16]
        assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
        assert status_of(made.pid)["CapEff"] == ["0" * 16]
        targets = {os.readlink(f"/proc/{helper}/fd/{number}") for number in os.listdir(f"/proc/{helper}/fd")}
        assert {re.sub(r"\d+", "", each) for each in targets} == {"/dev/null", "/proc", "socket:[]"}
    finally:
        made.listener.close()
        made.end()
    wait_for(lambda: not is_running(helper), "the helper to exit")


def test_the_helper_ends_with_a_logger_that_is_killed(tmp_path):
    done = start(tmp_path, "-P", "-p", tmp_path / "pid", "-o", tmp_path / "x.csv")
    assert (done.returncode, done.stderr) == (0, "")
    pid = int((tmp_path / "pid").read_text())
    helper = helper_of(pid)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    wait_for(lambda: not is_running(helper), "the helper to exit")


def test_what_cannot_be_combined_is_refused(frames, tmp_path):
    only = "the owners of connections are known only with -P"
    assert refuse("-e", "pid 1", "-c", 1) == f'-e "pid 1": {only}'
    assert refuse("-e", "not command sshd", "-c", 1) == f'-e "not command sshd": {only}'
    message = refuse("-P", "-d", frames, "-c", 1, cwd=tmp_path)
    assert message == f"-P: {frames}: a file has the owners that were logged; -P is for live statistics"
    assert not (tmp_path / "tcpstats.log").exists()
