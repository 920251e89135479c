# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""How a log ends, and how the next run continues it."""

import contextlib
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import termios

import pytest
from logger import CsvLog, command, error_message, refuse, run, wait_for
from running import Running, wait_for_snapshots
from sockets import Connections

FORMATS = ["csv", "json", "siftr", "bin"]
IS_LAST = {
    "csv": lambda line: line.startswith(b"# end "),
    "json": lambda line: json.loads(line)["note"] == "end",
    "siftr": lambda line: line.startswith(b"disable_time_secs="),
}


@pytest.mark.parametrize("form", IS_LAST)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_long_wait_ends_it_with_a_closing_line(tmp_path, loopback, number, form):
    log = tmp_path / "log"
    with Running(tmp_path, "-o", log, "-s", 60_000_000, "-F", form, "-e", f"port {loopback.port}") as logger:
        # The snapshot is complete when its records are in the log.
        wait_for(lambda: log.exists() and log.read_bytes().count(b"\n") > 16, what="the first snapshot")
        logger.send(number)
        assert (logger.wait(), logger.messages()) == (0, "")
    *_, last = log.read_bytes().splitlines(keepends=True)
    assert last.endswith(b"\n") and IS_LAST[form](last)


def test_a_signal_under_load_leaves_complete_lines_and_correct_totals(tmp_path):
    with Connections("127.0.0.1", 500):
        for attempt in range(5):
            path = tmp_path / f"{attempt}.csv"
            with Running(tmp_path, "-o", path, "-s", 1000, "-O", "all") as logger:
                wait_for(lambda: path.exists() and path.stat().st_size > 10_000, what="some records")
                logger.stop()
            log = CsvLog(path.read_text())
            assert log.end()["records"] == len(log.cells)
            assert log.end()["snapshots"] == len(log.numbers())


@contextlib.contextmanager
def pipe(_):
    reader, writer = os.pipe()
    yield reader, {"stdout": writer}, "-"


@contextlib.contextmanager
def terminal(_):
    reader, writer = os.openpty()
    yield reader, {"stdout": writer}, "-"
    os.close(writer)


@contextlib.contextmanager
def fifo(directory):
    path = directory / "fifo"
    os.mkfifo(path)
    yield os.open(path, os.O_RDONLY | os.O_NONBLOCK), {}, path


def test_the_logger_exits_successfully_when_the_reader_closes_the_pipe(tmp_path):
    with pipe(tmp_path) as (reader, options, name):
        with Running(tmp_path, "-o", name, "-s", 1000, "-e", "port 1", **options) as logger:
            os.close(options["stdout"])
            wait_for(lambda: logger.status()["snapshots"] > 0, "a snapshot")
            os.close(reader)
            assert logger.wait() == 0
            assert "closed" not in logger.messages() and "pipe" not in logger.messages()


