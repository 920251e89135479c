# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The logger never uses one file for two purposes, whatever its names, and never overwrites other files."""

import os
import signal
import subprocess

import pytest
from bin_log import notes, only_frames, snapshots
from logger import CsvLog, command, error_message, refuse, run, wait_for
from running import Running, start, wait_for_end, wait_for_snapshots


@pytest.fixture
def binary(frames, tmp_path):
    """A log of frames that a test may damage."""
    path = tmp_path / "x.bin"
    path.write_bytes(frames.read_bytes())
    return path


def hard_link(path):
    other = path.with_name("hard")
    other.hardlink_to(path)
    return other


def symbolic_link(path):
    other = path.with_name("symbolic")
    other.symlink_to(path)
    return other


@pytest.mark.parametrize("name", [lambda path: path, hard_link, symbolic_link], ids=["name", "hard link", "link"])
def test_a_source_cannot_be_its_own_log(name, binary):
    before = binary.read_bytes()
    log = name(binary)
    message = refuse("-d", binary, "-F", "bin", "-s", 1, "-o", log)
    assert message == f"log {log}: same file as the source {binary}; name another file"
    assert binary.read_bytes() == before


def test_a_source_cannot_be_its_own_log_through_standard_output(binary):
    before = binary.read_bytes()
    with binary.open("ab") as output:
        done = subprocess.run(
            command("-d", binary, "-F", "bin", "-s", 1, "-o", "-"), stdout=output, stderr=subprocess.PIPE, timeout=20
        )
    assert "same file as the source" in error_message(done.returncode, done.stderr.decode())
    assert binary.read_bytes() == before


def test_a_log_cannot_continue_in_its_source(frames, tmp_path):
    source, log = tmp_path / "source.bin", tmp_path / "x.bin"
    source.write_bytes(frames.read_bytes() * 100)
    with Running(tmp_path, "-d", source, "-F", "bin", "-s", 20_000, "-o", log) as logger:
        wait_for(lambda: log.exists() and log.stat().st_size > 0, "a log")
        log.unlink()
        log.hardlink_to(source)
        logger.send(signal.SIGHUP)
        wait_for(lambda: "same file as the source" in logger.messages(), "a message")
    assert source.read_bytes() == frames.read_bytes() * 100


NOT_PIDFILES = {
    "text": b"important\n",
    "a log": b'# log version="2.0.0"\n',
    "two numbers": b"1\n2\n",
    "a long number": b"1" * 40,
    "a number with a name": b"12 init\n",
    "a negative number": b"-5\n",
    "bytes": b"\xff\xfe",
}


@pytest.mark.parametrize("content", NOT_PIDFILES.values(), ids=NOT_PIDFILES)
@pytest.mark.parametrize("background", [[], ["-b"]], ids=["foreground", "background"])
def test_a_file_without_a_process_id_is_refused_as_pidfile(content, background, tmp_path):
    path = tmp_path / "x.pid"
    path.write_bytes(content)
    message = refuse(*background, "-o", "x.csv", "-c", 1, "-p", "x.pid", cwd=tmp_path)
    assert message == "pidfile x.pid: file exists and does not contain a process ID; name another file"
    assert path.read_bytes() == content and not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("content", [b"", b"12345\n", b"12345", b" 12345 \n", bytes(6)])
def test_the_pidfile_of_an_earlier_run_is_overwritten(content, tmp_path):
    path = tmp_path / "x.pid"
    path.write_bytes(content)
    run("-o", tmp_path / "x.csv", "-c", 1, "-p", path)
    assert path.read_bytes() == b""


def test_a_pidfile_must_be_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in tmp_path / "fifo", "/dev/null":
        assert refuse("-o", tmp_path / "x.csv", "-c", 1, "-p", path) == f"pidfile {path}: expected a regular file"


