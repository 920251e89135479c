# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 at any moment, and the same log continued."""

import random
import signal
import struct
import time

import pytest
from running import FULL, Running, connections, wait_until, whole_lines
from test_log import frames_of

INTERVAL_US = 2000


def kill_often(directory, log, made, *arguments):
    """Starts and kills the logger; gives for every run how many snapshots it had at least taken."""
    runs = []
    for _ in range(200 if FULL else 40):
        size = log.stat().st_size if log.exists() else 0
        # A queue that no moment of a busy machine fills: a gap would not be the kill's.
        always = ["-o", log, "-s", INTERVAL_US, "-q", 5000, "-e", f"port {made.port}"]
        with Running(directory, *always, *arguments) as logger:
            wait_until(lambda: log.exists() and log.stat().st_size > size, "a snapshot")
            time.sleep(random.uniform(0, 0.06))
            status = logger.status() if random.random() < 0.5 else None
            logger.send(signal.SIGKILL)
            assert logger.process.wait(timeout=10) == -signal.SIGKILL
            runs.append(int(status["snapshots"]) if status else 0)
    return runs


def frame_length(data, place):
    """The length of the frame that begins there; the rest where it is none."""
    header, payload = struct.unpack_from("=I", data, place + 8)[0], struct.unpack_from("=Q", data, place + 16)[0]
    return header + payload


def check_runs(written, runs):
    """Every run's snapshots count from 1 without a hole, up to what it had written."""
    assert len(written) == len(runs)
    for numbers, at_least in zip(written, runs):
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= at_least - 1
    assert max(map(len, written)) > 10


def test_csv_has_no_torn_line_after_many_kills(tmp_path):
    made = connections(200)
    log = tmp_path / "x.csv"
    runs = kill_often(tmp_path, log, made, "-O", "all")
    made.close()
    # The last run's end may be torn: the next run closes it off.
    with Running(tmp_path, "-o", log, "-c", 1, "-O", "all", "-e", "port 1") as last:
        assert last.process.wait(timeout=10) == 0
    data = log.read_bytes()
    header, _ = whole_lines(data)
    assert data.count(b"\ntime,snapshot,") == 1 and len(header) > 100
    written = []
    for line in data.decode().splitlines():
        if line.startswith("# log version="):
            written.append([])
        elif line.startswith("# snapshot snapshot="):
            written[-1].append(int(line.split("=")[1].split()[0]))
    written.pop()
    check_runs(written, runs)


def test_bin_has_whole_frames_only_after_many_kills(tmp_path):
    made = connections(200)
    log = tmp_path / "x.bin"
    runs = kill_often(tmp_path, log, made, "-F", "bin")
    made.close()
    with Running(tmp_path, "-o", log, "-c", 1, "-F", "bin", "-e", "port 1") as last:
        assert last.process.wait(timeout=10) == 0
    data = memoryview(log.read_bytes())
    frames, place = [], 0
    while place < len(data):
        (frame,) = frames_of(bytes(data[place : place + frame_length(data, place)]))
        frames.append(frame)
        place += len(frame)
    written = []
    for frame in frames:
        if frame[112:].startswith(b"log version="):
            written.append([])
        elif frame[6:8] == struct.pack("=H", 1):
            written[-1].append(struct.unpack_from("=Q", frame, 24)[0])
    written.pop()
    check_runs(written, runs)


@pytest.mark.parametrize("damage", ["zeros behind", "a zeroed page within"])
def test_a_frame_that_a_power_cut_damaged_is_closed_off(damage, tmp_path):
    log = tmp_path / "x.bin"
    for _ in range(2):
        with Running(tmp_path, "-o", log, "-c", 3, "-F", "bin", "-e", "port 1 or state listen") as logger:
            assert logger.process.wait(timeout=10) == 0
    frames = frames_of(log.read_bytes())
    last = next(place for place in reversed(range(len(frames))) if frames[place][6:8] == b"\1\0")
    whole = b"".join(frames[:last])
    if damage == "zeros behind":
        log.write_bytes(whole + frames[last][:4] + bytes(len(frames[last]) - 4))
    else:
        log.write_bytes(whole + frames[last][:150] + bytes(100) + frames[last][250:])
    with Running(tmp_path, "-o", log, "-c", 1, "-F", "bin", "-e", "port 1") as logger:
        code = logger.process.wait(timeout=10)
    after = frames_of(log.read_bytes())
    assert code == 0 and b"".join(after) == log.read_bytes() and after[:last] == frames[:last]
    assert after[last][112:] == b"torn bytes=%d" % len(frames[last])


def test_two_loggers_do_not_write_one_log(tmp_path):
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-e", "port 1") as first:
        wait_until(lambda: log.exists() and log.stat().st_size > 0, "a log")
        with Running(tmp_path, "-o", log, "-e", "port 1") as second:
            assert second.process.wait(timeout=10) == 1
        assert f"log {log}: another siftr_cdev_logger writes it\n" in first.messages()
        first.stop()
