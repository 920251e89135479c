# SPDX-License-Identifier: BSD-2-Clause
"""A log that takes nothing for a while: sampling goes on in time, and what the queue does not hold is counted."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest
from running import GAP, Running, connections, lost_about, snapshots_of, wait_for_snapshots, wait_until
from test_log import notes


def samples_taken(status):
    return status["snapshots"] + status["dropped"] + status["waiting"]


def test_a_fifo_that_nobody_reads_stops_no_sample(tmp_path):
    made = connections(100)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Running(tmp_path, "-o", fifo, "-s", 20_000, "-q", 8, "-e", f"port {made.port}") as logger:
        wait_until(lambda: logger.status()["dropped"] > 5, "a full queue")
        first = logger.status()
        time.sleep(2)
        second = logger.status()
        assert second["waiting"] == 8 and second["snapshots"] == first["snapshots"]
        elapsed = second["uptime_s"] - first["uptime_s"]
        taken = samples_taken(second) - samples_taken(first)
        missed = second["missed_ticks"] - first["missed_ticks"]
        assert abs(taken + missed - elapsed / 0.02) <= 2, "every tick is taken or missed"
        assert missed <= 0.25 * taken, "the log does not delay the samples"
        data = bytearray()
        os.set_blocking(reader, True)

        def read():
            while piece := os.read(reader, 65536):
                data.extend(piece)

        reading = threading.Thread(target=read)
        reading.start()
        wait_until(lambda: logger.status()["snapshots"] > first["snapshots"] + 20, "a log that is read")
        logger.stop()
        reading.join()
    made.close()
    os.close(reader)
    data = bytes(data)
    numbers = snapshots_of(data)
    gaps = [(*map(int, found[:4]), found[4]) for found in GAP.findall(data.decode())]
    lost = sum(snapshots for snapshots, *_ in gaps)
    assert {why for *_, why in gaps} == {"the queue is full"}
    assert len(set(range(1, numbers[-1] + 1)) - set(numbers)) == lost
    assert all(lost_about(records, 201, snapshots) for snapshots, records, *_ in gaps)
    end = dict(pair.split("=") for pair in data.decode().splitlines()[-1].split()[2:])
    assert int(end["dropped"]) == lost and int(end["snapshots"]) == len(numbers)


def test_an_end_does_not_wait_for_ever_for_a_log_that_takes_nothing(tmp_path):
    made = connections(100)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Running(tmp_path, "-o", fifo, "-s", 5000, "-e", f"port {made.port}") as logger:
        wait_until(lambda: logger.status()["dropped"] > 0, "a full queue")
        # timeout(1) sends a signal twice; that is one request.
        logger.send(signal.SIGTERM)
        time.sleep(0.1)
        logger.send(signal.SIGTERM)
        time.sleep(1.1)
        assert logger.process.poll() is None, "it has patience"
        logger.send(signal.SIGTERM)
        assert logger.process.wait(timeout=5) == 1
    made.close()
    os.close(reader)
    assert re.search(r"the log does not take what is left; \d+ snapshots or more are lost\n$", logger.messages())


@pytest.fixture
def disk(tmp_path):
    """A file system on a disk of its own, which can be frozen."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    image.write_bytes(bytes(16 * 1024 * 1024))
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True)
    if mounted.returncode != 0 and not pathlib.Path("/dev/loop-control").exists():
        pytest.skip("this kernel has no loop devices")
    mounted.check_returncode()
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_frozen_disk_costs_nothing_that_the_queue_holds(disk):
    log = disk / "x.csv"
    with Running(disk.parent, "-o", log, "-s", 10_000, "-q", 500, "-e", "port 1") as logger:
        wait_for_snapshots(log, 10)
        subprocess.run(["fsfreeze", "--freeze", disk], check=True)
        try:
            before = logger.status()
            time.sleep(1)
            frozen = logger.status()
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
        assert frozen["snapshots"] <= before["snapshots"] + 1 and frozen["waiting"] > 50
        wait_until(lambda: logger.status()["waiting"] == 0, "an empty queue")
        logger.stop()
    numbers = snapshots_of(log.read_bytes())
    assert numbers == list(range(1, len(numbers) + 1))
    (end,) = notes(log, "end")
    assert end["dropped"] == "0"
    assert int(end["snapshots"]) + int(end["missed_ticks"]) > 100
