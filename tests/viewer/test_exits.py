# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The exit of the viewer when its output is closed or full, or when its terminal hangs up."""

import fcntl
import os
import pathlib
import pty
import resource
import signal
import struct
import subprocess
import termios
import time

import pytest
from logger import wait_for
from synthetic import START, steady, write
from viewer import TCPSTATS, run


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log for which the output of every command is larger than the buffer of a pipe."""
    records = [{"gencnt": i + 100, "lport": 1024 + i} for i in range(10000)]
    return write(tmp_path_factory.mktemp("exits") / "log.csv", [(START, records), (START + 1, records)])


@pytest.fixture(scope="module")
def damaged(log):
    """A log whose problems do not fit into the buffer of a pipe."""
    path = log.with_name("damaged.csv")
    path.write_text(log.read_text().replace(",ESTABLISHED,", ",ESTABLISHET,"))
    return path


def commands(log):
    return {
        "show": ["show", "-d", log],
        "show --json": ["show", "--json", "-d", log],
        "top": ["top", "-d", log],
        "convert": ["convert", "-F", "json", log, "-"],
        "convert to parquet": ["convert", "-F", "parquet", log, "-"],
        "summary": ["summary", "-n", "9999", log],
        "summary --csv": ["summary", "--csv", log],
        "summary --json": ["summary", "--json", log],
        "check": ["check", log],
        "plot": ["plot", log],
        "completions": ["completions", "bash"],
        "help": ["--help"],
        "help of a command": ["convert", "--help"],
        "version": ["--version"],
    }


NAMES = list(commands(""))


def closing(line, *descriptors, **options):
    """Runs the viewer with these descriptors closed."""
    shell = '"$@" ' + " ".join(f"{number}>&-" for number in descriptors)
    return subprocess.run(["sh", "-c", shell, "sh", TCPSTATS, *map(str, line)], timeout=60, **options)


@pytest.mark.parametrize("name", NAMES)
def test_lost_output_is_an_error(log, name):
    line = commands(log)[name]
    with open(os.devnull) as read_only, open("/dev/full", "wb") as full:
        ends = [closing(line, 1, stderr=subprocess.PIPE)] + [
            subprocess.run([TCPSTATS, *line], stdout=out, stderr=subprocess.PIPE, timeout=60) for out in (read_only, full)
        ]
    for done in ends:
        assert done.returncode == 1, done
        message = done.stderr.decode()
        assert message.startswith("tcpstats: standard output: ") and message.count("\n") == 1, message
        assert "Bad file descriptor" in message or "No space left on device" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_or_full_standard_error_changes_nothing(log, name, tmp_path):
    line = commands(log)[name]
    normal = subprocess.run([TCPSTATS, *line], capture_output=True, timeout=60)
    closed = closing(line, 2, stdout=subprocess.PIPE)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TCPSTATS, *line], stdout=subprocess.PIPE, stderr=full, timeout=60)
    assert (closed.returncode, closed.stdout) == (done.returncode, done.stdout) == (normal.returncode, normal.stdout)
    assert normal.returncode == 0
    # The same applies if there is an error to report.
    with open("/dev/full", "wb") as full:
        for wrong in ["show", "-d", tmp_path / "none"], ["--bogus"], ["summary", tmp_path / "none"]:
            done = subprocess.run([TCPSTATS, *wrong], stdout=subprocess.PIPE, stderr=full, timeout=60)
            assert (done.returncode, done.stdout) == (1, b"")
            assert closing(wrong, 2, stdout=subprocess.PIPE).returncode == 1


@pytest.mark.parametrize("name", ["show", "show --json", "convert", "convert to parquet", "summary", "summary --csv", "summary --json", "completions", "plot", "help"])
def test_a_reader_that_closes_the_pipe_causes_no_error(log, name):
    for read in 0, 20:
        child = subprocess.Popen([TCPSTATS, *commands(log)[name]], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.read(read)
        child.stdout.close()
        message = child.stderr.read()
        child.stderr.close()
        assert (child.wait(60), message) == (0, b"")


def test_check_sets_its_exit_status_without_a_reader(log, damaged):
    for path, status in (log, 0), (damaged, 1):
        child = subprocess.Popen([TCPSTATS, "check", "-a", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.close()
        message = child.stderr.read()
        child.stderr.close()
        assert (child.wait(60), message) == (status, b"")


def in_terminal(rows, columns, *line, environment=None):
    """Starts the viewer in a terminal of this size; returns its process and the master side of the terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def own():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    environment = {"TERM": "xterm", "LANG": "C.UTF-8", "PATH": os.environ["PATH"]} | (environment or {})
    child = subprocess.Popen([TCPSTATS, *map(str, line)], stdin=slave, stdout=slave, stderr=slave, preexec_fn=own, env=environment)
    os.close(slave)
    return child, master