def test_the_pidfile_cannot_be_the_log(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    for pidfile in "x", "./x", "link/x":
        assert "-p and -o name the same file, x;" in refuse("-o", "x", "-c", 1, "-p", pidfile, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
    run("-o", tmp_path / "x", "-c", 1)
    before = (tmp_path / "x").read_bytes()
    for pidfile in "x", "link/x":
        refuse("-o", "x", "-c", 1, "-p", pidfile, cwd=tmp_path)
    hard_link(tmp_path / "x")
    assert "does not contain a process ID" in refuse("-o", "x", "-c", 1, "-p", "hard", cwd=tmp_path)
    assert (tmp_path / "x").read_bytes() == before
    # An empty file could be either.
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "again").hardlink_to(tmp_path / "empty")
    message = refuse("-o", "empty", "-c", 1, "-p", "again", cwd=tmp_path)
    assert message == "log empty: same file as the pidfile again; name another file"


def test_the_pidfile_cannot_be_the_source(binary, tmp_path):
    before = binary.read_bytes()
    refuse("-d", binary, "-o", tmp_path / "x.csv", "-p", binary)
    assert binary.read_bytes() == before


NOT_UTF8 = b"\xff\xc3-x"


def test_file_names_may_contain_any_bytes(frames, tmp_path):
    os.chdir(tmp_path)
    (source, log, pidfile) = (NOT_UTF8 + ending for ending in (b".bin", b".csv", b".pid"))
    with open(source, "wb") as file:
        file.write(frames.read_bytes())
    for option in [b"-o", log, b"-d", source, b"-p", pidfile], [b"--output=" + log, b"-d" + source, b"--pidfile", pidfile]:
        done = subprocess.run([*command(), *option, b"-s", b"1000"], capture_output=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(os.listdir(b".")) == sorted([source, log, pidfile])
    with open(log, encoding="utf-8") as file:
        logged = CsvLog(file.read()).noted("log")
    assert [note["source"] for note in logged] == [source.decode(errors="replace")] * 2


def test_errors_show_names_of_any_bytes_and_text_must_be_utf_8(tmp_path):
    def message(*arguments):
        done = subprocess.run([*command(), *arguments], capture_output=True, timeout=20, cwd=tmp_path)
        return error_message(done.returncode, done.stderr.decode())

    shown = "\ufffd\ufffd-x"
    assert message(b"-d", NOT_UTF8) == f"source {shown}: No such file or directory"
    assert message(b"-e", NOT_UTF8) == f'-e "{shown}": expected text in UTF-8'
    assert f'"{shown}": unexpected argument' in message(NOT_UTF8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_has_several_names(name):
    shell = ["sh", "-c", '"$@" >&-', "sh", *command("-o", name, "-c", 1)]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=20)
    assert error_message(done.returncode, done.stderr) == f"log {name}: standard output is closed"
    assert CsvLog(run("-o", name, "-c", 1)).end()["snapshots"] == 1
    shell = ["sh", "-c", '"$@" | head -n 1', "sh", *command("-o", name, "-s", 1000, "-e", "port 1")]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=20)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.parametrize("arguments", [["-o", "-", "-c", "1"], ["-h"], ["--help"], ["-V"]], ids=" ".join)
@pytest.mark.parametrize("redirection", [">&-", "</dev/null >&0"])
def test_standard_output_that_cannot_be_written_is_an_error(arguments, redirection):
    shell = ["sh", "-c", f'"$@" {redirection}', "sh", *command(*arguments)]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=20)
    message = error_message(done.returncode, done.stderr)
    assert "standard output is closed" in message if redirection == ">&-" else "Bad file descriptor" in message


def test_standard_output_may_be_closed_if_the_log_is_a_file(tmp_path):
    shell = ["sh", "-c", '"$@" <&- >&-', "sh", *command("-o", tmp_path / "x.csv", "-c", 1)]
    assert subprocess.run(shell, timeout=20).returncode == 0
    assert CsvLog((tmp_path / "x.csv").read_text()).end()["snapshots"] == 1


def test_a_log_that_is_a_symbolic_link_continues_at_its_target(tmp_path):
    """Also if the target is another link, and if the link is renamed."""
    for each in "a", "b", "c":
        (tmp_path / each).mkdir()
    link, real = tmp_path / "a/t.log", tmp_path / "c/real.log"
    link.symlink_to("../b/middle.log")
    (tmp_path / "b/middle.log").symlink_to(real)
    with Running(tmp_path, "-o", "a/t.log", "-s", 2000, "-e", "port 1") as logger:
        wait_for_snapshots(real, 2)
        real.rename(tmp_path / "c/real.log.0")
        logger.send(signal.SIGHUP)
        wait_for_snapshots(real, 2)
        link.rename(tmp_path / "a/t.log.0")
        logger.send(signal.SIGHUP)
        wait_for_snapshots(link, 2)
        logger.stop()
        assert logger.messages() == ""
    assert 'sandbox="landlock"' in link.read_text() and not link.is_symlink()


def replaced(tmp_path):
    """Renames the log's directory, and creates another with its name."""
    (tmp_path / "d").rename(tmp_path / "old")
    (tmp_path / "d").mkdir()


def retargeted(tmp_path):
    """The log's directory is a link; changes its target to another directory."""
    (tmp_path / "d").unlink()
    (tmp_path / "new").mkdir()
    (tmp_path / "d").symlink_to("new")


