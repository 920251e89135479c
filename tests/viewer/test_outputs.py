# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Files that convert and plot write: they never overwrite an input, and appear complete or not at all."""

import gzip
import os
import resource
import shutil
import signal
import stat
import subprocess
import time

import pytest
from logger import wait_for
from synthetic import steady, write
from viewer import TCPSTATS, refuse, run, start

INPUT = "is also an input; cannot overwrite a log that is being read"
EXISTS = "file exists; use -f to overwrite"


@pytest.fixture
def log(tmp_path):
    return write(tmp_path / "log.csv", steady())


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("command", ["convert", "plot"])
@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("way", ["name", "other name", "hard link", "symbolic link", "stdin", "/dev/stdin", "/dev/fd/0", "second"])
def test_an_input_is_never_overwritten(log, tmp_path, way, force, command):
    data, standard = log.read_bytes(), os.open(log, os.O_RDONLY)
    other = write(tmp_path / "other.csv", steady(start=1_700_000_000))
    out, inputs, options = log, [log], {"stdin": subprocess.DEVNULL}
    match way:
        case "other name":
            out = tmp_path / "." / ".." / tmp_path.name / "log.csv"
        case "hard link":
            out = tmp_path / "link.csv"
            os.link(log, out)
        case "symbolic link":
            out = tmp_path / "link.csv"
            out.symlink_to(log)
        case "stdin" | "/dev/stdin" | "/dev/fd/0":
            inputs = ["-" if way == "stdin" else way]
            options = {"stdin": standard}
        case "second":
            inputs = [other, log]
    words = {"convert": ["convert", "-F", "csv", *inputs, out], "plot": ["plot", "--html", "-o", out, *inputs]}[command]
    message = refuse(*words, *(["-f"] if force else []), **options)
    os.close(standard)
    assert message == f"{out}: {INPUT}"
    assert log.read_bytes() == data and not leftovers(tmp_path)