def read_until(master, text, seconds=20):
    """Returns the output of the terminal up to a text."""
    os.set_blocking(master, False)
    shown = b""

    def found():
        nonlocal shown
        try:
            shown += os.read(master, 1 << 20)
        except BlockingIOError:
            pass
        except OSError:
            return True
        return text in shown

    wait_for(found, text, seconds)
    return shown


@pytest.mark.parametrize("when", ["at the start", "while it runs"])
def test_top_exits_when_its_terminal_hangs_up(tmp_path, when):
    path = write(tmp_path / "log.csv", steady(300))
    for _ in range(5):
        child, master = in_terminal(24, 80, "top", "-d", path, "-s", 50_000)
        if when == "while it runs":
            read_until(master, b"192.0.2.2")
        os.close(master)
        # The signal also ends it before it catches signals.
        assert child.wait(20) in (-signal.SIGHUP, 1) and child.returncode != -signal.SIGABRT
        if when == "while it runs":
            assert child.returncode == -signal.SIGHUP


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 80), (24, 0), (1, 1), (65535, 65535), (65535, 1), (1, 65535)])
def test_top_draws_on_a_terminal_of_any_size(tmp_path, rows, columns):
    path = write(tmp_path / "log.csv", steady(300))
    limit = 2 << 30
    child, master = in_terminal(rows, columns, "top", "-d", path, "-s", 50_000)
    resource.prlimit(child.pid, resource.RLIMIT_AS, (limit, limit))
    shown = read_until(master, b"\x1b[?1049h")
    time.sleep(0.3)
    # The terminal can also be resized to any size.
    for size in (rows, columns), (24, 80), (65535, 65535):
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        child.send_signal(signal.SIGWINCH)
        time.sleep(0.2)
        try:
            while os.read(master, 1 << 20):
                pass
        except BlockingIOError:
            pass
    assert child.poll() is None, shown[-500:]
    status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    assert peak < 512 * 1024, "kilobytes"
    os.write(master, b"q")
    drain(master, child)
    assert child.returncode == 0
    os.close(master)


def drain(master, child):
    """Reads the output of the terminal until the child exits."""

    def ended():
        try:
            os.read(master, 1 << 20)
        except (BlockingIOError, OSError):
            pass
        return child.poll() is not None

    wait_for(ended, "the end of top")


@pytest.mark.parametrize("term", ["dumb", "", None])
def test_one_snapshot_is_printed_on_a_terminal_that_cannot_move_its_cursor(tmp_path, term):
    path = write(tmp_path / "log.csv", steady(3))
    child, master = in_terminal(24, 80, "top", "-d", path, environment={"TERM": term or ""})
    shown = read_until(master, b"192.0.2.2")
    drain(master, child)
    assert child.returncode == 0 and b"\x1b" not in shown
    os.close(master)


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1", ""])
def test_the_output_is_ascii_without_utf8(tmp_path, locale):
    path = write(tmp_path / "log.csv", steady(300))
    child, master = in_terminal(24, 80, "top", "-d", path, "-s", 50_000, environment={"LANG": locale})
    read_until(master, b"192.0.2.2")
    os.write(master, b"\r")
    shown = read_until(master, b"Esc back")
    os.write(master, b"q")
    drain(master, child)
    assert child.returncode == 0 and shown.isascii()
    os.close(master)
    for line in ["show", "-d", path], ["summary", path], ["check", path], ["--help"], ["summary", "--help"]:
        assert run(*line, env={"LANG": locale}).isascii()
