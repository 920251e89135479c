# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Clocks that are set while the logger runs: durations remain right."""

import json
import time

import pytest
from bin_log import snapshots
from drawing import Plot
from synthetic import FLOW, START, write
from terminal import Terminal
from viewer import run, start

CLOCKS = {
    "back": [START + i - (3600 if i >= 10 else 0) for i in range(20)],
    "forward": [START + i + (86400 if i >= 10 else 0) for i in range(20)],
    "back a little": [START + i - (0.99 if i >= 10 else 0) for i in range(20)],
    "repeatedly": [START + i + (i % 3 - 1) * 500 for i in range(20)],
    "stopped": [START] * 20,
}


def log_of(folder, clock, **more):
    shots = [(second, [{"acked_bytes": 1000 * i, "received_bytes": 500 * i}]) for i, second in enumerate(clock)]
    return write(folder / "log.csv", shots, **more)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("mono", [(), range(500, 520)])
@pytest.mark.parametrize("form", ["csv", "json", "bin"])
def test_setting_the_clock_does_not_change_durations(tmp_path, clock, mono, form):
    log = log_of(tmp_path, CLOCKS[clock], mono=mono)
    if form != "csv":
        out = tmp_path / f"log.{form}"
        run("convert", log, out)
        log = out
    done = start("summary", "--json", log)
    row = json.loads(done.stdout)
    assert done.returncode == 0 and row["duration_s"] == pytest.approx(19, abs=1e-6)
    assert row["slow_start_s"] == pytest.approx(19, abs=1e-6)
    assert row["cwnd_limited_s"] <= row["duration_s"]
    assert row["send_mean_bytes_per_s"] == pytest.approx(1000) == row["send_max_bytes_per_s"]
    assert row["receive_mean_bytes_per_s"] == pytest.approx(500)
    assert b"tcpstats: warning: the clock stepped " in done.stderr
    table = start("summary", log)
    assert b"the clock stepped " in table.stdout and table.stderr == b""
    assert b" over 19.000 s\n" in table.stdout


def test_the_step_is_described(tmp_path):
    done = start("summary", "--csv", log_of(tmp_path, CLOCKS["back"]))
    assert done.stderr.decode() == (
        "tcpstats: warning: the clock stepped back by 3600.000 s between snapshots 10 and 11\n"
    )
    done = start("summary", log_of(tmp_path, CLOCKS["forward"]))
    assert "the clock stepped forward by 86400.000 s between snapshots 10 and 11; durations exclude this" in (
        done.stdout.decode()
    )


def test_time_during_which_the_logger_was_stopped_counts(tmp_path):
    clock = [START + i + (100 if i >= 10 else 0) for i in range(20)]
    log = log_of(tmp_path, clock, missed=[0] * 10 + [100] + [0] * 9)
    row = json.loads(run("summary", "--json", log))
    assert row["duration_s"] == 119


def test_slewing_the_clock_is_not_a_step(tmp_path):
    clock = [START + i * 1.0004 for i in range(20)]
    row = json.loads(run("summary", "--json", log_of(tmp_path, clock, mono=[500 + i for i in range(20)])))
    assert row["duration_s"] == pytest.approx(19, abs=0.01)


def test_a_log_without_an_interval_has_plausible_durations(tmp_path):
    log = log_of(tmp_path, CLOCKS["back"])
    bare = tmp_path / "bare.csv"
    bare.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if not line.startswith("# log")))
    row = json.loads(start("summary", "--json", bare).stdout)
    assert row["duration_s"] == pytest.approx(19, abs=0.1) and row["slow_start_s"] <= row["duration_s"]


