# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Several logs: their order, and warnings about logs that do not belong together."""

import gzip
import itertools
import json
import os
import re
import subprocess

import pytest
from synthetic import START, steady, write
from viewer import TCPSTATS, run, start


def parts(folder, count=3, each=10, **more):
    """Writes a rotated log, whose newest part has the name that sorts first."""
    flow = [(START + i, [{"acked_bytes": 1000 * i, "rexmit_packs": i}]) for i in range(count * each)]
    logs = []
    for part in range(count):
        name = "tcpstats.log" + (f".{count - 1 - part}" if part < count - 1 else "")
        end = "rotated" if part < count - 1 else "end"
        snapshots = flow[part * each : (part + 1) * each]
        logs.append(write(folder / name, snapshots, first=1 + part * each, before=part * each, end=end, **more))
    return logs


def only_row(*logs):
    (row,) = [json.loads(line) for line in run("summary", "--json", *logs).splitlines()]
    return row


def test_every_order_of_names_gives_the_same_result(tmp_path):
    logs = parts(tmp_path)
    whole = write(tmp_path / "whole.csv", [(START + i, [{"acked_bytes": 1000 * i, "rexmit_packs": i}]) for i in range(30)])
    expected = run("summary", whole)
    for order in itertools.permutations(logs):
        row = only_row(*order)
        assert (row["sent_bytes"], row["rexmit_packs"], row["duration_s"]) == (29000, 29, 29.0)
        assert run("summary", *order) == expected
        assert run("check", *order).startswith(b"no problems: 30 snapshots, 30 records, 29.000 s from ")
        # The columns do not change, so there is only one header row.
        lines = [line for log in logs for line in log.read_text().splitlines(keepends=True)]
        head, row, *rest = lines
        assert run("convert", "-F", "csv", *order, "-").decode() == "".join([head, row, *(line for line in rest if line != row)])


def test_every_order_of_names_gives_the_same_plot(tmp_path):
    logs = parts(tmp_path)
    whole = write(tmp_path / "whole.csv", [(START + i, [{"acked_bytes": 1000 * i, "rexmit_packs": i}]) for i in range(30)])
    expected = run("plot", whole)
    for order in itertools.permutations(logs):
        assert run("plot", *order) == expected
    shell = f"{TCPSTATS} plot <(cat {logs[2]}) {logs[0]} <(cat {logs[1]})"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, timeout=20)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", expected)


def test_a_plot_warns_about_logs_that_do_not_belong_together(tmp_path):
    one = write(tmp_path / "one", steady(20))
    other = write(tmp_path / "other", steady(20, begin=10))
    done = start("plot", one, "-", one, input=other.read_bytes())
    overlap, twice = f"standard input: begins at {START + 10}.000, before {one} ends at {START + 19}.000", "given twice"
    assert done.returncode == 0 and overlap in done.stderr.decode() and twice in done.stderr.decode()
    assert done.stderr.decode().count("overlap") == 1, "the second reading repeats no warning"


def test_logs_of_all_formats_are_ordered_by_their_content(tmp_path):
    logs = parts(tmp_path)
    expected = only_row(*logs)
    packed = tmp_path / "b.gz"
    packed.write_bytes(gzip.compress(logs[1].read_bytes()))
    run("convert", logs[0], tmp_path / "c.bin")
    run("convert", logs[2], tmp_path / "a.json")
    assert only_row(tmp_path / "a.json", packed, tmp_path / "c.bin") == expected


def test_a_clock_that_is_set_back_at_the_rotation_does_not_reverse_the_order(tmp_path):
    first = write(tmp_path / "log.1", steady(10), end="rotated")
    second = write(tmp_path / "log", steady(10, start=START - 3600, begin=10), first=11, before=10)
    for order in (first, second), (second, first):
        done = start("summary", "--json", *order)
        row = json.loads(done.stdout)
        assert (row["sent_bytes"], row["duration_s"]) == (19000, 19.0)
        assert b"the clock stepped back by 3600.000 s between snapshots 10 and 11" in done.stderr


