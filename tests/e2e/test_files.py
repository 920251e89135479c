# SPDX-License-Identifier: BSD-2-Clause
"""The files that the logger uses are never one another, whatever their names are, and never somebody else's."""

import os
import signal
import subprocess

import pytest
from bin_log import notes, snapshots, whole
from logger import CsvLog, command, refuse, run, sentence, wait_for
from running import Running, start, wait_for_end, wait_for_snapshots


@pytest.fixture
def binary(frames, tmp_path):
    """A log of frames that a test may spoil."""
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
def test_a_source_is_not_its_own_log(name, binary):
    before = binary.read_bytes()
    log = name(binary)
    said = refuse("-d", binary, "-F", "bin", "-s", 1, "-o", log)
    assert said == f"log {log}: the same file as the source {binary}; name another file"
    assert binary.read_bytes() == before


def test_a_source_is_not_its_own_log_through_standard_output(binary):
    before = binary.read_bytes()
    with binary.open("ab") as output:
        done = subprocess.run(
            command("-d", binary, "-F", "bin", "-s", 1, "-o", "-"), stdout=output, stderr=subprocess.PIPE, timeout=20
        )
    assert "the same file as the source" in sentence(done.returncode, done.stderr.decode())
    assert binary.read_bytes() == before


def test_a_log_does_not_continue_in_its_source(frames, tmp_path):
    source, log = tmp_path / "source.bin", tmp_path / "x.bin"
    source.write_bytes(frames.read_bytes() * 100)
    with Running(tmp_path, "-d", source, "-F", "bin", "-s", 20_000, "-o", log) as logger:
        wait_for(lambda: log.exists() and log.stat().st_size > 0, "a log")
        log.unlink()
        log.hardlink_to(source)
        logger.send(signal.SIGHUP)
        wait_for(lambda: "the same file as the source" in logger.messages(), "a message")
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
def test_a_file_that_holds_no_process_id_is_not_taken_for_a_pidfile(content, background, tmp_path):
    path = tmp_path / "x.pid"
    path.write_bytes(content)
    said = refuse(*background, "-o", "x.csv", "-c", 1, "-p", "x.pid", cwd=tmp_path)
    assert said == "pidfile x.pid: the file exists and holds something other than a process id; name another file"
    assert path.read_bytes() == content and not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("content", [b"", b"12345\n", b"12345", b" 12345 \n", bytes(6)])
def test_what_an_earlier_run_left_in_the_pidfile_is_written_over(content, tmp_path):
    path = tmp_path / "x.pid"
    path.write_bytes(content)
    run("-o", tmp_path / "x.csv", "-c", 1, "-p", path)
    assert path.read_bytes() == b""


def test_a_pidfile_is_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in tmp_path / "fifo", "/dev/null":
        assert refuse("-o", tmp_path / "x.csv", "-c", 1, "-p", path) == f"pidfile {path}: expected a regular file"


def test_the_pidfile_is_not_the_log(tmp_path):
    (tmp_path / "there").symlink_to(tmp_path)
    for pidfile in "x", "./x", "there/x":
        assert "-p and -o name the same file, x;" in refuse("-o", "x", "-c", 1, "-p", pidfile, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    run("-o", tmp_path / "x", "-c", 1)
    before = (tmp_path / "x").read_bytes()
    for pidfile in "x", "there/x":
        refuse("-o", "x", "-c", 1, "-p", pidfile, cwd=tmp_path)
    hard_link(tmp_path / "x")
    assert "something other than a process id" in refuse("-o", "x", "-c", 1, "-p", "hard", cwd=tmp_path)
    assert (tmp_path / "x").read_bytes() == before
    # An empty one is both until the first byte is written.
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "again").hardlink_to(tmp_path / "empty")
    said = refuse("-o", "empty", "-c", 1, "-p", "again", cwd=tmp_path)
    assert said == "log empty: the same file as the pidfile again; name another file"


def test_the_pidfile_is_not_the_source(binary, tmp_path):
    before = binary.read_bytes()
    refuse("-d", binary, "-o", tmp_path / "x.csv", "-p", binary)
    assert binary.read_bytes() == before


NOT_UTF8 = b"\xff\xc3-x"


