# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""CSV logs with the contents that a test needs."""

START = 1_764_000_000
CHANGES_ONLY, LEDGER = 16, 64
UNSET = 1_073_725_440
ENDS = {"laddr": "192.0.2.1", "lport": 50000, "faddr": "198.51.100.7", "fport": 443, "state": "ESTABLISHED"}


class CsvLog:
    """A log that is written snapshot by snapshot, one every `interval` seconds."""

    def __init__(self, columns, interval=0.1):
        self.columns = columns.split(",")
        self.interval = interval
        self.begin = START
        self.number = 0
        self.lines = [",".join(["time", "snapshot", *self.columns])]

    def snapshot(self, *rows, flags=0, notes=()):
        """Adds a snapshot. Each row is a dictionary; missing keys are absent values."""
        self.number += 1
        time = f"{self.begin + self.number * self.interval:.9f}"
        self.lines += [f"# {note}" for note in notes]
        for row in rows:
            cells = [str(row.get(column, "")) for column in self.columns]
            self.lines.append(",".join([time, str(self.number), *cells]))
        ended = sum(row.get("state") == "ENDED" for row in rows)
        live = len(rows) - ended
        count = f"seen={live} matched={live} records={len(rows)}"
        note = f"# snapshot snapshot={self.number} time={time} walk_us=9 {count} missed=0 missed_ticks=0 flags={flags}"
        self.lines.append(f"{note} mono={self.number * self.interval:.9f} ended={ended} ended_lost=0" if flags & LEDGER else note)

    def skip(self, count):
        """Skips the numbers of `count` lost snapshots."""
        self.number += count

    def write(self, path):
        path.write_text("\n".join(self.lines) + "\n")
        return path


def windows(folder, windows):
    """Writes a log of one connection with a snapshot for each window: without a record if None, missing if "lost"."""
    log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd")
    for window in windows:
        if window == "lost":
            log.skip(1)
        else:
            log.snapshot(*([{**ENDS, "snd_cwnd": window}] if window else []))
    return log.write(folder / "x.csv")
