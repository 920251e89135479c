# SPDX-License-Identifier: BSD-2-Clause
"""-x: what changed since it was written last, keyframes, and connections that open and close."""

import collections
import json
import re
import signal
import socket
import time

import pytest
from running import Running, connections, wait_for_snapshots, wait_until, whole_lines
from test_log import notes, run


def rows_by_snapshot(log):
    """The rows of a CSV log by snapshot, and which snapshots are keyframes."""
    header, rows = whole_lines(log.read_bytes())
    found = collections.defaultdict(list)
    for cells in rows:
        found[int(cells[1])].append(dict(zip(header, cells)))
    flags = {int(note["snapshot"]): int(note["flags"]) for note in notes(log, "snapshot")}
    return found, flags


def test_idle_connections_are_written_in_keyframes_only(tmp_path):
    made = connections(10)
    time.sleep(0.3)
    log = tmp_path / "x.csv"
    run("-o", log, "-x", "-k", 0.5, "-s", 10_000, "-t", 1.75, "-O", "all", "-e", f"port {made.port}")
    made.close()
    rows, flags = rows_by_snapshot(log)
    keyframes = [number for number, each in flags.items() if not each & 16]
    assert len(keyframes) == 4 and keyframes[0] == 1
    assert {number: len(each) for number, each in rows.items()} == dict.fromkeys(keyframes, 21)
    assert not notes(log, "open") and not notes(log, "close"), "what is there at the start did not open"
    # The fields that are left out of the comparison did move.
    first, second = rows[keyframes[0]], rows[keyframes[1]]
    moved = {name for one, other in zip(first, second) for name in one if one[name] != other[name]}
    assert moved - {"time", "snapshot"} <= {"idle_snd", "idle_rcv", "idle_ack"} and "idle_snd" in moved


def test_a_connection_that_works_is_written_and_the_others_are_not(tmp_path):
    made = connections(10)
    busy = made.clients[3].getsockname()[1]
    log = tmp_path / "x.csv"
    arguments = ["-o", log, "-x", "-s", 10_000, "-O", "lport,fport,acked_bytes", "-e", f"port {made.port}"]
    with Running(tmp_path, *arguments) as logger:
        wait_for_snapshots(log, 3)
        for _ in range(20):
            made.clients[3].sendall(b"x")
            time.sleep(0.02)
        logger.stop()
    made.close()
    rows, flags = rows_by_snapshot(log)
    changed = [row for number, each in rows.items() if flags[number] & 16 for row in each]
    assert {row["lport"] for row in changed} == {str(busy)}
    counts = [int(row["acked_bytes"]) for row in changed]
    assert len(counts) >= 10 and counts == sorted(set(counts))


@pytest.mark.parametrize("kind", ["csv", "json", "bin"])
def test_connections_that_come_and_go_have_a_line_each(kind, tmp_path):
    made = connections(3)
    log = tmp_path / "x"
    kinds = {"csv": ["-O", "lport,fport,state"], "json": ["-F", "json", "-O", "lport"], "bin": ["-F", "bin"]}
    arguments = ["-o", log, "-x", "-s", 5000, *kinds[kind], "-e", f"port {made.port} and state established"]
    with Running(tmp_path, *arguments) as logger:
        wait_until(lambda: log.exists() and log.stat().st_size > 200 and logger.status()["snapshots"] > 3, "a start")
        client = socket.create_connection(("127.0.0.1", made.port))
        server = made.listener.accept()[0]
        port = client.getsockname()[1]
        count = logger.status()["snapshots"]
        wait_until(lambda: logger.status()["snapshots"] > count + 3, "a look")
        client.close()
        server.close()
        count = logger.status()["snapshots"]
        wait_until(lambda: logger.status()["snapshots"] > count + 3, "a look")
        logger.stop()
    made.close()
    data = log.read_bytes()
    if kind == "json":
        events = [each for each in map(json.loads, data.splitlines()) if each.get("note") in ("open", "close")]
        found = [(each["note"], each["laddr"], each["lport"], each["fport"], each["state"]) for each in events]
    else:
        pattern = rb"(open|close) time=\S+ snapshot=\d+ gencnt=\d+ laddr=(\S+) lport=(\d+) faddr=\S+ fport=(\d+) state=(\w+)"
        found = [
            (name.decode(), host.decode(), int(local), int(foreign), state.decode())
            for name, host, local, foreign, state in re.findall(pattern, data)
        ]
    expected = [
        (name, "127.0.0.1", *ports, "ESTABLISHED")
        for name in ("open", "close")
        for ports in ((port, made.port), (made.port, port))
    ]
    assert sorted(found) == sorted(expected)


def test_the_log_of_changes_tells_what_the_whole_log_tells(tmp_path):
    """Rows that are left out, filled in from those before, give the log of everything of the same frames."""
    made = connections(8)
    frames = tmp_path / "x.bin"
    with Running(tmp_path, "-o", frames, "-F", "bin", "-s", 5000, "-e", f"port {made.port}") as logger:
        wait_until(lambda: frames.exists() and frames.stat().st_size > 0, "a start")
        for number in range(40):
            made.clients[number % 3].sendall(bytes(number))
            if number == 20:
                made.clients[7].close()
                made.servers[7].close()
            time.sleep(0.005)
        logger.stop()
    made.close()
    columns = "gencnt,lport,fport,state,snd_cwnd,srtt,acked_bytes,received_bytes"
    whole, changes = tmp_path / "whole.csv", tmp_path / "changes.csv"
    run("-d", frames, "-o", whole, "-s", 1, "-O", columns)
    run("-d", frames, "-o", changes, "-s", 1, "-O", columns, "-x", "-k", 0.05)
    header, all_rows = whole_lines(whole.read_bytes())
    expected = collections.defaultdict(dict)
    for cells in all_rows:
        expected[int(cells[1])][cells[2]] = cells[2:]
    state, snapshots, rows = {}, 0, 0
    for line in changes.read_text().splitlines():
        if line.startswith("# close "):
            del state[re.search(r"gencnt=(\d+)", line)[1]]
        elif line.startswith("# open "):
            assert re.search(r"gencnt=(\d+)", line)[1] not in state
        elif line[0].isdigit():
            cells = line.split(",")
            state[cells[2]] = cells[2:]
            rows += 1
        elif line.startswith("# snapshot "):
            number = int(re.search(r"snapshot=(\d+)", line)[1])
            snapshots += 1
            assert state == expected[number]
    assert snapshots > 30 and rows < len(all_rows) / 2


def test_every_rotated_file_begins_with_everything(tmp_path):
    made = connections(5)
    log = tmp_path / "x.csv"
    with Running(tmp_path, "-o", log, "-x", "-s", 5000, "-O", "lport", "-e", f"port {made.port}") as logger:
        wait_for_snapshots(log, 5)
        log.rename(tmp_path / "old.csv")
        logger.send(signal.SIGHUP)
        wait_for_snapshots(log, 5)
        logger.stop()
    made.close()
    for part in (tmp_path / "old.csv", log):
        rows, _ = rows_by_snapshot(part)
        assert [len(each) for each in rows.values()] == [11]
        assert min(rows) == int(notes(part, "snapshot")[0]["snapshot"])