def test_the_logger_exits_before_the_next_snapshot_if_the_reader_is_gone(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with Running(tmp_path, "-o", "-", "-s", 3_600_000_000, "-e", "port 1", stdout=writer) as logger:
        os.close(writer)
        assert (logger.wait(), logger.messages()) == (0, "")


@pytest.mark.parametrize(
    "made, message",
    [(fifo, "closed by the reader"), (terminal, "Input/output error")],
    ids=["fifo", "terminal"],
)
def test_the_logger_exits_with_an_error_when_the_fifo_or_terminal_is_closed(tmp_path, made, message):
    with (
        made(tmp_path) as (reader, options, name),
        Running(tmp_path, "-o", name, "-s", 1000, "-e", "port 1", **options) as logger,
    ):
        wait_for(lambda: logger.status()["snapshots"] > 0, "a snapshot")
        os.close(reader)
        assert error_message(logger.wait(), logger.messages().splitlines(keepends=True)[-1]) == f"log {name}: {message}"


def take_terminal():
    """Makes standard input the controlling terminal, whose closing is not ignored even if the tests run under nohup(1)."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Session:
    """A logger in the foreground of its own terminal, which a test can close."""

    def __init__(self, directory, *arguments, enter=()):
        self.master, slave = os.openpty()
        self.log = directory / "x.csv"
        line = command("-o", self.log, "-s", 2000, "-e", "port 1", *arguments, enter=enter)
        self.process = subprocess.Popen(
            line, cwd=directory, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=take_terminal,
        )  # fmt: skip
        os.close(slave)
        wait_for_snapshots(self.log, 3)
        threads = pathlib.Path(f"/proc/{self.process.pid}/task")
        wait_for(lambda: any(each.read_text() == "signals\n" for each in threads.glob("*/comm")), "the thread that handles signals")

    def close(self):
        os.close(self.master)

    def end(self):
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0


def test_in_the_foreground_the_logger_exits_with_its_terminal(tmp_path):
    session = Session(tmp_path)
    # While the terminal is open, SIGHUP reopens the log.
    session.log.rename(tmp_path / "old")
    session.process.send_signal(signal.SIGHUP)
    wait_for_snapshots(session.log, 3)
    session.close()
    assert session.process.wait(timeout=20) == 0
    log = CsvLog(session.log.read_text())
    assert log.end()["snapshots"] == log.numbers()[-1]


def test_after_nohup_the_logger_outlives_its_terminal(tmp_path):
    session = Session(tmp_path, enter=["nohup", "--"])
    session.close()
    wait_for_snapshots(session.log, CsvLog(session.log.read_text()).numbers()[-1] + 50)
    session.end()


def test_a_second_run_continues_a_csv_log_without_a_second_header_row(tmp_path, loopback):
    path = tmp_path / "x.csv"
    run("-o", path, "-c", 2, "-s", 10_000)
    first = path.read_bytes()
    run("-o", path, "-c", 3, "-s", 10_000)
    assert path.read_bytes().startswith(first)
    log = CsvLog(path.read_text())
    assert [end["snapshots"] for end in log.noted("end")] == [2, 3]
    assert len(log.noted("log")) == 2
    assert len(log.rows) == sum(end["records"] for end in log.noted("end")) >= 5 * 17


@pytest.mark.parametrize("form", FORMATS)
def test_a_log_of_another_format_or_with_other_columns_is_refused_and_unchanged(tmp_path, loopback, form):
    path = tmp_path / "log"
    run("-o", path, "-F", form, "-c", 1)
    before = path.read_bytes()
    others = [["-F", other] for other in FORMATS if other != form]
    if form == "csv":
        others += [["-O", "all"], ["-O", "srtt"]]
    for other in others:
        assert f"log {path}: file exists and cannot be continued" in refuse("-o", path, "-c", 1, *other)
        assert path.read_bytes() == before, other


OLD = "gencnt,laddr,lport,faddr,fport,state,srtt,snd_cwnd,rto"


def old_log(path, loopback, *arguments, columns=OLD):
    """Writes a log as a version with other default columns would, and returns its contents."""
    run("-o", path, "-c", 2, "-s", 10_000, "-e", f"port {loopback.port}", "-O", columns, *arguments)
    return path.read_bytes()


def missing(columns):
    """Returns the default columns that are not in a list."""
    basic = run("-o", "-", "-c", 1, "-e", "port 1").splitlines()[1].split(",")[2:]
    return ", ".join(name for name in basic if name not in columns.split(","))


@pytest.mark.parametrize("changes", [[], ["-x"]])
def test_a_csv_log_with_other_default_columns_is_continued_with_its_own(tmp_path, loopback, changes):
    path = tmp_path / "x.csv"
    before = old_log(path, loopback, *changes)
    logger = ["-o", path, "-c", 2, "-s", 10_000, "-e", f"port {loopback.port}", *changes]
    done = subprocess.run(command(*logger), capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stderr == (
        f"siftr_cdev_logger: log {path}: its columns differ from the default; keeping them until "
        f"the next rotation (missing: {missing(OLD)})\n"
    )
    assert path.read_bytes().startswith(before)
    log = CsvLog(path.read_text())
    assert log.header[2:] == OLD.split(",") and len(log.lines) > before.count(b"\n")
    assert [note["columns"] for note in log.noted("log")] == [OLD, OLD]
    ends = log.noted("end")
    assert ends[0]["records"] + ends[1]["records"] == len(log.rows) and ends[1]["records"] >= 17
    busy = [row for row in log.rows if row["state"] == "ESTABLISHED"]
    assert all(row["snd_cwnd"].isdigit() and row["srtt"].isdigit() and row["gencnt"].isdigit() for row in busy)
    # A third run reports it again, and nothing else changes.
    assert "keeping them until the next rotation" in subprocess.run(command(*logger), capture_output=True, text=True).stderr


def test_columns_of_an_existing_log_are_sampled_even_if_they_are_not_in_the_default(tmp_path, loopback):
    path = tmp_path / "x.csv"
    columns = OLD + ",tos"
    old_log(path, loopback, columns=columns)
    done = subprocess.run(command("-o", path, "-c", 1, "-e", f"port {loopback.port}"), capture_output=True, timeout=20)
    assert done.returncode == 0
    rows = [row for row in CsvLog(path.read_text()).rows if row["state"] == "ESTABLISHED"]
    assert len({tuple(name for name in row if row[name]) for row in rows}) == 1 and rows[-1]["tos"]


@pytest.mark.parametrize("columns", [["-O", "basic"], ["-O", "all"], ["-O", OLD.replace("srtt", "rttvar")]])
def test_requested_columns_are_not_replaced_by_those_of_the_log(tmp_path, loopback, columns):
    path = tmp_path / "x.csv"
    before = old_log(path, loopback)
    message = refuse("-o", path, "-c", 1, *columns)
    assert message == (
        f"log {path}: file exists and cannot be continued; expected CSV with the requested columns; "
        "name another file or move this one away"
    )
    assert path.read_bytes() == before


def test_a_log_with_columns_of_a_later_version_is_refused_and_unchanged(tmp_path, loopback):
    path = tmp_path / "x.csv"
    later = old_log(path, loopback).replace(b"time,snapshot,gencnt,", b"time,snapshot,newer,")
    path.write_bytes(later)
    assert "cannot be continued; expected CSV" in refuse("-o", path, "-c", 1)
    assert path.read_bytes() == later


@pytest.mark.parametrize("form", ["json", "siftr", "bin"])
def test_other_formats_are_continued_whatever_their_fields(tmp_path, loopback, form):
    path = tmp_path / "x"
    columns = ["-O", OLD] if form == "json" else []
    run("-o", path, "-F", form, "-c", 1, "-e", f"port {loopback.port}", *columns)
    before = path.read_bytes()
    run("-o", path, "-F", form, "-c", 1, "-e", f"port {loopback.port}")
    assert path.read_bytes().startswith(before) and len(path.read_bytes()) > len(before)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_is_not_a_log_is_refused_and_unchanged(tmp_path, form):
    path = tmp_path / "file"
    for content in b"important\n", b"important", b"\x7fELF\0\0", b"\n", b"time,snapshot\n":
        path.write_bytes(content)
        refuse("-o", path, "-c", 1, "-F", form)
        assert path.read_bytes() == content


def test_a_csv_log_truncated_at_any_byte_is_continued_and_readable(tmp_path, loopback):
    path = tmp_path / "x.csv"
    arguments = ["-o", path, "-c", 1, "-O", "laddr,lport,faddr,fport", "-e", f"port {loopback.port}"]
    run(*arguments)
    complete = path.read_bytes()
    for length in range(1, len(complete), 13):
        path.write_bytes(complete[:length])
        run(*arguments)
        end = complete.rfind(b"\n", 0, length) + 1
        assert path.read_bytes().startswith(complete[:end])
        log = CsvLog(path.read_text())
        assert [note["bytes"] for note in log.noted("torn")] == [length - end] * (length > end), length
        assert len(log.rows) == 17 + sum(line[:1].isdigit() for line in complete[:end].decode().splitlines())


@pytest.mark.parametrize("form, follows", [("json", b'{"note":"torn","bytes":8}\n'), ("siftr", b"enable_time_secs=")])
def test_a_truncated_line_of_json_and_of_siftr_is_removed(tmp_path, form, follows):
    path = tmp_path / form
    run("-o", path, "-F", form, "-c", 1)
    complete = path.read_bytes()
    path.write_bytes(complete + b"o,1234.5")
    run("-o", path, "-F", form, "-c", 1)
    assert path.read_bytes().startswith(complete + follows)
