# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""-x: records that changed since they were last written, keyframes, and connections that open and close."""

import json
import signal
import time

import bin_log
import pytest
from logger import CsvLog, ends, parse_note, run, wait_for
from running import Running, wait_for_snapshots
from sockets import Connections, ends_of, exchange

CHANGES_ONLY = 16


def read(path):
    """Returns a CSV log, its rows by snapshot, and the numbers of the keyframes."""
    log = CsvLog(path.read_text())
    rows = {number: [] for number in log.numbers()}
    for row in log.rows:
        rows[int(row["snapshot"])].append(row)
    return log, rows, [note["snapshot"] for note in log.noted("snapshot") if not note["flags"] & CHANGES_ONLY]


def test_idle_connections_are_written_only_in_keyframes(tmp_path):
    path = tmp_path / "x.csv"
    with Connections("127.0.0.1", 10) as connections:
        for client, server in zip(connections.clients, connections.servers, strict=True):
            exchange(client, server, 100)
        time.sleep(0.3)
        run("-o", path, "-x", "-k", 0.5, "-s", 10_000, "-t", 1.75, "-O", "all", "-e", f"port {connections.port}")
    log, rows, keyframes = read(path)
    assert len(keyframes) == 4 and keyframes[0] == 1
    assert {number: len(each) for number, each in rows.items() if each} == dict.fromkeys(keyframes, 21)
    assert not log.noted("open") and not log.noted("close"), "connections that exist at the start have not opened"
    # The fields that do not count as changes did change.
    first, second = rows[keyframes[0]], rows[keyframes[1]]
    moved = {name for one, other in zip(first, second, strict=True) for name in one if one[name] != other[name]}
    assert moved - {"time", "snapshot"} <= {"idle_snd", "idle_rcv", "idle_ack"} and "idle_snd" in moved


def test_a_busy_connection_is_written_and_the_others_are_not(tmp_path):
    path = tmp_path / "x.csv"
    with Connections("127.0.0.1", 10) as connections:
        busy = connections.clients[3]
        arguments = ["-o", path, "-x", "-s", 10_000, "-O", "lport,acked_bytes", "-e", f"port {connections.port}"]
        with Running(tmp_path, *arguments) as logger:
            wait_for_snapshots(path, 3)
            for _ in range(20):
                busy.sendall(b"x")
                time.sleep(0.02)
            logger.stop()
        _, rows, keyframes = read(path)
        changed = [row for number, each in rows.items() if number not in keyframes for row in each]
        assert {int(row["lport"]) for row in changed} == {busy.getsockname()[1]}
    counts = [int(row["acked_bytes"]) for row in changed]
    assert len(counts) >= 10 and counts == sorted(set(counts))


NOTES = {
    "csv": lambda data: CsvLog(data.decode()).notes,
    "json": lambda data: [each for each in map(json.loads, data.splitlines()) if "note" in each],
    "bin": bin_log.notes,
}


@pytest.mark.parametrize("form", NOTES)
def test_opening_and_closing_a_connection_are_each_logged_in_a_note(form, tmp_path):
    path = tmp_path / "x"
    with Connections("127.0.0.1", 3) as connections:
        arguments = ["-x", "-s", 5000, "-F", form, "-e", f"port {connections.port} and state established"]
        with Running(tmp_path, "-o", path, *arguments) as logger:

            def wait_for_more():
                count = logger.status()["snapshots"]
                wait_for(lambda: logger.status()["snapshots"] > count + 3, "more snapshots")

            wait_for_more()
            with connections.connect() as client, connections.accept() as server:
                both = [ends_of(client), ends_of(server)]
                wait_for_more()
            wait_for_more()
            logger.stop()
    events = [note for note in NOTES[form](path.read_bytes()) if note["note"] in ("open", "close")]
    found = [(note["note"], *ends(note), note["state"]) for note in events]
    expected = [(name, *each, "ESTABLISHED") for name in ("open", "close") for each in both]
    assert sorted(found) == sorted(expected)


def test_a_log_of_changes_contains_the_same_information_as_a_full_log(tmp_path):
    """Adding the omitted rows from earlier snapshots yields the full log of the same frames."""
    frames = tmp_path / "x.bin"
    with Connections("127.0.0.1", 8) as connections:
        with Running(tmp_path, "-o", frames, "-F", "bin", "-s", 5000, "-e", f"port {connections.port}") as logger:
            wait_for(lambda: frames.exists() and frames.stat().st_size > 0, "the start of the log")
            for number in range(40):
                connections.clients[number % 3].sendall(bytes(number))
                if number == 20:
                    connections.clients[7].close()
                    connections.servers[7].close()
                time.sleep(0.005)
            logger.stop()
    columns = "gencnt,lport,fport,state,snd_cwnd,srtt,acked_bytes,received_bytes"
    full, changes = tmp_path / "full.csv", tmp_path / "changes.csv"
    run("-d", frames, "-o", full, "-s", 1, "-O", columns)
    run("-d", frames, "-o", changes, "-s", 1, "-O", columns, "-x", "-k", 0.05)
    _, all_rows, _ = read(full)
    expected = {number: {row["gencnt"]: list(row.values())[2:] for row in rows} for number, rows in all_rows.items()}
    assert any(row["state"] == "ENDED" for rows in all_rows.values() for row in rows)
    state, ended, snapshots, rows = {}, {}, 0, 0
    for line in CsvLog(changes.read_text()).lines:
        note = parse_note(line[2:]) if line.startswith("# ") else {"note": None}
        if note["note"] == "close":
            del state[str(note["gencnt"])]
        elif note["note"] == "open":
            assert str(note["gencnt"]) not in state
        elif note["note"] == "snapshot":
            snapshots += 1
            assert {**state, **ended} == expected[note["snapshot"]]
            ended = {}
        elif line[0].isdigit():
            cells = line.split(",")
            rows += 1
            if cells[5] == "ENDED":
                del state[cells[2]]
                ended[cells[2]] = cells[2:]
            else:
                state[cells[2]] = cells[2:]
    assert snapshots == len(expected) > 30 and rows < sum(map(len, expected.values())) / 2


def test_every_rotated_file_starts_with_a_keyframe(tmp_path):
    path, old = tmp_path / "x.csv", tmp_path / "old.csv"
    with Connections("127.0.0.1", 5) as connections:
        arguments = ["-x", "-s", 5000, "-O", "lport", "-e", f"port {connections.port}"]
        with Running(tmp_path, "-o", path, *arguments) as logger:
            wait_for_snapshots(path, 5)
            path.rename(old)
            logger.send(signal.SIGHUP)
            wait_for_snapshots(path, 5)
            logger.stop()
    for part in old, path:
        log, rows, keyframes = read(part)
        assert keyframes == log.numbers()[:1]
        assert [len(each) for each in rows.values() if each] == [len(rows[keyframes[0]])] == [11]
