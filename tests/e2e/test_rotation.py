# SPDX-License-Identifier: BSD-2-Clause
"""Rotation, as newsyslog and logrotate do it: rename, then SIGHUP."""

import json
import re
import signal

import pytest
from running import Running, connections, snapshots_of, wait_for_snapshots, wait_until
from test_log import frames_of, notes


def rotate(logger, log, number):
    """Moves the log away and waits until the logger has made another."""
    log.rename(log.with_name(f"{log.name}.{number:06}"))
    logger.send(signal.SIGHUP)
    wait_until(log.exists, "a new log")


def parts(log):
    """The rotated files in their order, and the log itself."""
    return [*sorted(log.parent.glob(f"{log.name}.*")), log]


def test_a_thousand_rotations_under_load_keep_every_snapshot_once(tmp_path):
    made = connections(20)
    rotations = 1000
    log = tmp_path / "x.csv"
    # At 1 ms the queue must hold what is taken while the old file reaches a busy disk.
    with Running(tmp_path, "-o", log, "-s", 1000, "-q", 5000, "-e", f"port {made.port}") as logger:
        wait_for_snapshots(log, 10)
        for number in range(rotations):
            rotate(logger, log, number)
        logger.stop()
    made.close()
    assert len(parts(log)) == rotations + 1
    numbers = [number for part in parts(log) for number in snapshots_of(part.read_bytes())]
    assert numbers == list(range(1, len(numbers) + 1))
    for part in parts(log)[:-1]:
        lines = part.read_text().splitlines()
        assert lines[0].startswith("# log version=") and lines[1].startswith("time,snapshot,")
        assert lines[-1].startswith("# rotated ")
    (end,) = notes(log, "end")
    assert int(end["snapshots"]) == len(numbers) and end["dropped"] == "0"


@pytest.mark.parametrize("kind", ["json", "bin", "siftr"])
def test_every_format_rotates_between_two_snapshots(kind, tmp_path):
    made = connections(20)
    log = tmp_path / "x"
    arguments = ["-o", log, "-s", 1000, "-q", 5000, "-F", kind, "-e", f"port {made.port} and not state listen"]
    with Running(tmp_path, *arguments) as logger:
        wait_until(lambda: log.exists() and log.stat().st_size > 10_000, "a log")
        for number in range(20):
            rotate(logger, log, number)
        logger.stop()
    made.close()
    numbers, records = [], 0
    for part in parts(log):
        data = part.read_bytes()
        if kind == "json":
            objects = [json.loads(line) for line in data.splitlines()]
            assert objects[0]["note"] == "log" and objects[-1]["note"] == ("end" if part == log else "rotated")
            numbers += [each["snapshot"] for each in objects if each.get("note") == "snapshot"]
        elif kind == "bin":
            frames = frames_of(data)
            assert b"".join(frames) == data
            numbers += [int.from_bytes(frame[24:32], "little") for frame in frames if frame[6:8] == b"\1\0"]
        else:
            first, *rows, last = data.decode().splitlines()
            assert first.startswith("enable_time_secs=") and last.startswith("disable_time_secs=")
            assert all(len(row.split(",")) == 27 for row in rows)
            assert f"\ttotal_tcp_pkts={len(rows)}\t" in last
            assert len(last.split("flow_list=")[1].split(",")) - 1 == (40 if rows else 0)
            records += len(rows)
    if kind == "siftr":
        # Every snapshot has the 40 ends of 20 connections.
        assert records >= 40 * 20 and records % 40 == 0
    else:
        assert len(numbers) > 20 and numbers == list(range(1, len(numbers) + 1))


def test_a_hangup_without_a_rename_changes_nothing(tmp_path):
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-s", 2000, "-e", "port 1") as logger:
        wait_for_snapshots(log, 2)
        inode = log.stat().st_ino
        for _ in range(5):
            logger.send(signal.SIGHUP)
        wait_for_snapshots(log, 50)
        logger.stop()
        assert logger.messages() == ""
    assert log.stat().st_ino == inode
    assert log.read_text().count("# log version=") == 1
    assert "rotated" not in log.read_text()


def test_where_the_new_file_cannot_be_had_the_old_one_goes_on(tmp_path):
    log, old = tmp_path / "x.csv", tmp_path / "x.csv.0"
    with Running(tmp_path, "-o", log, "-s", 2000, "-e", "port 1") as logger:
        wait_for_snapshots(log, 2)
        log.rename(old)
        log.write_text("somebody else's\n")
        logger.send(signal.SIGHUP)
        wait_until(lambda: "it goes on in the file that it has" in logger.messages(), "a message")
        before = old.read_bytes().count(b"\n")
        wait_until(lambda: old.read_bytes().count(b"\n") > before + 5, "more snapshots")
        log.unlink()
        logger.send(signal.SIGHUP)
        wait_for_snapshots(log, 2)
        logger.stop()
    numbers = [number for part in (old, log) for number in snapshots_of(part.read_bytes())]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_long_interval_does_not_delay_the_rotation(tmp_path):
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-s", 3_600_000_000, "-e", "port 1") as logger:
        wait_for_snapshots(log, 1)
        rotate(logger, log, 0)
        wait_until(lambda: log.stat().st_size > 0, "the first lines")
        assert re.match("# log version=.*\ntime,snapshot,", log.read_text())
        logger.stop()
