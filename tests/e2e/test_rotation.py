# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Rotation as newsyslog and logrotate do it: rename, then SIGHUP."""

import json
import signal

import pytest
from bin_log import SNAPSHOT, only_frames
from logger import CsvLog, run, wait_for
from running import Running, wait_for_snapshots
from sockets import Connections


def rotate(logger, path, number):
    """Renames the log and waits until the logger has created another."""
    path.rename(path.with_name(f"{path.name}.{number:06}"))
    logger.send(signal.SIGHUP)
    wait_for(path.exists, "a new log")


def parts(path):
    """Returns the rotated files in order, and the log itself."""
    return [*sorted(path.parent.glob(f"{path.name}.*")), path]


def assert_every_snapshot_once(*paths):
    """Checks that the logs contain every snapshot once, and returns the number of snapshots."""
    numbers = [number for path in paths for number in CsvLog(path.read_text()).numbers()]
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


def test_a_thousand_rotations_under_load_log_every_snapshot_once(alone, tmp_path):
    rotations = 1000
    path = tmp_path / "x.csv"
    with Connections("127.0.0.1", 20, alone, alone) as connections:
        # At 1 ms the queue must hold the snapshots that are taken while the old file is synced to a busy disk.
        arguments = ["-o", path, "-s", 1000, "-q", 5000, "-e", f"port {connections.port}"]
        with Running(tmp_path, *arguments, enter=alone.enter) as logger:
            wait_for_snapshots(path, 10)
            for number in range(rotations):
                rotate(logger, path, number)
            logger.stop()
    assert len(parts(path)) == rotations + 1
    count = assert_every_snapshot_once(*parts(path))
    for part in parts(path)[:-1]:
        lines = part.read_text().splitlines()
        assert lines[0].startswith("# log version=") and lines[1].startswith("time,snapshot,")
        assert lines[-1].startswith("# rotated ")
    end = CsvLog(path.read_text()).end()
    assert (end["snapshots"], end["dropped"]) == (count, 0)


def read_json(data, is_last):
    """Returns the numbers of the snapshots in a rotated file, or in the last."""
    objects = [json.loads(line) for line in data.splitlines()]
    assert objects[0]["note"] == "log" and objects[-1]["note"] == ("end" if is_last else "rotated")
    return [each["snapshot"] for each in objects if each.get("note") == "snapshot"]


def read_bin(data, is_last):
    """Returns the numbers of the snapshots in a rotated file, or in the last."""
    frames = only_frames(data)
    assert frames[0]["note"]["note"] == "log" and frames[-1]["note"]["note"] == ("end" if is_last else "rotated")
    return [frame["sequence"] for frame in frames if frame["kind"] == SNAPSHOT]


def rotated_files(tmp_path, form):
    """Returns the files of a log of 20 connections without their listener, which was rotated 20 times."""
    path = tmp_path / "x"
    with Connections("127.0.0.1", 20) as connections:
        arguments = ["-s", 1000, "-q", 5000, "-F", form, "-e", f"port {connections.port} and not state listen"]
        with Running(tmp_path, "-o", path, *arguments) as logger:
            for number in range(20):
                wait_for(lambda: path.exists() and path.stat().st_size > 10_000, "a log")
                rotate(logger, path, number)
            logger.stop()
    return [part.read_bytes() for part in parts(path)]


@pytest.mark.parametrize("form, read", [("json", read_json), ("bin", read_bin)])
def test_json_and_bin_rotate_between_two_snapshots(form, read, tmp_path):
    *rotated, last = rotated_files(tmp_path, form)
    numbers = [number for data in rotated for number in read(data, False)] + read(last, True)
    assert len(numbers) > 20 and numbers == list(range(1, len(numbers) + 1))


def test_siftr_rotates_between_two_snapshots_and_each_file_has_its_own_totals_and_flows(tmp_path):
    records = 0
    for data in rotated_files(tmp_path, "siftr"):
        first, *rows, last = data.decode().splitlines()
        assert first.startswith("enable_time_secs=") and last.startswith("disable_time_secs=")
        assert f"\ttotal_tcp_pkts={len(rows)}\t" in last
        assert len(last.split("flow_list=")[1].split(",")) - 1 == (40 if rows else 0)
        # Complete snapshots, each of both ends of 20 connections.
        assert len(rows) % 40 == 0
        records += len(rows)
    assert records >= 40 * 20


