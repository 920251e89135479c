# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""A log that cannot be written for a while: a full disk, a size limit, a failing disk."""

import json
import re
import resource
import signal
import subprocess
import time

import bin_log
import pytest
from logger import CsvLog, refuse, wait_for
from running import Running, failing, strace, wait_for_snapshots
from sockets import Connections

# A snapshot of 50 connections has both ends of each and the listener.
EACH = 101


@pytest.fixture
def fifty(alone):
    with Connections("127.0.0.1", 50, alone, alone) as connections:
        yield connections


@pytest.fixture
def tiny(tmp_path):
    """A file system of 1 MiB."""
    mount_point = tmp_path / "tiny"
    mount_point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tiny", mount_point], check=True)
    yield mount_point
    subprocess.run(["umount", mount_point], check=True)


@pytest.fixture
def ballast(tiny):
    """A file that occupies space in `tiny`, and can be removed."""
    path = tiny / "ballast"
    path.write_bytes(bytes(400_000))
    return path


def gaps_of(*logs):
    """Returns the gaps.  Every snapshot must be in one of the logs once, or in a gap with its records."""
    numbers = [number for log in logs for number in log.numbers()]
    gaps = [gap for log in logs for gap in log.noted("gap")]
    missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
    assert numbers == sorted(set(numbers)) and missing
    assert [number for gap in gaps for number in range(gap["first"], gap["last"] + 1)] == missing
    assert sum(gap["snapshots"] for gap in gaps) == len(missing)
    assert all(gap["records"] == EACH * gap["snapshots"] for gap in gaps)
    return gaps


def wait_for_drops(logger, count=20):
    wait_for(lambda: logger.status()["dropped"] > count, "dropped snapshots", 30)


def wait_for_gap_end(logger):
    wait_for(lambda: "can be written again" in logger.messages(), "the end of the gap")


def test_a_full_disk_loses_exactly_the_snapshots_that_the_gap_reports(tiny, ballast, alone, fifty):
    path, old = tiny / "x.csv", tiny / "old.csv"
    arguments = ["-v", "-o", path, "-s", 5000, "-e", f"port {fifty.port}"]
    with Running(tiny.parent, *arguments, enter=alone.enter) as logger:
        wait_for_drops(logger)
        ballast.unlink()
        wait_for_gap_end(logger)
        wait_for_drops(logger, 200)
        # Rotated and deleted, for example by a rotation that keeps too few files.
        path.rename(old)
        logger.send(signal.SIGHUP)
        wait_for(lambda: "reopened" in logger.messages(), "the rotation")
        first = CsvLog(old.read_text())
        old.unlink()
        wait_for_snapshots(path, 20)
        logger.stop()
        messages = logger.messages()
    last = CsvLog(path.read_text())
    gaps = gaps_of(first, last)
    # When the disk is almost full, a smaller snapshot may fit after a larger one did not.
    assert len(gaps) >= 2 and {gap["why"] for gap in gaps} == {"No space left on device"}
    assert last.end()["dropped"] == sum(gap["snapshots"] for gap in gaps)
    assert messages.count(f"log {path}: No space left on device; dropping snapshots until the log can be written\n") == len(gaps)
    assert messages.count("can be written again") == len(gaps)


@pytest.mark.parametrize("form", ["json", "bin"])
def test_a_full_disk_truncates_no_object_and_no_frame(form, tiny, ballast, alone, fifty):
    path = tiny / "x"
    arguments = ["-o", path, "-s", 5000, "-F", form, "-e", f"port {fifty.port}"]
    with Running(tiny.parent, *arguments, enter=alone.enter) as logger:
        wait_for_drops(logger)
        ballast.unlink()
        wait_for_gap_end(logger)
        logger.send(signal.SIGTERM)
        # The disk may be full again by now, so that the closing line cannot be written.
        assert logger.wait() in (0, 1)
    data = path.read_bytes()
    if form == "bin":
        assert bin_log.only_frames(data)
        notes = bin_log.notes(data)
    else:
        assert data.endswith(b"\n")
        notes = [each for each in map(json.loads, data.splitlines()) if "note" in each]
    gap = next(note for note in notes if note["note"] == "gap")
    assert gap["records"] == EACH * gap["snapshots"] and gap["why"] == "No space left on device"