@pytest.mark.parametrize("clock", ["back", "forward", "repeatedly"])
def test_top_shows_plausible_rates_after_a_step_of_the_clock(tmp_path, clock):
    for count in 11, 20:
        log = log_of(tmp_path, CLOCKS[clock][:count])
        with Terminal(100, 12) as terminal:
            terminal.top("-d", log, "-s", 20_000)
            screen = terminal.wait_for(lambda screen: "no more snapshots" in screen, "the end of the log")
        (row,) = [line.split() for line in screen.splitlines() if "192.0.2.2" in line]
        assert row[3:5] == ["8.00k", "4.00k"], screen


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("mono", [(), range(500, 520)])
@pytest.mark.parametrize("form", ["csv", "bin"])
def test_a_plot_shows_elapsed_time(tmp_path, clock, mono, form):
    log = log_of(tmp_path, CLOCKS[clock], mono=mono)
    if form == "bin":
        run("convert", log, log.with_suffix(".bin"))
        log = log.with_suffix(".bin")
    done = start("plot", log)
    drawn = Plot(done.stdout)
    assert done.returncode == 0 and "· 19 s ·" in drawn.texts[1]
    assert drawn.texts[1].startswith(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(START))) or clock == "repeatedly"
    for label in "snd_cwnd", "srtt", "inflight":
        (piece,) = drawn.curve(label)
        assert [round(at) for at, _ in piece] == list(range(20))
    for label, rate in ("acked_bytes", 8000), ("received_bytes", 4000):
        (piece,) = drawn.curve(label)
        assert [at for at, _ in piece] == sorted(at for at, _ in piece)
        assert all(value == pytest.approx(rate, rel=0.02) for _, value in piece)
    (warning,) = done.stderr.decode().splitlines()
    assert warning.startswith("tcpstats: warning: the clock stepped ")
    steps = warning.removeprefix("tcpstats: warning: ")
    assert f"{steps}; the time axis excludes this" in drawn.texts
    assert steps.encode() in start("plot", "--html", log).stdout


def test_a_plot_of_a_siftr_log_does_not_go_back_in_time(tmp_path):
    """The format has neither ticks nor a monotonic clock, so the time during the step is unknown."""
    lines = []
    for i, second in enumerate(CLOCKS["back"]):
        cells = ["o", f"{second}.000000", FLOW["laddr"], FLOW["lport"], FLOW["faddr"], FLOW["fport"], 1073725440, 1000 + i]
        lines.append(",".join(map(str, [*cells, 0, 65535, 65535, 7, 7, 4, 1448, 20000, 1, 0, 230000, *[0] * 8])))
    log = tmp_path / "x.siftr"
    log.write_text("\n".join(lines) + "\n")
    done = start("plot", log)
    drawn = Plot(done.stdout)
    assert done.returncode == 0 and f"the clock stepped back by 3599.000 s at {START + 9}.000\n" in done.stderr.decode()
    points = [point for piece in drawn.curve("snd_cwnd") for point in piece]
    assert [round(at) for at, _ in points] == [*range(10), *range(9, 19)]
    assert [round(value) for _, value in points] == [pytest.approx(1000 + i, abs=5) for i in range(20)]


@pytest.mark.parametrize("clock", CLOCKS)
def test_check_reports_elapsed_time(tmp_path, clock):
    done = start("check", log_of(tmp_path, CLOCKS[clock], mono=range(500, 520)))
    verdict = done.stdout.decode().splitlines()[-1]
    assert done.returncode == 1 and ": 20 snapshots, 20 records, 19.000 s from " in verdict


def test_the_monotonic_clock_of_real_frames_takes_precedence(tmp_path, transfer):
    """Uses frames whose time of day is set back by a day in the middle."""
    data = bytearray(transfer.read_bytes())
    shots = snapshots(transfer.read_bytes())
    day = 86400 * 10**9
    for shot in shots[len(shots) // 2 :]:
        at = shot["at"]
        wall = int.from_bytes(data[at + 32 : at + 40], "little")
        data[at + 32 : at + 40] = (wall - day).to_bytes(8, "little")
        # Clear the flag for the CRC, which is no longer right.
        flags = int.from_bytes(data[at + 96 : at + 100], "little")
        data[at + 96 : at + 100] = (flags & ~8).to_bytes(4, "little")
    log = tmp_path / "set.bin"
    log.write_bytes(data)
    ours, theirs = (
        {row["gencnt"]: row for row in map(json.loads, start("summary", "--json", path).stdout.splitlines())}
        for path in (log, transfer)
    )
    assert ours.keys() == theirs.keys()
    for gencnt, row in theirs.items():
        for name, value in row.items():
            if name not in ("first", "last") and not isinstance(value, str):
                assert ours[gencnt][name] == pytest.approx(value, rel=0.01, abs=0.02), name
