# SPDX-License-Identifier: BSD-2-Clause
"""The logger in the background: what its caller hears, its pidfile, its signals, its memory, its source."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from running import FULL, LOGGER, Running, connections, snapshots_of, wait_for_snapshots, wait_until
from test_log import notes


def start(directory, *arguments, **options):
    """Starts a logger in the background, as a shell does; gives what came of it and how long it took."""
    return subprocess.run(
        [LOGGER, "-b", *map(str, arguments)], capture_output=True, text=True, timeout=20, cwd=directory, **options
    )


@pytest.fixture
def daemons(tmp_path):
    """Ends the daemons whose pidfiles lie in the test's directory."""
    yield tmp_path
    for pidfile in tmp_path.glob("*.pid"):
        if pidfile.read_text().strip():
            os.kill(int(pidfile.read_text()), signal.SIGKILL)


def stop(pid):
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "the daemon's end", 20)


def test_the_caller_returns_when_the_first_snapshot_is_taken(daemons):
    log, pidfile = daemons / "x.csv", daemons / "x.pid"
    done = start(daemons, "-o", "x.csv", "-p", "x.pid", "-s", 20_000, "-e", "port 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int(pidfile.read_text())
    assert re.fullmatch(r"\d+\n", pidfile.read_text())
    wait_for_snapshots(log, 1, 1)
    state = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    assert state["PPid"] == "1" and os.getsid(pid) != os.getsid(0) and os.getsid(pid) != pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert [os.readlink(f"/proc/{pid}/fd/{each}") for each in range(3)] == ["/dev/null"] * 3
    wait_for_snapshots(log, 10)
    stop(pid)
    assert log.read_text().splitlines()[-1].startswith("# end ")
    assert pidfile.read_text() == ""


def test_what_fails_behind_the_fork_is_heard_by_the_caller(daemons):
    # The first sample fails only when it is taken: the file of frames ends within a frame.
    frames = daemons / "x.bin"
    subprocess.run([LOGGER, "-o", frames, "-F", "bin", "-c", "1"], check=True)
    whole = frames.read_bytes()
    snapshot = whole.index(b"TCPS", 4)
    frames.write_bytes(whole[: snapshot + 200])
    done = start(daemons, "-d", frames, "-o", "x.csv", "-p", "x.pid")
    assert done.returncode == 1
    assert done.stderr.startswith(f"siftr_cdev_logger: source {frames}: at byte {snapshot}: ")
    assert done.stderr.count("\n") == 1
    assert (daemons / "x.pid").read_text() == ""


def test_a_second_instance_says_which_process_runs(daemons):
    pidfile = daemons / "x.pid"
    assert start(daemons, "-o", "x.csv", "-p", "x.pid").returncode == 0
    pid = int(pidfile.read_text())
    for background in ([], ["-b"]):
        second = subprocess.run(
            [LOGGER, *background, "-o", "y.csv", "-p", "x.pid"], capture_output=True, text=True, timeout=20, cwd=daemons
        )
        assert second.returncode == 1
        assert second.stderr == (
            f"siftr_cdev_logger: another siftr_cdev_logger runs as process {pid}; it holds the pidfile x.pid\n"
        )
        assert not (daemons / "y.csv").exists()
    assert int(pidfile.read_text()) == pid, "the second one leaves the number"
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "its end")
    assert start(daemons, "-o", "x.csv", "-p", "x.pid").returncode == 0, "the lock went with the process"
    assert int(pidfile.read_text()) != pid
    stop(int(pidfile.read_text()))


@pytest.mark.parametrize(("arguments", "mode"), [([], 0o640), (["-m", "0604"], 0o604), (["-m", "664"], 0o664)])
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_logs_have_the_mode_whatever_the_mask_was(arguments, mode, mask, tmp_path):
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-e", "port 1", *arguments, umask=mask) as logger:
        wait_for_snapshots(log, 1)
        log.rename(tmp_path / "old")
        logger.send(signal.SIGHUP)
        wait_until(log.exists, "a new log")
        logger.stop()
    assert [each.stat().st_mode & 0o777 for each in (tmp_path / "old", log)] == [mode, mode]


def test_the_status_line_says_how_far_it_is(tmp_path):
    made = connections(3)
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-s", 10_000, "--quiet", "-e", f"port {made.port}", "-q", 7) as logger:
        wait_for_snapshots(log, 20)
        status = logger.status()
        assert 0.15 < status["uptime_s"] < 10
        assert 20 <= status["snapshots"] <= 100 * status["uptime_s"] + 1
        assert status["records"] == 7 * status["snapshots"]
        assert status["bytes"] <= log.stat().st_size
        assert (status["dropped"], status["waiting"], status["queue"]) == (0, 0, 7)
        assert 0 < status["walk_us"] < 1_000_000 and status["log"] == f'"{log}"'
        assert logger.status()["snapshots"] >= status["snapshots"]
        logger.stop()
    made.close()


def test_messages_can_be_more_or_fewer(tmp_path):
    said = {}
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
            wait_until(log.exists, "a new log")
            logger.stop()
            said["".join(option)] = logger.messages()
    assert said["--quiet"] == ""
    assert "goes on in the file that it has" in said[""] and "goes on in a new file" not in said[""]
    assert "goes on in the file that it has" in said["-v"] and "goes on in a new file" in said["-v"]


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