@pytest.mark.parametrize("mode", [None, "wb", "ab"], ids=["-o", ">", ">>"])
def test_a_short_write_is_truncated_to_the_last_complete_snapshot(mode, alone, fifty, tmp_path):
    """With RLIMIT_FSIZE a write is short, and the next one fails."""
    path = tmp_path / "x.csv"
    limit, before, options = 300_000, b"", {}
    if mode:
        before = b"existing contents\n"
        options["stdout"] = path.open(mode)
        options["stdout"].write(before)
        options["stdout"].flush()

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    arguments = ["-o", "-" if mode else path, "-s", 5000, "-e", f"port {fifty.port}"]
    with Running(tmp_path, *arguments, enter=alone.enter, preexec_fn=limited, **options) as logger:
        if mode:
            options["stdout"].close()
        wait_for_drops(logger)
        assert limit - 30_000 < path.stat().st_size <= limit
        resource.prlimit(logger.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_for_gap_end(logger)
        time.sleep(0.1)
        logger.stop()
    data = path.read_bytes()
    assert data.startswith(before)
    (gap,) = gaps_of(CsvLog(data.removeprefix(before).decode()))
    assert gap["why"] == "File too large"


def test_a_log_continues_after_the_disk_has_failed(alone, fifty, tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 5000, "-e", f"port {fifty.port}", enter=alone.enter) as logger:
        wait_for_snapshots(path, 10)
        with failing(logger.thread("writer"), "write", "EIO", "-P", path):
            wait_for_drops(logger)
        wait_for_gap_end(logger)
        time.sleep(0.1)
        logger.stop()
        assert logger.messages().count("Input/output error; dropping snapshots") == 1
    (gap,) = gaps_of(CsvLog(path.read_text()))
    assert gap["why"] == "Input/output error"


def test_starting_on_a_full_disk_is_an_error(tiny):
    (tiny / "ballast").write_bytes(bytes(1024 * 1024))
    path = tiny / "x.csv"
    assert refuse("-o", path, "-e", "port 1") == f"log {path}: No space left on device"


def synced(directory, path, *arguments):
    """Returns how often a logger that runs for a second calls fdatasync(2)."""
    trace = directory / "trace"
    enter = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=fdatasync"]
    with Running(directory, "-o", path, "-t", 1, "-s", 20_000, "-e", "port 1", *arguments, enter=enter) as logger:
        assert logger.wait() == 0
    return trace.read_text().count("fdatasync(")


def test_the_log_is_synced_at_its_end_and_as_often_as_requested(tmp_path):
    assert synced(tmp_path, tmp_path / "x.csv") == 1
    assert 4 <= synced(tmp_path, tmp_path / "y.csv", "-y", "0.2") <= 6


def test_the_old_file_is_synced_at_every_rotation(tmp_path):
    path, trace = tmp_path / "x.csv", tmp_path / "trace"
    with Running(tmp_path, "-o", path, "-s", 20_000, "-e", "port 1") as logger:
        wait_for_snapshots(path, 2)
        with strace(logger.thread("writer"), "-y", "-o", trace, "-e", "trace=fdatasync"):
            for number in range(3):
                path.rename(tmp_path / f"old{number}")
                logger.send(signal.SIGHUP)
                wait_for_snapshots(path, 2)
            logger.stop()
    found = re.findall(r"^fdatasync\(\d+<(.*)>\)\s+= 0$", trace.read_text(), re.MULTILINE)
    assert found == [str(tmp_path / name) for name in ("old0", "old1", "old2", "x.csv")]
