# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""CSV and JSON can be read by common tools, and have the same contents."""

import json
import pathlib
import re
import time

import duckdb
import pytest
from bin_log import snapshots
from logger import CsvLog, log, replay, run

TYPES = {
    "time": "DOUBLE",
    "snapshot": "BIGINT",
    "laddr": "VARCHAR",
    "lport": "BIGINT",
    "faddr": "VARCHAR",
    "fport": "BIGINT",
    "state": "VARCHAR",
    "cc": "VARCHAR",
    "options": "VARCHAR",
    "snd_cwnd": "BIGINT",
    "srtt": "BIGINT",
    "rto": "BIGINT",
}


def written(frames, path, *arguments):
    """Writes frames as another log, and returns its path."""
    run("-d", frames, "-s", 1000, "-o", path, *arguments)
    return path


@pytest.mark.parametrize("columns", ["basic", "all"])
def test_duckdb_reads_csv_with_the_right_types_and_values(frames, tmp_path, columns):
    path = written(frames, tmp_path / "x.csv", "-O", columns)
    rows = CsvLog(path.read_text()).rows
    opened = duckdb.sql(f"select * from read_csv('{path}')")
    assert opened.columns == list(rows[0])
    types = dict(zip(opened.columns, map(str, opened.types), strict=True))
    assert {name: types[name] for name in TYPES} == TYPES
    found = duckdb.sql("select count(*), count(srtt), sum(srtt)::bigint, sum(lport)::bigint from opened").fetchall()
    srtt = [int(row["srtt"]) for row in rows if row["srtt"]]
    assert found == [(len(rows), len(srtt), sum(srtt), sum(int(row["lport"]) for row in rows))]


class Number(str):
    """The digits of a number, which are not equal to the same text."""

    def __eq__(self, other):
        return isinstance(other, Number) and super().__eq__(other)


def typed(cell):
    return Number(cell) if cell.replace(".", "", 1).isdigit() else cell


def test_json_has_the_same_values_as_csv_in_the_same_order(frames, tmp_path):
    for columns in "basic", "all", "srtt,laddr,options":
        rows = replay(frames, "-O", columns).rows
        path = written(frames, tmp_path / f"{columns}.json", "-O", columns, "-F", "json")
        objects = [json.loads(line, parse_float=Number, parse_int=Number) for line in path.read_text().splitlines()]
        records = [list(each.items()) for each in objects if "note" not in each]
        assert records == [[(name, typed(cell)) for name, cell in row.items() if cell] for row in rows]
        assert len(records) == 3 * 22


def test_duckdb_reads_json(frames, tmp_path):
    path = written(frames, tmp_path / "x.json", "-F", "json")
    rows = replay(frames).rows
    found = duckdb.sql(f"select count(*), sum(lport)::bigint from read_json('{path}') where note is null").fetchall()
    assert found == [(len(rows), sum(int(row["lport"]) for row in rows))]


def test_the_notes_of_csv_and_of_json_have_the_same_keys(frames, tmp_path):
    path = written(frames, tmp_path / "x.json", "-F", "json")
    objects = [json.loads(line) for line in path.read_text().splitlines()]

    def keys(notes):
        # The number of ticks that a replay misses depends on the machine.
        return [list(note) for note in notes if note["note"] != "missed"]

    assert keys(each for each in objects if "note" in each) == keys(replay(frames).notes)
    assert [each["note"] for each in objects if each.get("note") not in (None, "missed")] == [
        "log", "snapshot", "snapshot", "snapshot", "end"
    ]  # fmt: skip


def test_a_log_starts_with_its_options_and_ends_with_its_totals(loopback):
    logged = log("-c", 3, "-s", 20_000, "-O", "laddr,lport,faddr,fport", "-e", f"port {loopback.port}")
    assert logged.lines[0].startswith("# log version=") and logged.lines[1].startswith("time,snapshot,laddr,")
    (about,) = logged.noted("log")
    assert (about["source"], about["interval_us"]) == ("sock_diag", 20_000)
    assert (about["columns"], about["filter"]) == ("laddr,lport,faddr,fport", f"port {loopback.port}")
    assert logged.lines[-1].startswith("# end ")
    (end,) = logged.noted("end")
    assert (end["snapshots"], end["records"]) == (3, 3 * 17) == (3, len(logged.rows))
    times = [row["time"] for row in logged.rows]
    assert times == sorted(times)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_snapshot_has_the_monotonic_time_and_a_log_has_its_boot_id(form, tmp_path):
    path = tmp_path / "x"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    run("-c", 3, "-s", 20_000, "-F", form, "-o", path)
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    lines = path.read_text().splitlines()
    if form == "json":
        found = [json.loads(line, parse_float=str) for line in lines if line.startswith('{"note"')]
    else:
        found = CsvLog(path.read_text()).notes
        written = [re.search(r" mono=(\d+\.\d{9}) ended=\d+ ended_lost=0$", line)[1] for line in lines if line.startswith("# snapshot ")]
        assert [note["mono"] for note in found if "mono" in note] == [float(mono) for mono in written]
    mono = [float(note["mono"]) for note in found if note["note"] == "snapshot"]
    assert len(mono) == 3 and before / 1e9 < mono[0] < mono[1] < mono[2] < after / 1e9
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert [note["boot"] for note in found if note["note"] == "log"] == [boot]


def test_replayed_frames_keep_their_monotonic_time_and_have_no_boot_id(frames):
    logged = replay(frames)
    mono = [shot["mono_ns"] for shot in snapshots(frames.read_bytes())]
    lines = [line for line in logged.lines if line.startswith("# snapshot ")]
    assert [line.split(" mono=")[1].split()[0] for line in lines] == [f"{ns // 10**9}.{ns % 10**9:09d}" for ns in mono]
    assert "boot" not in logged.noted("log")[0]