@pytest.mark.parametrize("arguments", [[], ["-x"], ["-F", "bin"]], ids=["csv", "changes", "bin"])
def test_memory_is_flat(arguments, tmp_path):
    made = connections(10)
    with Running(
        tmp_path, "-o", "/dev/null", "-s", 50, "-q", 8, "--quiet", "-e", f"port {made.port}", *arguments
    ) as logger:
        wait_until(lambda: logger.status()["snapshots"] >= 1000, "1,000 snapshots", 60)
        before = rss_kib(logger.pid)
        wait_until(lambda: time.sleep(0.2) or logger.status()["snapshots"] >= (100_000 if FULL else 10_000), "the snapshots", 600)
        after = rss_kib(logger.pid)
        logger.stop()
    made.close()
    assert after - before <= 1024, f"{before} KiB after 1,000 snapshots, {after} KiB at the end"


def inject(thread, call, error, *options):
    """Has a system call of one thread fail for as long as strace runs."""
    process = subprocess.Popen(
        ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}"]
        + [*options, "-p", str(thread)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(
        lambda: "TracerPid:\t0" not in pathlib.Path(f"/proc/{thread}/status").read_text(), "strace's begin", 10
    )
    return process


def test_a_source_that_vanishes_is_waited_for(tmp_path):
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-s", 10_000, "-e", "port 1") as logger:
        wait_for_snapshots(log, 10)
        strace = inject(logger.thread("sampler"), "read", "ENOBUFS")
        wait_until(lambda: "source_lost" in log.read_text(), "the note")
        time.sleep(1)
        strace.send_signal(signal.SIGINT)
        strace.wait()
        before = log.read_bytes().count(b"# snapshot ")
        wait_for_snapshots(log, before + 20, 20)
        logger.stop()
        messages = logger.messages()
    lost, back = "it is tried again until it gives snapshots", "the source gives snapshots again"
    assert messages.count(lost) == messages.count(back) == 1, "said once"
    assert "No buffer space available" in messages
    (note,) = re.findall(r'^# source_lost time=\S+ missed_ticks=\d+ why="(.*)"$', log.read_text(), re.MULTILINE)
    assert "sock_diag" in note and "No buffer space available" in note
    numbers = snapshots_of(log.read_bytes())
    assert numbers == list(range(1, len(numbers) + 1)), "numbers go on"
    (end,) = notes(log, "end")
    assert int(end["missed_ticks"]) > 50


@pytest.mark.parametrize("count", [["-c", "1"], []])
def test_a_source_that_fails_at_once_is_an_error(count, tmp_path):
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=socket", "-e", "inject=socket:error=ENOBUFS"]
    done = subprocess.run(
        [*strace, LOGGER, "-o", "x.csv", *count], capture_output=True, text=True, timeout=20, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr == "siftr_cdev_logger: source sock_diag: No buffer space available (os error 105)\n"
    assert list(tmp_path.iterdir()) == []


def test_messages_that_nobody_takes_end_nothing(tmp_path):
    log = tmp_path / "x.csv"
    with open("/dev/full", "w") as full:
        process = subprocess.Popen([LOGGER, "-v", "-o", log, "-s", "2000", "-e", "port 1"], stderr=full)
    wait_for_snapshots(log, 2)
    threads = pathlib.Path(f"/proc/{process.pid}/task")
    wait_until(lambda: any(each.read_text() == "signals\n" for each in threads.glob("*/comm")), "a start")
    for number in (signal.SIGUSR1, signal.SIGHUP):
        process.send_signal(number)
    wait_for_snapshots(log, 20)
    process.terminate()
    assert process.wait(timeout=10) == 0


def test_once_is_one_snapshot(tmp_path):
    done = subprocess.run([LOGGER, "-o", "-", "-c", "1"], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.count("\n# snapshot ") == 1 and done.stderr == ""


def test_the_unit_is_accepted_by_systemd(tmp_path):
    unit = pathlib.Path(__file__).resolve().parents[2] / "files/siftr_cdev_logger.service"
    text = unit.read_text()
    installed = re.search(r"ExecStart=(\S+)", text)[1]
    there = tmp_path / unit.name
    there.write_text(text.replace(installed, LOGGER))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", there], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def calls_in(groups):
    """The system calls in systemd's groups, and in the groups in them."""
    found = set()
    for group in groups:
        if not group.startswith("@"):
            found.add(group)
            continue
        shown = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
        members = [line.strip() for line in shown.stdout.splitlines()[1:]]
        found |= calls_in([member for member in members if member and not member.startswith("#")])
    return found


def test_the_unit_lets_the_logger_make_its_system_calls(tmp_path):
    unit = (pathlib.Path(__file__).resolve().parents[2] / "files/siftr_cdev_logger.service").read_text()
    allowed = calls_in(" ".join(re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE)).split())
    log, trace = tmp_path / "x.csv", tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-o", str(trace)]
    with Running(tmp_path, "-o", log, "-s", 5000, "-t", 2, "-x", command=strace) as logger:
        wait_for_snapshots(log, 10)
        (child,) = pathlib.Path(f"/proc/{logger.pid}/task/{logger.pid}/children").read_text().split()
        log.rename(tmp_path / "old")
        os.kill(int(child), signal.SIGHUP)
        os.kill(int(child), signal.SIGUSR1)
        wait_for_snapshots(log, 2)
        assert logger.process.wait(timeout=20) == 0
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"landlock_restrict_self", "openat", "fdatasync", "socket"} <= made
    assert made - allowed == set()


def test_the_unit_starts_a_command_line_that_runs(tmp_path):
    unit = (pathlib.Path(__file__).resolve().parents[2] / "files/siftr_cdev_logger.service").read_text()
    command = re.search(r"ExecStart=\S+ (.*)", unit)[1].replace("${LOGS_DIRECTORY}", str(tmp_path)).split()
    with Running(tmp_path, *command) as logger:
        log = tmp_path / "tcpstats.log"
        wait_for_snapshots(log, 1)
        logger.stop()