def test_the_logs_of_each_host_are_read_together(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = parts(tmp_path / "a", host="a"), parts(tmp_path / "b", host="b")
    mixed = [log for pair in zip(other, one, strict=True) for log in pair]
    done = start("summary", "--json", *mixed)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["sent_bytes"], row["duration_s"]) for row in rows] == [(29000, 29.0)] * 2
    assert done.stderr.decode().count("warning: ") == 1
    assert f"{other[0]}: is from host b, and {one[2]} is from host a" in done.stderr.decode()
    done = start("check", *mixed)
    assert done.returncode == 1 and b"is from host" in done.stdout and b"\n1 problem: 60 snapshots" in done.stdout


def problems(*logs):
    """Returns the problems that check reports, and the warnings of convert."""
    done = start("check", *logs)
    *lines, verdict = done.stdout.decode().splitlines()
    assert (done.returncode, done.stderr) == (1, b"") and re.match(r"\d+ problems?: ", verdict)
    for words in ["summary", "--json", *logs], ["convert", "-F", "csv", *logs, "-"]:
        other = start(*words)
        warned = other.stderr.decode().splitlines()
        assert other.returncode == 0 and all(line.startswith("tcpstats: warning: ") for line in warned)
        assert len(warned) >= 1
    return lines, [line.removeprefix("tcpstats: warning: ") for line in warned]


def test_a_missing_part_is_reported(tmp_path):
    first, _, last = parts(tmp_path)
    found, warned = problems(last, first)
    assert any("10 snapshots are missing between 10 and 21" in line for line in found)
    assert warned == [f"10 snapshots are missing between {first} and {last}"]


def test_a_missing_start_of_a_run_is_reported(tmp_path):
    one = write(tmp_path / "one", steady(10))
    later = write(tmp_path / "later", steady(10, begin=100), first=51, before=50)
    found, warned = problems(one, later)
    assert found == warned == [f"{later}: begins with snapshot 51; the previous log is missing"]


def test_overlapping_logs_are_reported(tmp_path):
    one = write(tmp_path / "one", steady(20))
    other = write(tmp_path / "other", steady(20, begin=10))
    found, warned = problems(other, one)
    text = f"{other}: begins at {START + 10}.000, before {one} ends at {START + 19}.000; they overlap"
    assert text in found and text in warned


def test_a_log_that_is_given_twice_is_read_once_and_reported(tmp_path):
    log = write(tmp_path / "log", steady(20))
    link, copy = tmp_path / "link", tmp_path / "copy"
    os.link(log, link)
    copy.write_bytes(log.read_bytes())
    for again, what in (log, "given twice"), (link, f"the same file as {log}"):
        found, warned = problems(log, again)
        assert found == warned == [f"{again}: {what}; reading it once"]
        assert run("summary", "--json", log) == start("summary", "--json", log, again).stdout
    found, _ = problems(log, copy)
    assert any("they overlap" in line for line in found)


def test_a_reboot_between_logs_is_reported(tmp_path):
    before = write(tmp_path / "before", steady(10), mono=range(5000, 5010))
    after = write(tmp_path / "after", steady(10, begin=60), mono=range(20, 30))
    found, warned = problems(after, before)
    assert found == warned == [f"{after}: the host was rebooted after {before}"]


def test_a_pipe_keeps_its_position(tmp_path):
    logs = parts(tmp_path)
    shell = f"{TCPSTATS} summary --json <(cat {logs[0]}) {logs[2]} {logs[1]}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, b"") and json.loads(done.stdout)["sent_bytes"] == 29000
    done = start("summary", "--json", "-", logs[2], logs[1], input=logs[0].read_bytes())
    assert (done.returncode, done.stderr) == (0, b"") and json.loads(done.stdout)["sent_bytes"] == 29000


@pytest.mark.parametrize("content", [b"", b"time,snapshot,gencnt\n"])
def test_an_empty_part_is_reported(tmp_path, content):
    log, empty = write(tmp_path / "log", steady(10)), tmp_path / "empty"
    empty.write_bytes(content)
    for order in (log, empty), (empty, log):
        found, warned = problems(*order)
        assert found == warned == [f"{empty}: empty: no records and no notes"]
