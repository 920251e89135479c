# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The logger is killed at random times, and continues the same log."""

import random
import signal
import time

import pytest
from bin_log import SNAPSHOT, frames_of, only_frames
from logger import CsvLog, refuse, run, wait_for
from running import FULL, Running
from sockets import Connections


def kill_often(path, *arguments):
    """Starts and kills the logger repeatedly.  Returns the minimum number of snapshots that each run had written."""
    runs = []
    with Connections("127.0.0.1", 200) as connections:
        for _ in range(200 if FULL else 40):
            size = path.stat().st_size if path.exists() else 0
            # The queue is long enough for a busy machine, so that no gap has a cause other than the kill.
            always = ["-o", path, "-s", 2000, "-q", 5000, "-e", f"port {connections.port}"]
            with Running(path.parent, *always, *arguments) as logger:
                wait_for(lambda: path.exists() and path.stat().st_size > size, "a snapshot")
                time.sleep(random.uniform(0, 0.06))
                runs.append(logger.status()["snapshots"] if random.random() < 0.5 else 0)
                logger.send(signal.SIGKILL)
                assert logger.wait() == -signal.SIGKILL
    return runs


def check_runs(notes, runs):
    """The snapshots of every run are numbered from 1 without a gap, at least up to the known minimum."""
    written = []
    for note in notes:
        if note["note"] == "log":
            written.append([])
        elif note["note"] == "snapshot":
            written[-1].append(note["snapshot"])
    assert len(written) == len(runs) + 1
    for numbers, at_least in zip(written, runs, strict=False):
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= at_least
    assert max(map(len, written)) > 10


def test_csv_has_no_truncated_line_after_many_kills(tmp_path):
    path = tmp_path / "x.csv"
    runs = kill_often(path, "-O", "all")
    # The end of the last run may be truncated; the next run removes it.
    run("-o", path, "-c", 1, "-O", "all", "-e", "port 1")
    log = CsvLog(path.read_text())
    assert len(log.header) > 100
    check_runs(log.notes, runs)


def test_bin_has_only_complete_frames_after_many_kills(tmp_path):
    path = tmp_path / "x.bin"
    runs = kill_often(path, "-F", "bin")
    run("-o", path, "-c", 1, "-F", "bin", "-e", "port 1")
    frames = only_frames(path.read_bytes())
    check_runs([frame.get("note", {"note": "snapshot", "snapshot": frame["sequence"]}) for frame in frames], runs)


@pytest.mark.parametrize("damage", ["zeros at the end", "a zeroed page"])
def test_a_frame_that_a_power_failure_damaged_is_removed(damage, frames, tmp_path):
    path = tmp_path / "x.bin"
    data = frames.read_bytes()
    last = [frame for frame in only_frames(data) if frame["kind"] == SNAPSHOT][-1]
    before, frame = data[: last["at"]], data[last["at"] : last["end"]]
    if damage == "zeros at the end":
        path.write_bytes(before + frame[:4] + bytes(len(frame) - 4))
    else:
        path.write_bytes(before + frame[:150] + bytes(100) + frame[250:])
    run("-o", path, "-c", 1, "-F", "bin", "-e", "port 1")
    after = path.read_bytes()
    assert after.startswith(before)
    torn = only_frames(after)[len(frames_of(before)[0])]
    assert torn["note"] == {"note": "torn", "bytes": len(frame)}


def test_two_loggers_cannot_write_to_the_same_log(tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-e", "port 1") as first:
        wait_for(lambda: path.exists() and path.stat().st_size > 0, "a log")
        assert refuse("-o", path, "-e", "port 1") == f"log {path}: another siftr_cdev_logger is writing to it"
        first.stop()
