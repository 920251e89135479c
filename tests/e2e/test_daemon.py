# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The logger in the background: messages to its caller, its pidfile, signals, memory use and source."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from bin_log import SNAPSHOT, only_frames
from logger import LOGGER, ROOT, CsvLog, command, error_message, refuse, wait_for
from running import FULL, Running, failing, start, wait_for_end, wait_for_snapshots
from sockets import Connections


@pytest.fixture
def pidfile(tmp_path):
    """The pidfile of a daemon, which is killed after the test."""
    path = tmp_path / "x.pid"
    yield path
    if path.exists() and path.read_text():
        os.kill(int(path.read_text()), signal.SIGKILL)


def stop(pid):
    os.kill(pid, signal.SIGTERM)
    wait_for_end(pid)


def test_the_caller_returns_when_the_first_snapshot_is_taken(pidfile, tmp_path):
    path = tmp_path / "x.csv"
    done = start(tmp_path, "-o", "x.csv", "-p", "x.pid", "-s", 20_000, "-e", "port 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert re.fullmatch(r"\d+\n", pidfile.read_text())
    pid = int(pidfile.read_text())
    wait_for_snapshots(path, 1, 1)
    state = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    assert state["PPid"] == "1" and os.getsid(pid) != os.getsid(0) and os.getsid(pid) != pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert [os.readlink(f"/proc/{pid}/fd/{each}") for each in range(3)] == ["/dev/null"] * 3
    wait_for_snapshots(path, 10)
    stop(pid)
    assert CsvLog(path.read_text()).end()["snapshots"] >= 10
    assert pidfile.read_text() == ""


def test_an_error_after_the_fork_is_reported_by_the_caller(frames, pidfile, tmp_path):
    # The error occurs only at the first sample, because the file ends within a frame.
    cut = tmp_path / "x.bin"
    data = frames.read_bytes()
    snapshot = next(frame["at"] for frame in only_frames(data) if frame["kind"] == SNAPSHOT)
    cut.write_bytes(data[: snapshot + 200])
    done = start(tmp_path, "-d", cut, "-o", "x.csv", "-p", "x.pid")
    assert error_message(done.returncode, done.stderr).startswith(f"source {cut}: at byte {snapshot}: ")
    assert pidfile.read_text() == ""


def test_a_second_instance_reports_the_process_id_of_the_first(pidfile, tmp_path):
    assert start(tmp_path, "-o", "x.csv", "-p", "x.pid").returncode == 0
    pid = int(pidfile.read_text())
    for background in [], ["-b"]:
        message = refuse(*background, "-o", "y.csv", "-p", "x.pid", cwd=tmp_path)
        assert message == f"pidfile x.pid: locked by another siftr_cdev_logger, process {pid}"
        assert not (tmp_path / "y.csv").exists()
    assert int(pidfile.read_text()) == pid, "the second instance does not change the pidfile"
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert start(tmp_path, "-o", "x.csv", "-p", "x.pid").returncode == 0, "the lock ended with the process"
    assert int(pidfile.read_text()) != pid
    stop(int(pidfile.read_text()))


@pytest.mark.parametrize(("arguments", "mode"), [([], 0o640), (["-m", "0604"], 0o604), (["-m", "664"], 0o664)])
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_logs_have_the_requested_mode_whatever_the_umask(arguments, mode, mask, tmp_path):
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-e", "port 1", *arguments, umask=mask) as logger:
        wait_for_snapshots(log, 1)
        log.rename(tmp_path / "old")
        logger.send(signal.SIGHUP)
        wait_for(log.exists, "a new log")
        logger.stop()
    assert [each.stat().st_mode & 0o777 for each in (tmp_path / "old", log)] == [mode, mode]


def test_the_status_line_has_the_counters_of_the_log(tmp_path):
    log = tmp_path / "x (os error 2).csv"
    with Connections("127.0.0.1", 3) as connections:
        arguments = ["-o", log, "-s", 10_000, "--quiet", "-e", f"port {connections.port}", "-q", 7]
        with Running(tmp_path, *arguments) as logger:
            wait_for_snapshots(log, 20)
            status = logger.status()
            assert 0.15 < status["uptime_s"] < 10
            assert 20 <= status["snapshots"] <= 100 * status["uptime_s"] + 1
            assert status["records"] == 7 * status["snapshots"]
            assert status["bytes"] <= log.stat().st_size
            assert (status["dropped"], status["waiting"], status["queue"]) == (0, 0, 7)
            assert 0 < status["walk_us"] < 1_000_000 and status["log"] == str(log)
            assert logger.status()["snapshots"] >= status["snapshots"]
            logger.stop()


def test_verbose_and_quiet_select_the_messages(tmp_path):
    messages = {}
    for option in ([], ["-v"], ["--quiet"]):
        log = tmp_path / f"x{option}.csv"
        with Running(tmp_path, "-o", log, "-e", "port 1", *option) as logger:
            logger.messages_file.write_text("")
            wait_for_snapshots(log, 1)
            log.rename(tmp_path / "old")
            log.mkdir()
            logger.send(signal.SIGHUP)
            time.sleep(0.3)
            log.rmdir()
            logger.send(signal.SIGHUP)
            wait_for(log.exists, "a new log")
            logger.stop()
            messages["".join(option)] = logger.messages()
    assert messages["--quiet"] == ""
    assert "keeping the old file" in messages[""] and "reopened" not in messages[""]
    assert "keeping the old file" in messages["-v"] and "reopened" in messages["-v"]


def rss_kib(pid):
    """Returns the resident set size in KiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


@pytest.mark.parametrize("arguments", [[], ["-x"], ["-F", "bin"]], ids=["csv", "changes", "bin"])
def test_memory_use_does_not_grow(arguments, tmp_path):
    with Connections("127.0.0.1", 10) as connections:
        always = ["-o", "/dev/null", "-s", 50, "-q", 8, "--quiet", "-e", f"port {connections.port}"]
        with Running(tmp_path, *always, *arguments) as logger:

            def wait_for_count(count):
                wait_for(lambda: time.sleep(0.1) or logger.status()["snapshots"] >= count, f"{count} snapshots", 600)

            wait_for_count(1000)
            before = rss_kib(logger.pid)
            wait_for_count(100_000 if FULL else 10_000)
            after = rss_kib(logger.pid)
            logger.stop()
    assert after - before <= 1024, f"{before} KiB after 1,000 snapshots, {after} KiB at the end"


def test_a_source_that_disappears_is_retried(tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 10_000, "-e", "port 1") as logger:
        wait_for_snapshots(path, 10)
        with failing(logger.thread("sampler"), "read", "ENOBUFS"):
            wait_for(lambda: "source_lost" in path.read_text(), "the note")
            time.sleep(1)
        before = path.read_bytes().count(b"# snapshot ")
        wait_for_snapshots(path, before + 20)
        logger.stop()
        messages = logger.messages()
    why = "source sock_diag: the kernel's dump failed: No buffer space available"
    assert messages == (
        f"siftr_cdev_logger: {why}; retrying\n"
        "siftr_cdev_logger: the source works again\n"
    ), "reported once"
    log = CsvLog(path.read_text())
    (note,) = log.noted("source_lost")
    assert note["why"] == why
    assert log.numbers() == list(range(1, len(log.numbers()) + 1)), "the numbering continues"
    assert log.end()["missed_ticks"] > 50


@pytest.mark.parametrize("count", [["-c", "1"], []])
def test_a_source_that_fails_at_the_start_is_an_error(count, tmp_path):
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=socket", "-e", "inject=socket:error=ENOBUFS"]
    message = refuse("-o", "x.csv", *count, enter=strace, cwd=tmp_path)
    assert message == "source sock_diag: No buffer space available"
    assert list(tmp_path.iterdir()) == []


def test_messages_that_cannot_be_written_do_not_stop_the_logger(tmp_path):
    path = tmp_path / "x.csv"
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(command("-v", "-o", path, "-s", 2000, "-e", "port 1"), stderr=full)
    wait_for_snapshots(path, 2)
    threads = pathlib.Path(f"/proc/{process.pid}/task")
    wait_for(lambda: any(each.read_text() == "signals\n" for each in threads.glob("*/comm")), "the thread that handles signals")
    for number in signal.SIGUSR1, signal.SIGHUP:
        process.send_signal(number)
    wait_for_snapshots(path, 20)
    process.terminate()
    assert process.wait(timeout=10) == 0


UNIT = ROOT / "files/siftr_cdev_logger.service"


def test_the_unit_is_accepted_by_systemd(tmp_path):
    text = UNIT.read_text()
    installed = re.search(r"ExecStart=(\S+)", text)[1]
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(installed, LOGGER))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def calls_in(groups):
    """Returns the system calls in groups of systemd, including nested groups."""
    found = set()
    for group in groups:
        if not group.startswith("@"):
            found.add(group)
            continue
        shown = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
        members = [line.strip() for line in shown.stdout.splitlines()[1:]]
        found |= calls_in([member for member in members if member and not member.startswith("#")])
    return found


@pytest.mark.parametrize("options", [(), ("-P", "--netns", "all")])
def test_the_unit_allows_every_system_call_of_the_logger(tmp_path, options):
    allowed = calls_in(" ".join(re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE)).split())
    log, trace = tmp_path / "x.csv", tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-o", trace]
    with Running(tmp_path, "-o", log, "-s", 5000, "-t", 2, "-x", *options, enter=strace) as logger:
        wait_for_snapshots(log, 10)
        (child,) = pathlib.Path(f"/proc/{logger.pid}/task/{logger.pid}/children").read_text().split()
        log.rename(tmp_path / "old")
        os.kill(int(child), signal.SIGHUP)
        os.kill(int(child), signal.SIGUSR1)
        wait_for_snapshots(log, 2)
        assert logger.wait() == 0
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"landlock_restrict_self", "openat", "fdatasync", "socket"} <= made
    assert made - allowed == set()


def test_the_command_line_of_the_unit_works(tmp_path):
    arguments = re.search(r"ExecStart=\S+ (.*)", UNIT.read_text())[1].replace("${LOGS_DIRECTORY}", str(tmp_path))
    with Running(tmp_path, *arguments.split()) as logger:
        log = tmp_path / "tcpstats.log"
        wait_for_snapshots(log, 1)
        logger.stop()