def linked(tmp_path):
    """Replaces the log with a link to another directory."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "d/t.log").unlink()
    (tmp_path / "d/t.log").symlink_to("../elsewhere/t.log")


CHANGES = pytest.mark.parametrize("change", [replaced, retargeted, linked])


def running(tmp_path, change, *arguments):
    if change is retargeted:
        (tmp_path / "old").mkdir()
        (tmp_path / "d").symlink_to("old")
    else:
        (tmp_path / "d").mkdir()
    return Running(tmp_path, "-o", "d/t.log", "-s", 2000, "-e", "port 1", *arguments)


@CHANGES
def test_a_replaced_directory_is_named_in_the_warning_and_nothing_is_lost(change, tmp_path):
    log = tmp_path / "d/t.log"
    with running(tmp_path, change) as logger:
        wait_for_snapshots(log, 2)
        fd = os.open(log, os.O_RDONLY)
        change(tmp_path)
        logger.send(signal.SIGHUP)
        directory = tmp_path / ("elsewhere" if change is linked else "d")
        message = (
            "log d/t.log: the sandbox allows only the directories that the log used at the start, not "
            f"{directory}; restart the logger, or use --no-sandbox; keeping the old file"
        )
        if change is linked:
            message = message.replace(str(directory), f"{tmp_path}/d/../elsewhere")
        wait_for(lambda: logger.messages() == f"siftr_cdev_logger: {message}\n", "a message")
        logger.stop()
    with open(fd) as old:
        numbers = CsvLog(old.read()).numbers()
    assert numbers == list(range(1, len(numbers) + 1))


@CHANGES
def test_without_the_sandbox_the_log_continues_in_the_new_directory(change, tmp_path):
    log = tmp_path / "d/t.log"
    with running(tmp_path, change, "--no-sandbox") as logger:
        wait_for_snapshots(log, 2)
        change(tmp_path)
        logger.send(signal.SIGHUP)
        wait_for_snapshots(log, 2)
        logger.stop()
        assert logger.messages() == ""


def test_a_removed_directory_is_named_in_the_warning(tmp_path):
    with running(tmp_path, replaced) as logger:
        wait_for_snapshots(tmp_path / "d/t.log", 2)
        (tmp_path / "d").rename(tmp_path / "old")
        logger.send(signal.SIGHUP)
        message = f"log d/t.log: directory {tmp_path}/d no longer exists; keeping the old file"
        wait_for(lambda: message in logger.messages(), "a message")
        logger.stop()
    assert CsvLog((tmp_path / "old/t.log").read_text()).end()["dropped"] == 0


def test_a_daemon_closes_the_descriptors_of_its_caller(tmp_path):
    reader, writer = os.pipe()
    os.dup2(writer, 200)
    for each in writer, 200:
        os.set_inheritable(each, True)
    done = start(tmp_path, "-o", "x.csv", "-p", "x.pid", "-s", 20_000, "-e", "port 1", pass_fds=[writer, 200])
    assert (done.returncode, done.stderr) == (0, "")
    os.close(writer)
    os.close(200)
    pid = int((tmp_path / "x.pid").read_text())
    try:
        # This would block until the daemon exits, if the daemon had the pipe open.
        assert os.read(reader, 1) == b""
        wait_for_snapshots(tmp_path / "x.csv", 3)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
        os.close(reader)


@pytest.mark.parametrize("output", ["x.csv", "-"])
def test_failing_to_sync_the_log_at_its_end_is_an_error(output, tmp_path):
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-etrace=fdatasync", "-einject=fdatasync:error=EIO"]
    with (tmp_path / "x.csv").open("wb") as stdout:
        done = subprocess.run(
            command("-o", output, "-c", 1, enter=inject), stdout=stdout, stderr=subprocess.PIPE, cwd=tmp_path, timeout=20
        )
    message = error_message(done.returncode, done.stderr.decode())
    assert message == f"log {output}: cannot sync to disk: Input/output error"
    assert CsvLog((tmp_path / "x.csv").read_text()).end()["snapshots"] == 1


def test_a_damaged_binary_log_is_renamed_and_a_new_log_is_started(binary, tmp_path):
    data = binary.read_bytes()
    second = snapshots(data)[1]
    for offset, reported in ((second["at"], second["at"]), (0, 0)):
        damaged = data[:offset] + bytes(4096) + data[offset + 4096 :]
        binary.write_bytes(damaged)
        for name in "x.bin.damaged", "x.bin.damaged.1":
            done = subprocess.run(
                command("-o", binary, "-F", "bin", "-c", 1, "-e", "port 1"), capture_output=True, text=True, timeout=20
            )
            message = f"log {binary}: damaged at byte {reported}; renamed to {name}; starting a new log"
            assert (done.returncode, done.stderr) == (0, f"siftr_cdev_logger: {message}\n")
            assert (tmp_path / name).read_bytes() == damaged
            assert [note["note"] for note in notes(binary.read_bytes())] == ["log", "end"]
            only_frames(binary.read_bytes())
            binary.write_bytes(damaged)
        for name in "x.bin.damaged", "x.bin.damaged.1":
            (tmp_path / name).unlink()


@pytest.mark.parametrize("form", ["csv", "json", "siftr", "bin"])
def test_a_log_whose_start_a_power_failure_zeroed_is_renamed(form, tmp_path, loopback):
    path = tmp_path / "x"
    arguments = ["-o", path, "-F", form, "-c", 30, "-s", 1000, "-e", f"port {loopback.port}"]
    run(*arguments)
    data = path.read_bytes()
    for damaged in bytes(4096) + data[4096:], bytes(4096):
        path.write_bytes(damaged)
        done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and f"log {path}: damaged at byte 0; renamed to x.damaged" in done.stderr
        assert (tmp_path / "x.damaged").read_bytes() == damaged
        (tmp_path / "x.damaged").unlink()


def test_a_file_of_zeros_without_a_log_is_unchanged(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(8192) + b"something else\n")
    before = path.read_bytes()
    for form in "csv", "json", "siftr", "bin":
        assert "cannot be continued" in refuse("-o", path, "-F", form, "-c", 1)
    assert path.read_bytes() == before
