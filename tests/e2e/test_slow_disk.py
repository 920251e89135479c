# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""A log that blocks for a while: sampling continues on time, and snapshots that the queue cannot hold are counted."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest
from logger import CsvLog, wait_for
from running import Running, wait_for_snapshots
from sockets import Connections


@pytest.fixture
def hundred(alone):
    with Connections("127.0.0.1", 100, alone, alone) as connections:
        yield connections


@pytest.fixture
def fifo(tmp_path):
    """A FIFO, and a descriptor from which nobody reads yet."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def samples_taken(status):
    """Returns the number of samples that were taken."""
    return status["snapshots"] + status["dropped"] + status["waiting"]


def test_sampling_continues_while_nobody_reads_the_fifo(fifo, alone, hundred, tmp_path):
    path, reader = fifo
    arguments = ["-o", path, "-s", 20_000, "-q", 8, "-e", f"port {hundred.port}"]
    with Running(tmp_path, *arguments, enter=alone.enter) as logger:
        wait_for(lambda: logger.status()["dropped"] > 5, "a full queue")
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
        wait_for(lambda: logger.status()["snapshots"] > first["snapshots"] + 20, "snapshots in the log")
        logger.stop()
        reading.join()
    log = CsvLog(data.decode())
    numbers, gaps = log.numbers(), log.noted("gap")
    lost = sum(gap["snapshots"] for gap in gaps)
    assert {gap["why"] for gap in gaps} == {"the queue is full"}
    assert len(set(range(1, numbers[-1] + 1)) - set(numbers)) == lost
    assert all(gap["records"] == 201 * gap["snapshots"] for gap in gaps)
    assert (log.end()["dropped"], log.end()["snapshots"]) == (lost, len(numbers))


def test_stopping_does_not_wait_forever_for_a_log_that_blocks(fifo, hundred, alone, tmp_path):
    arguments = ["-o", fifo[0], "-s", 5000, "-e", f"port {hundred.port}"]
    with Running(tmp_path, *arguments, enter=alone.enter) as logger:
        wait_for(lambda: logger.status()["dropped"] > 0, "a full queue")
        # timeout(1) sends a signal twice, which is one request.
        logger.send(signal.SIGTERM)
        time.sleep(0.1)
        logger.send(signal.SIGTERM)
        time.sleep(1.1)
        assert logger.process.poll() is None, "it is still waiting"
        logger.send(signal.SIGTERM)
        assert logger.wait() == 1
        messages = logger.messages()
    assert re.search(r"stopped before the log was complete; lost at least \d+ queued snapshots\n$", messages)


@pytest.fixture
def disk(tmp_path):
    """A file system on its own disk, which can be frozen."""
    image, mount_point = tmp_path / "image", tmp_path / "disk"
    mount_point.mkdir()
    image.write_bytes(bytes(16 * 1024 * 1024))
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, mount_point], capture_output=True, text=True)
    if mounted.returncode != 0 and not pathlib.Path("/dev/loop-control").exists():
        pytest.skip("this kernel has no loop devices")
    mounted.check_returncode()
    yield mount_point
    subprocess.run(["umount", mount_point], check=True)


def test_a_frozen_disk_loses_no_snapshot_that_fits_in_the_queue(disk):
    path = disk / "x.csv"
    with Running(disk.parent, "-o", path, "-s", 10_000, "-q", 500, "-e", "port 1") as logger:
        wait_for_snapshots(path, 10)
        subprocess.run(["fsfreeze", "--freeze", disk], check=True)
        try:
            before = logger.status()
            time.sleep(1)
            frozen = logger.status()
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
        assert frozen["snapshots"] <= before["snapshots"] + 1 and frozen["waiting"] > 50
        wait_for(lambda: logger.status()["waiting"] == 0, "an empty queue")
        logger.stop()
    log = CsvLog(path.read_text())
    assert log.numbers() == list(range(1, len(log.numbers()) + 1))
    assert log.end()["dropped"] == 0
    assert log.end()["snapshots"] + log.end()["missed_ticks"] > 100
