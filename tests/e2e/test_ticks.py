# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""No tick, snapshot or record is lost without a report."""

import resource
import statistics

from logger import log, parse_note, run
from sockets import Connections, ends_of


def test_samples_are_taken_at_absolute_times():
    logged = log("-s", 10_000, "-c", 200, "-e", "lport 0")
    late = [note["time"] - 0.01 * (index + note["missed_ticks"]) for index, note in enumerate(logged.noted("snapshot"))]
    # If the logger waited for an interval after each sample, the samples would drift.
    assert statistics.median(late) - min(late) < 0.0025


def test_each_of_ten_thousand_sockets_is_in_each_snapshot_and_every_tick_is_taken_or_missed(alone, tmp_path):
    resource.setrlimit(resource.RLIMIT_NOFILE, (12_000, max(12_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    path = tmp_path / "x.csv"
    with Connections("127.0.0.1", 5000, alone, alone) as connections:
        sockets = {",".join(map(str, ends_of(each))) + ",ESTABLISHED\n" for each in connections.all()}
        sockets.add(f"127.0.0.1,{connections.port},0.0.0.0,0,LISTEN\n")
        run("-o", path, "-t", 10, "-O", "laddr,lport,faddr,fport,state", enter=alone.enter)
    assert len(sockets) == 10_001
    snapshots = records = 0
    rows = []
    with path.open() as lines:
        for line in lines:
            if line.startswith("# snapshot "):
                note = parse_note(line[2:-1])
                assert note["seen"] == note["records"] == len(rows) and note["missed"] == 0
                assert {row.split(",", 2)[2] for row in rows} == sockets and len(rows) == len(sockets)
                snapshots, records, rows = snapshots + 1, records + len(rows), []
            elif line.startswith("# end "):
                end = parse_note(line[2:-1])
            elif line[0].isdigit():
                rows.append(line)
    assert (end["snapshots"], end["records"], rows) == (snapshots, records, [])
    assert end["snapshots"] + end["missed_ticks"] == 200