def test_sighup_without_a_rename_changes_nothing(tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 2000, "-e", "port 1") as logger:
        wait_for_snapshots(path, 2)
        inode = path.stat().st_ino
        for _ in range(5):
            logger.send(signal.SIGHUP)
        wait_for_snapshots(path, 50)
        logger.stop()
        assert logger.messages() == ""
    assert path.stat().st_ino == inode
    assert [note["note"] for note in CsvLog(path.read_text()).notes if note["note"] in ("log", "rotated", "end")] == [
        "log", "end"
    ]  # fmt: skip


def test_the_old_file_continues_if_the_new_file_cannot_be_opened(tmp_path):
    path, old = tmp_path / "x.csv", tmp_path / "x.csv.0"
    with Running(tmp_path, "-o", path, "-s", 2000, "-e", "port 1") as logger:
        wait_for_snapshots(path, 2)
        path.rename(old)
        path.write_text("something else\n")
        logger.send(signal.SIGHUP)
        wait_for(lambda: "keeping the old file" in logger.messages(), "a message")
        before = old.read_bytes().count(b"\n")
        wait_for(lambda: old.read_bytes().count(b"\n") > before + 5, "more snapshots")
        assert path.read_text() == "something else\n"
        path.unlink()
        logger.send(signal.SIGHUP)
        wait_for_snapshots(path, 2)
        logger.stop()
    assert_every_snapshot_once(old, path)


def test_a_long_interval_does_not_delay_the_rotation(tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 3_600_000_000, "-e", "port 1") as logger:
        wait_for_snapshots(path, 1)
        rotate(logger, path, 0)
        wait_for(lambda: path.stat().st_size > 0, "the opening lines")
        assert [note["note"] for note in CsvLog(path.read_text()).notes] == ["log"]
        logger.stop()


@pytest.mark.parametrize("changes", [[], ["-x"]])
def test_a_log_with_other_columns_keeps_them_until_it_is_rotated(loopback, tmp_path, changes):
    path, only = tmp_path / "x.csv", ["-e", f"port {loopback.port}", *changes]
    run("-o", path, "-c", 1, "-O", "laddr,lport,faddr,fport,snd_cwnd", *only)
    with Running(tmp_path, "-o", path, "-s", 10_000, *only) as logger:
        wait_for_snapshots(path, 5)
        rotate(logger, path, 1)
        wait_for_snapshots(path, 3)
        # A file with columns that the source does not sample replaces it.
        other = "laddr,lport,faddr,fport,tos"
        incoming = tmp_path / "other.csv"
        run("-o", incoming, "-c", 1, "-O", other, *only)
        third = path.with_name("x.csv.000002")
        path.rename(third)
        incoming.rename(path)
        before = path.read_bytes()
        logger.send(signal.SIGHUP)
        wait_for(lambda: "keeping the old file" in logger.messages(), "a refusal")
        assert path.read_bytes() == before
        # Another has fewer columns.
        path.unlink()
        run("-o", path, "-c", 1, "-O", "laddr,lport,faddr,fport,srtt", *only)
        logger.send(signal.SIGHUP)
        wait_for(lambda: logger.messages().count("keeping them until the next rotation") == 2, "a warning")
        wait_for_snapshots(path, 4)
        logger.stop()
    first, second, last = (CsvLog(part.read_text()) for part in (path.with_name("x.csv.000001"), third, path))
    default = run("-o", "-", "-c", 1, "-e", "port 1").splitlines()[1].split(",")
    assert (first.header[2:], second.header) == (["laddr", "lport", "faddr", "fport", "snd_cwnd"], default)
    assert last.header[2:] == ["laddr", "lport", "faddr", "fport", "srtt"]
    about = [[note["columns"] for note in part.noted("log")] for part in (first, second, last)]
    assert about == [["laddr,lport,faddr,fport,snd_cwnd"] * 2, ["basic"], ["laddr,lport,faddr,fport,srtt"] * 2]
    assert all(part.lines[-1].startswith(f"# {end} ") for part, end in ((first, "rotated"), (second, "rotated"), (last, "end")))
    for part, name in (first, "snd_cwnd"), (second, "acked_bytes"), (last, "srtt"):
        assert any(row[name].isdigit() for row in part.rows[-17:])