@pytest.mark.parametrize("target", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_that_is_an_input_is_refused(log, target):
    data = log.read_bytes()
    with log.open("ab") as out:
        for words in ["convert", "-F", "csv", log, target], ["plot", "--html", "-o", target, log]:
            done = subprocess.run([TCPSTATS, *words], stdout=out, stderr=subprocess.PIPE, timeout=20)
            assert done.returncode == 1 and INPUT in done.stderr.decode()
        done = subprocess.run([TCPSTATS, "check", log], stdout=out, stderr=subprocess.PIPE, timeout=20)
        assert done.returncode == 1
    assert log.read_bytes() == data


def test_compressed_inputs_are_compared_as_files(log, tmp_path):
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    data = packed.read_bytes()
    assert refuse("convert", "-f", "-F", "csv", packed, packed) == f"{packed}: {INPUT}"
    assert packed.read_bytes() == data


@pytest.mark.parametrize("command", ["convert", "plot"])
def test_an_existing_file_is_overwritten_only_with_f(log, tmp_path, command):
    out = tmp_path / "out.svg"
    out.write_text("mine")
    out.chmod(0o640)
    words = {"convert": ["convert", "-F", "csv", log, out], "plot": ["plot", "-o", out, log]}[command]
    assert refuse(*words) == f"{out}: {EXISTS}"
    assert out.read_text() == "mine"
    assert run(*words, "-f") == b""
    assert out.read_text() != "mine" and stat.S_IMODE(out.stat().st_mode) == 0o640
    assert not leftovers(tmp_path)


def test_the_permissions_of_a_new_file_depend_on_the_umask(log, tmp_path):
    for umask in 0o022, 0o077:
        out = tmp_path / f"{umask}.csv"
        run("convert", log, out, umask=umask)
        assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~umask
        assert out.read_bytes() == log.read_bytes()


def test_the_target_of_a_symbolic_link_is_written(log, tmp_path):
    link, target = tmp_path / "link.csv", tmp_path / "there" / "target.csv"
    target.parent.mkdir()
    link.symlink_to("there/target.csv")
    run("convert", log, link)
    assert link.is_symlink() and target.read_bytes() == log.read_bytes()
    assert refuse("convert", log, link) == f"{link}: {EXISTS}"
    target.write_text("old")
    run("convert", "-f", log, link)
    assert link.is_symlink() and target.read_bytes() == log.read_bytes()
    assert not leftovers(tmp_path) and not leftovers(target.parent)
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    assert refuse("convert", log, loop).startswith(f"{loop}: Too many levels of symbolic links")


def test_devices_and_pipes_are_written_directly(log, tmp_path):
    run("convert", "-F", "csv", log, "/dev/null")
    data = log.read_bytes()
    for target in "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1":
        assert run("convert", "-F", "csv", log, target) == data
    out = tmp_path / "out"
    out.write_text("before\n")
    with out.open("a") as file:
        done = subprocess.run([TCPSTATS, "convert", "-F", "csv", log, "/dev/stdout"], stdout=file, timeout=20)
    assert done.returncode == 0 and out.read_bytes() == b"before\n" + data, "the shell's >> appends"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen([TCPSTATS, "convert", "-F", "csv", log, fifo]) as writer:
        assert fifo.read_bytes() == data
    assert writer.returncode == 0 and stat.S_ISFIFO(fifo.stat().st_mode)
    assert refuse("convert", "-F", "csv", log, "/dev/fd/77") == "/dev/fd/77: Bad file descriptor"
    assert refuse("convert", "-F", "csv", log, "/dev/full") == "/dev/full: No space left on device"
    assert refuse("convert", "-f", "-F", "csv", log, tmp_path).startswith(f"{tmp_path}: is a directory")


def endless(log):
    """Starts a program that writes an endless log until its reader exits."""
    script = f"cat {log}; while :; do sed 1,2d {log} | grep -v '^# end' || exit; done"
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
@pytest.mark.parametrize("old", [None, "old"])
def test_an_interrupted_run_leaves_no_temporary_file(log, tmp_path, number, old):
    out = tmp_path / "out.csv"
    if old:
        out.write_text(old)
    # The tests themselves may have been started with the signal ignored.
    default = lambda: signal.signal(number, signal.SIG_DFL)
    with endless(log) as source:
        convert = subprocess.Popen([TCPSTATS, "convert", "-f", "-", out], stdin=source.stdout, preexec_fn=default)
        source.stdout.close()
        wait_for(lambda: any((tmp_path / name).stat().st_size > 0 for name in leftovers(tmp_path)), "the temporary file")
        assert not out.exists() or out.read_text() == old
        convert.send_signal(number)
        assert convert.wait(20) == -number
    assert not leftovers(tmp_path)
    assert out.read_text() == old if old else not out.exists()


def test_an_ignored_signal_remains_ignored(log, tmp_path):
    out = tmp_path / "out.csv"
    reader, writer = os.pipe()
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    convert = subprocess.Popen([TCPSTATS, "convert", "-", out], stdin=reader, preexec_fn=ignore)
    os.close(reader)
    os.write(writer, log.read_bytes())
    wait_for(lambda: leftovers(tmp_path), "the temporary file")
    convert.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    os.close(writer)
    assert convert.wait(20) == 0 and out.read_bytes() == log.read_bytes()


def test_a_file_that_cannot_be_written_completely_does_not_appear(log, tmp_path):
    big = tmp_path / "big.csv"
    write(big, steady(3000))
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    for out in tmp_path / "new.csv", tmp_path / "old.csv":
        if out.name == "old.csv":
            out.write_text("old")
        done = start("convert", "-f", big, out, preexec_fn=limit)
        assert done.returncode == 1 and done.stderr.decode() == f"tcpstats: {out}: File too large\n"
    assert not (tmp_path / "new.csv").exists() and (tmp_path / "old.csv").read_text() == "old"
    picture = tmp_path / "x.png"
    assert start("plot", "-o", picture, big, preexec_fn=limit).returncode == 1
    assert not picture.exists() and not leftovers(tmp_path)


def test_a_damaged_log_is_written_up_to_the_damage(log, tmp_path):
    text = log.read_text().splitlines(keepends=True)
    log.write_text("".join(text[:9]) + "garbage\n" + "".join(text[9:]))
    out = tmp_path / "out.csv"
    done = start("convert", log, out)
    assert done.returncode == 1 and f"{log}: line 10: ".encode() in done.stderr
    assert out.read_text() == "".join(text[:9])


def test_a_plot_of_an_empty_log_leaves_no_file(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    out = tmp_path / "x.svg"
    assert start("plot", "-o", out, empty).returncode == 1
    assert not out.exists() and not leftovers(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")
def test_a_directory_or_file_without_write_permission_is_an_error(log, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    out = folder / "out.csv"
    out.write_text("old")
    for path in tmp_path, *tmp_path.parents:
        if path.stat().st_mode & 0o5 != 0o5 and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    viewer = shutil.copy(TCPSTATS, tmp_path / "viewer")
    line = [viewer, "convert", "-f", log, out]
    done = subprocess.run(line, capture_output=True, user=65534, group=65534, timeout=20)
    assert (done.returncode, done.stderr.decode()) == (1, f"tcpstats: {out}: Permission denied\n")
    out.chmod(0o666)
    done = subprocess.run(line, capture_output=True, user=65534, group=65534, timeout=20)
    assert done.returncode == 1
    assert done.stderr.decode() == f"tcpstats: {out}: cannot create a temporary file in its directory: Permission denied\n"
    assert out.read_text() == "old"