def test_files_may_have_names_of_any_bytes(frames, tmp_path):
    os.chdir(tmp_path)
    (source, log, pidfile) = (NOT_UTF8 + ending for ending in (b".bin", b".csv", b".pid"))
    with open(source, "wb") as file:
        file.write(frames.read_bytes())
    for option in [b"-o", log, b"-d", source, b"-p", pidfile], [b"--output=" + log, b"-d" + source, b"--pidfile", pidfile]:
        done = subprocess.run([*command(), *option, b"-s", b"1000"], capture_output=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(os.listdir(b".")) == sorted([source, log, pidfile])
    with open(log, encoding="utf-8") as file:
        ran = CsvLog(file.read()).noted("log")
    assert [note["source"] for note in ran] == [source.decode(errors="replace")] * 2


def test_a_name_of_any_bytes_is_shown_in_errors_and_text_must_be_utf_8(tmp_path):
    def said(*arguments):
        done = subprocess.run([*command(), *arguments], capture_output=True, timeout=20, cwd=tmp_path)
        return sentence(done.returncode, done.stderr.decode())

    shown = "\ufffd\ufffd-x"
    assert said(b"-d", NOT_UTF8) == f"source {shown}: No such file or directory"
    assert said(b"-e", NOT_UTF8) == f'-e "{shown}": expected text in UTF-8'
    assert f'"{shown}": unexpected argument' in said(NOT_UTF8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_has_other_names(name):
    shell = ["sh", "-c", '"$@" >&-', "sh", *command("-o", name, "-c", 1)]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=20)
    assert sentence(done.returncode, done.stderr) == f"log {name}: standard output is closed"
    assert CsvLog(run("-o", name, "-c", 1)).end()["snapshots"] == 1
    shell = ["sh", "-c", '"$@" | head -n 1', "sh", *command("-o", name, "-s", 1000, "-e", "port 1")]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=20)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.parametrize("arguments", [["-o", "-", "-c", "1"], ["-h"], ["--help"], ["-V"]], ids=" ".join)
@pytest.mark.parametrize("redirection", [">&-", "</dev/null >&0"])
def test_standard_output_that_takes_nothing_is_an_error(arguments, redirection):
    shell = ["sh", "-c", f'"$@" {redirection}', "sh", *command(*arguments)]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=20)
    said = sentence(done.returncode, done.stderr)
    assert "standard output is closed" in said if redirection == ">&-" else "Bad file descriptor" in said


def test_a_closed_standard_output_does_not_matter_to_a_log_in_a_file(tmp_path):
    shell = ["sh", "-c", '"$@" <&- >&-', "sh", *command("-o", tmp_path / "x.csv", "-c", 1)]
    assert subprocess.run(shell, timeout=20).returncode == 0
    assert CsvLog((tmp_path / "x.csv").read_text()).end()["snapshots"] == 1


def test_a_log_that_is_a_link_continues_where_the_link_leads(tmp_path):
    """Also when another link is between, and when the log replaces the link."""
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
    """The log's directory is renamed, and another has its name."""
    (tmp_path / "d").rename(tmp_path / "old")
    (tmp_path / "d").mkdir()


def turned(tmp_path):
    """The log's directory is a link that is turned to another."""
    (tmp_path / "d").unlink()
    (tmp_path / "new").mkdir()
    (tmp_path / "d").symlink_to("new")


