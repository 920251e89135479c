# SPDX-License-Identifier: BSD-2-Clause
"""A log that cannot be written for a while: no space, a limit, a disk that fails."""

import pathlib
import re
import resource
import signal
import subprocess
import time

import pytest
from running import GAP, Running, connections, lost_about, snapshots_of, wait_for_snapshots, wait_until, whole_lines
from test_daemon import inject
from test_log import frames_of, notes


@pytest.fixture
def tiny(tmp_path):
    """A file system of 1 MiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tiny", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def accounted_for(data, gaps):
    """Every snapshot is in the log once, or in a gap, and the gaps say how many records they lost."""
    numbers = snapshots_of(data)
    missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
    assert numbers == sorted(set(numbers))
    assert [number for _, _, first, last, _ in gaps for number in range(first, last + 1)] == missing
    assert all(snapshots == last - first + 1 for snapshots, _, first, last, _ in gaps)
    return missing


def gaps_of(data):
    return [(*map(int, found[:4]), found[4]) for found in GAP.findall(data.decode())]


def test_a_full_disk_costs_what_the_gap_says_and_nothing_more(tiny):
    made = connections(50)
    log, ballast = tiny / "x.csv", tiny / "ballast"
    ballast.write_bytes(bytes(400_000))
    with Running(tiny.parent, "-o", log, "-s", 5000, "-e", f"port {made.port}") as logger:
        wait_until(lambda: logger.status()["dropped"] > 20, "a full disk", 30)
        full = log.read_bytes()
        whole_lines(full)
        ballast.unlink()
        wait_until(lambda: "it can be written again" in logger.messages(), "the end of the gap")
        wait_until(lambda: logger.status()["dropped"] > 200, "a disk full again", 30)
        # Rotated away and deleted, as a rotation that keeps too few does.
        again = log.read_bytes()
        log.unlink()
        logger.send(signal.SIGHUP)
        wait_for_snapshots(log, 20)
        logger.stop()
        messages = logger.messages()
    made.close()
    assert again.startswith(full)
    data = again + log.read_bytes()
    gaps = gaps_of(data)
    # Near the end a smaller snapshot may fit where a larger one did not.
    assert len(gaps) >= 2 and {why for *_, why in gaps} == {"No space left on device (os error 28)"}
    # 50 connections have two ends, and there is a listener.
    assert all(lost_about(records, 101, snapshots) for snapshots, records, *_ in gaps)
    assert len(accounted_for(data, gaps)) == sum(snapshots for snapshots, *_ in gaps)
    (end,) = notes(log, "end")
    assert int(end["dropped"]) == sum(snapshots for snapshots, *_ in gaps)
    assert messages.count("No space left on device (os error 28); snapshots are dropped meanwhile") == len(gaps)
    assert messages.count("it can be written again") == len(gaps)


@pytest.mark.parametrize("kind", ["json", "bin"])
def test_a_full_disk_tears_no_object_and_no_frame(kind, tiny):
    made = connections(50)
    log, ballast = tiny / "x", tiny / "ballast"
    ballast.write_bytes(bytes(400_000))
    with Running(tiny.parent, "-o", log, "-s", 5000, "-F", kind, "-e", f"port {made.port}") as logger:
        wait_until(lambda: logger.status()["dropped"] > 20, "a full disk", 30)
        ballast.unlink()
        wait_until(lambda: "it can be written again" in logger.messages(), "the end of the gap")
        data = log.read_bytes()
        logger.kill()
    made.close()
    if kind == "bin":
        frames = frames_of(data)
        # What was read while the logger wrote may end within a frame.
        assert any(frame[112:].startswith(b"gap snapshots=") for frame in frames)
        assert len(data) - len(b"".join(frames)) < 100_000
    else:
        lines = data.decode().splitlines(keepends=True)
        assert all(line.startswith("{") and line.endswith("}\n") for line in lines[:-1])
        assert any(line.startswith('{"note":"gap","snapshots":') for line in lines)


def test_a_short_write_is_cut_off_at_the_last_whole_snapshot(tmp_path):
    """RLIMIT_FSIZE lets a part of the write through, and fails the next one."""
    made = connections(50)
    log = tmp_path / "x.csv"
    limit = 300_000

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    with Running(tmp_path, "-o", log, "-s", 5000, "-e", f"port {made.port}", preexec_fn=limited) as logger:
        wait_until(lambda: logger.status()["dropped"] > 20, "the limit", 30)
        data = log.read_bytes()
        assert limit - 30_000 < len(data) <= limit
        snapshots_of(data)
        resource.prlimit(logger.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: "it can be written again" in logger.messages(), "the end of the gap")
        time.sleep(0.1)
        logger.stop()
    made.close()
    data = log.read_bytes()
    gaps = gaps_of(data)
    assert [why for *_, why in gaps] == ["File too large (os error 27)"]
    assert accounted_for(data, gaps)


def test_a_disk_that_fails_is_waited_for(tmp_path):
    made = connections(5)
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-s", 5000, "-e", f"port {made.port}") as logger:
        wait_for_snapshots(log, 10)
        strace = inject(logger.thread("writer"), "write", "EIO", "-P", log)
        wait_until(lambda: logger.status()["dropped"] > 20, "a gap", 20)
        strace.send_signal(signal.SIGINT)
        strace.wait()
        wait_until(lambda: "it can be written again" in logger.messages(), "the end of the gap")
        time.sleep(0.1)
        logger.stop()
        assert logger.messages().count("Input/output error (os error 5); snapshots are dropped") == 1
    made.close()
    data = log.read_bytes()
    gaps = gaps_of(data)
    assert [why for *_, why in gaps] == ["Input/output error (os error 5)"]
    assert accounted_for(data, gaps)


def test_a_start_on_a_full_disk_is_an_error(tiny):
    (tiny / "ballast").write_bytes(bytes(1024 * 1024))
    with Running(tiny.parent, "-o", tiny / "x.csv", "-e", "port 1") as logger:
        assert logger.process.wait(timeout=10) == 1
    assert re.search(r"log .*x.csv: No space left on device", logger.messages())


def test_a_reader_that_goes_away_ends_the_log(tmp_path):
    with Running(tmp_path, "-o", "-", "-s", 2000, stdout=subprocess.PIPE) as logger:
        assert logger.process.stdout.readline().startswith(b"# log ")
        logger.process.stdout.close()
        assert logger.process.wait(timeout=10) == 1
    assert logger.messages() == "siftr_cdev_logger: log -: nobody reads it any more\n"


def status_of(thread):
    return pathlib.Path(f"/proc/{thread}/status").read_text()


def synced(directory, log, *arguments):
    """How often a logger that runs for a second has the log reach the disk."""
    trace = directory / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=fdatasync"]
    with Running(directory, "-o", log, "-t", 1, "-s", 20_000, "-e", "port 1", *arguments, command=command) as logger:
        assert logger.process.wait(timeout=20) == 0
    return trace.read_text().count("fdatasync(")


def test_the_log_reaches_the_disk_at_its_end_and_as_often_as_asked(tmp_path):
    assert synced(tmp_path, tmp_path / "x.csv") == 1
    assert 4 <= synced(tmp_path, tmp_path / "y.csv", "-y", "0.2") <= 6


def test_the_old_file_reaches_the_disk_at_every_rotation(tmp_path):
    log, trace = tmp_path / "x.csv", tmp_path / "trace"
    with Running(tmp_path, "-o", log, "-s", 20_000, "-e", "port 1") as logger:
        wait_for_snapshots(log, 2)
        strace = subprocess.Popen(
            ["strace", "-qq", "-y", "-o", trace, "-e", "trace=fdatasync", "-p", str(logger.thread("writer"))]
        )
        wait_until(lambda: "TracerPid:\t0" not in status_of(logger.thread("writer")), "strace's begin")
        for number in range(3):
            log.rename(tmp_path / f"old{number}")
            logger.send(signal.SIGHUP)
            wait_for_snapshots(log, 2)
        logger.stop()
        strace.wait(timeout=10)
    synced = re.findall(r"^fdatasync\(\d+<(.*)>\)\s+= 0$", trace.read_text(), re.MULTILINE)
    assert synced == [str(tmp_path / name) for name in ("old0", "old1", "old2", "x.csv")]