def linked(tmp_path):
    """The log is a link that is made to lead elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "d/t.log").unlink()
    (tmp_path / "d/t.log").symlink_to("../elsewhere/t.log")


CHANGES = pytest.mark.parametrize("change", [replaced, turned, linked])


def begin(tmp_path, change, *arguments):
    if change is turned:
        (tmp_path / "old").mkdir()
        (tmp_path / "d").symlink_to("old")
    else:
        (tmp_path / "d").mkdir()
    return Running(tmp_path, "-o", "d/t.log", "-s", 2000, "-e", "port 1", *arguments)


@CHANGES
def test_a_directory_that_was_replaced_is_named_and_nothing_is_lost(change, tmp_path):
    log = tmp_path / "d/t.log"
    with begin(tmp_path, change) as logger:
        wait_for_snapshots(log, 2)
        fd = os.open(log, os.O_RDONLY)
        change(tmp_path)
        logger.send(signal.SIGHUP)
        directory = tmp_path / ("elsewhere" if change is linked else "d")
        said = (
            "log d/t.log: the sandbox allows only the directories that the log had at startup, and "
            f"{directory} is not one of them; restart the logger, or use --no-sandbox; continuing in the old file"
        )
        if change is linked:
            said = said.replace(str(directory), f"{tmp_path}/d/../elsewhere")
        wait_for(lambda: logger.messages() == f"siftr_cdev_logger: {said}\n", "a message")
        logger.stop()
    with open(fd) as old:
        numbers = CsvLog(old.read()).numbers()
    assert numbers == list(range(1, len(numbers) + 1))


@CHANGES
def test_without_the_sandbox_the_log_continues_in_the_directory_that_has_the_name(change, tmp_path):
    log = tmp_path / "d/t.log"
    with begin(tmp_path, change, "--no-sandbox") as logger:
        wait_for_snapshots(log, 2)
        change(tmp_path)
        logger.send(signal.SIGHUP)
        wait_for_snapshots(log, 2)
        logger.stop()
        assert logger.messages() == ""


def test_a_directory_that_is_gone_is_named(tmp_path):
    with begin(tmp_path, replaced) as logger:
        wait_for_snapshots(tmp_path / "d/t.log", 2)
        (tmp_path / "d").rename(tmp_path / "old")
        logger.send(signal.SIGHUP)
        said = f"log d/t.log: its directory {tmp_path}/d no longer exists; continuing in the old file"
        wait_for(lambda: said in logger.messages(), "a message")
        logger.stop()
    assert CsvLog((tmp_path / "old/t.log").read_text()).end()["dropped"] == 0


def test_a_daemon_keeps_no_descriptor_of_its_caller(tmp_path):
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
        # It would wait for the daemon's end if that had the pipe.
        assert os.read(reader, 1) == b""
        wait_for_snapshots(tmp_path / "x.csv", 3)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
        os.close(reader)


@pytest.mark.parametrize("output", ["x.csv", "-"])
def test_a_log_whose_end_does_not_reach_the_disk_is_an_error(output, tmp_path):
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-etrace=fdatasync", "-einject=fdatasync:error=EIO"]
    with (tmp_path / "x.csv").open("wb") as stdout:
        done = subprocess.run(
            command("-o", output, "-c", 1, enter=inject), stdout=stdout, stderr=subprocess.PIPE, cwd=tmp_path, timeout=20
        )
    said = sentence(done.returncode, done.stderr.decode())
    assert said == f"log {output}: cannot be synced to disk: Input/output error"
    assert CsvLog((tmp_path / "x.csv").read_text()).end()["snapshots"] == 1


def test_a_binary_log_damaged_within_is_moved_aside_and_a_new_one_begins(binary, tmp_path):
    data = binary.read_bytes()
    second = snapshots(data)[1]
    for place, at in ((second["at"], second["at"]), (0, 0)):
        damaged = data[:place] + bytes(4096) + data[place + 4096 :]
        binary.write_bytes(damaged)
        for name in "x.bin.damaged", "x.bin.damaged.1":
            done = subprocess.run(
                command("-o", binary, "-F", "bin", "-c", 1, "-e", "port 1"), capture_output=True, text=True, timeout=20
            )
            said = f"log {binary}: damaged at byte {at}; renamed to {name}, starting a new log"
            assert (done.returncode, done.stderr) == (0, f"siftr_cdev_logger: {said}\n")
            assert (tmp_path / name).read_bytes() == damaged
            assert [note["note"] for note in notes(binary.read_bytes())] == ["log", "end"]
            whole(binary.read_bytes())
            binary.write_bytes(damaged)
        for name in "x.bin.damaged", "x.bin.damaged.1":
            (tmp_path / name).unlink()


@pytest.mark.parametrize("form", ["csv", "json", "siftr", "bin"])
def test_a_log_whose_start_a_power_cut_zeroed_is_moved_aside(form, tmp_path, loopback):
    path = tmp_path / "x"
    arguments = ["-o", path, "-F", form, "-c", 30, "-s", 1000, "-e", f"port {loopback.port}"]
    run(*arguments)
    data = path.read_bytes()
    for damaged in bytes(4096) + data[4096:], bytes(4096):
        path.write_bytes(damaged)
        done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and f"log {path}: damaged at byte 0; it is now x.damaged" in done.stderr
        assert (tmp_path / "x.damaged").read_bytes() == damaged
        (tmp_path / "x.damaged").unlink()


def test_zeros_that_no_log_follows_are_left(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(8192) + b"something else\n")
    before = path.read_bytes()
    for form in "csv", "json", "siftr", "bin":
        assert "it holds something other" in refuse("-o", path, "-F", form, "-c", 1)
    assert path.read_bytes() == before
