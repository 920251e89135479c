# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Connections from before and after a reboot are kept apart, even if their numbers are the same."""

import json

import pytest
from drawing import Plot
from handmade import CHANGES_ONLY
from synthetic import FLOW, START, lines, write
from terminal import Terminal
from viewer import run, start

OTHER = {"lport": 40111, "faddr": "192.0.2.9"}


def boots(folder, after=(1000, 51000), more=None, **clock):
    """Writes logs from before and after a reboot, each with a connection of the same number."""
    first = [(START + i, [{"acked_bytes": 1_000_000 * (i + 1), "rexmit_packs": 5 * (i + 1)}]) for i in range(2)]
    second = [(START + 3600 + i, [{"acked_bytes": bytes_, **(more or {})}]) for i, bytes_ in enumerate(after)]
    mono = clock.get("mono", ((), ()))
    return (
        write(folder / "one.csv", first, mono=mono[0]),
        write(folder / "two.csv", second, mono=mono[1], host=clock.get("host", "h")),
    )


def sums(*logs):
    rows = [json.loads(line) for line in start("summary", "--json", *logs).stdout.splitlines()]
    return sorted((row["sent_bytes"], row["rexmit_packs"], row["duration_s"]) for row in rows)


APART = [(50_000, 0, 1.0), (1_000_000, 5, 1.0)]


@pytest.mark.parametrize("more", [{}, OTHER])
@pytest.mark.parametrize("form", ["csv", "json", "bin", "one file"])
def test_the_same_number_after_a_reboot_is_a_different_connection(tmp_path, form, more):
    logs = boots(tmp_path, more=more)
    if form == "one file":
        (tmp_path / "both.csv").write_text("".join(log.read_text() for log in logs))
        logs = [tmp_path / "both.csv"]
    elif form != "csv":
        for log in logs:
            run("convert", log, log.with_suffix(f".{form}"))
        logs = [log.with_suffix(f".{form}") for log in logs]
    assert sums(*logs) == APART
    (group,) = [json.loads(line) for line in run("summary", "--json", "--by", "port", *logs).splitlines()]
    assert (group["connections"], group["sent_bytes"], group["rexmit_packs"]) == (2, 1_050_000, 5)


def test_one_decreased_total_is_evidence_of_a_reboot_for_all_connections(tmp_path):
    """The total of the first connection has decreased, that of the second has not."""
    flows = [{"gencnt": 7}, {"gencnt": 8, "lport": 40001}]
    first = [(START + i, [{**flow, "acked_bytes": 1000 * (i + 1)} for flow in flows]) for i in range(2)]
    second = [
        (START + 60 + i, [{**flow, "acked_bytes": start + 10 * i} for flow, start in zip(flows, (5, 7000), strict=True)])
        for i in range(2)
    ]
    logs = write(tmp_path / "one.csv", first), write(tmp_path / "two.csv", second)
    assert [row[0] for row in sums(*logs)] == [10, 10, 1000, 1000]


def test_a_decreased_monotonic_clock_is_evidence_of_a_reboot(tmp_path):
    logs = boots(tmp_path, after=(5_000_000, 6_000_000), more={"rexmit_packs": 90}, mono=((9000, 9001), (50, 51)))
    assert sums(*logs) == [(1_000_000, 0, 1.0), (1_000_000, 5, 1.0)]


@pytest.mark.parametrize("name", ["iss", "irs", "inode"])
def test_a_changed_constant_of_a_connection_is_evidence_of_a_reboot(tmp_path, monkeypatch, name):
    monkeypatch.setitem(FLOW, name, 1111)
    logs = boots(tmp_path, after=(5_000_000, 6_000_000), more={"rexmit_packs": 90, name: 2222})
    assert sums(*logs) == [(1_000_000, 0, 1.0), (1_000_000, 5, 1.0)]


def test_connections_of_different_network_stacks_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setitem(FLOW, "vnet", 0)
    flows = [{"vnet": 0, "acked_bytes": 10}, {"vnet": 3, "acked_bytes": 500}, {"vnet": 4, "acked_bytes": 7000}]
    grown = [{**flow, "acked_bytes": 2 * flow["acked_bytes"]} for flow in flows]
    log = write(tmp_path / "log.csv", [(START, flows), (START + 1, grown)])
    assert [row[0] for row in sums(log)] == [10, 500, 7000]
    assert run("check", log).startswith(b"no problems: ")


def test_another_host_has_other_connections(tmp_path):
    logs = boots(tmp_path, after=(5_000_000, 6_000_000), more={"rexmit_packs": 90}, host="other")
    assert sums(*logs) == [(1_000_000, 0, 1.0), (1_000_000, 5, 1.0)]


def test_connections_continue_after_a_restart_of_the_logger(tmp_path):
    logs = boots(tmp_path, after=(3_000_000, 4_000_000), more={"rexmit_packs": 90})
    assert sums(*logs) == [(3_000_000, 85, 3601.0)]
    logs = boots(tmp_path, after=(3_000_000, 4_000_000), more={"rexmit_packs": 90}, mono=((9000, 9001), (12600, 12601)))
    assert sums(*logs) == [(3_000_000, 85, 3601.0)]


def test_snapshot_numbers_that_restart_may_be_those_of_another_boot(tmp_path):
    one, two = boots(tmp_path)
    log = tmp_path / "both.csv"
    records = [line for path in (one, two) for line in path.read_text().splitlines(keepends=True)]
    header = records[1]
    log.write_text(header + "".join(line for line in records if line[0].isdigit() or line.startswith("# snapshot")))
    assert sums(log) == APART


def test_top_shows_no_rate_across_a_reboot(tmp_path):
    before = [(START + i, [{"acked_bytes": 1_000_000 * (i + 1)}]) for i in range(2)]
    after = [(START + 60 + i, [{"acked_bytes": 1000 * (i + 1)}]) for i in range(2)]
    log = tmp_path / "log.csv"
    for second, expected in ([], "8.00M"), (after[:1], "-"), (after, "8.00k"):
        log.write_text("".join(lines(before) + (lines(second) if second else [])))
        with Terminal(100, 12) as terminal:
            terminal.top("-d", log, "-s", 100_000)
            screen = terminal.wait_for(lambda screen: "no more snapshots" in screen, "the end of the log")
        (row,) = [line.split() for line in screen.splitlines() if "192.0.2.2" in line]
        assert expected in row, screen


def test_show_has_no_connections_from_before_a_reboot(tmp_path):
    """The last snapshot has only the connections after the reboot."""
    log = tmp_path / "log.csv"
    log.write_text("".join(lines([(START, [{}, {"gencnt": 9, "lport": 1}])]) + lines([(START + 60, [{}])])))
    assert len(run("show", "--json", "-d", log).splitlines()) == 1


BOOTS = {
    "totals": {},
    "monotonic clock": {"after": (5_000_000, 5_050_000), "mono": ((9000, 9001), (50, 51))},
    "host": {"after": (5_000_000, 5_050_000), "host": "other"},
    "boot": {"after": (5_000_000, 5_050_000), "boot": ("a", "b")},
}


def marked(logs, boots):
    for log, boot in zip(logs, boots, strict=True):
        log.write_text(log.read_text().replace(' system="Linux"', f' system="Linux" boot="{boot}"'))


@pytest.mark.parametrize("case", BOOTS)
@pytest.mark.parametrize("reversed_", [False, True])
@pytest.mark.parametrize("form", ["csv", "bin", "one file"])
def test_connections_from_before_and_after_a_reboot_are_plotted_separately(tmp_path, case, reversed_, form):
    more = dict(BOOTS[case])
    ids = more.pop("boot", None)
    logs = boots(tmp_path, **more)
    if ids:
        marked(logs, ids)
    if form == "one file":
        (tmp_path / "both.csv").write_text("".join(log.read_text() for log in logs))
        logs = [tmp_path / "both.csv"]
    elif form == "bin":
        for log in logs:
            run("convert", log, log.with_suffix(".bin"))
        logs = [log.with_suffix(".bin") for log in logs]
    done = start("plot", "-n", 8, *(logs[::-1] if reversed_ else logs))
    picture = Plot(done.stdout)
    name = "192.0.2.1:40000 → 192.0.2.2:5001"
    windows, rates = picture.panel("congestion window").curves, picture.panel("throughput").curves
    assert windows.keys() == rates.keys() == {f"{name} (1)", f"{name} (2)"}
    before, after = windows[f"{name} (1)"], windows[f"{name} (2)"]
    assert len(before) == len(after) == 1, "each is one piece"
    if case != "host":
        assert before[0][-1][0] < after[0][0][0]
    for number, rate in (1, 1_000_000), (2, 50_000):
        (piece,) = rates[f"{name} ({number})"]
        assert all(value / 8 == pytest.approx(rate, rel=0.1, abs=5000) for _, value in piece)
    assert "2 TCP connections" in picture.texts
    assert any(text.startswith("numbered in chronological order: connections with the same name") for text in picture.texts)
    # With -n 1, only the connection that sent the most data is plotted.
    alone = Plot(start("plot", *logs).stdout)
    assert sum(map(len, alone.curve("snd_cwnd"))) == 2
    assert "the connection that sent the most data, of 2" in alone.texts


def test_a_plot_has_one_connection_after_a_restart_of_the_logger(tmp_path):
    logs = boots(tmp_path, after=(3_000_000, 4_000_000), more={"rexmit_packs": 90})
    for ids in None, ("a", "a"):
        if ids:
            marked(logs, ids)
        picture = Plot(run("plot", *logs))
        assert picture.texts[0] == "192.0.2.1:40000 → 192.0.2.2:5001"
        assert [len(piece) for piece in picture.curve("snd_cwnd")] == [2, 2]


@pytest.mark.parametrize("ids", [("a", "b"), ("a", "a")])
def test_the_boot_in_the_notes_takes_precedence(tmp_path, ids):
    logs = boots(tmp_path, after=(5_000_000, 6_000_000), more={"rexmit_packs": 90})
    marked(logs, ids)
    apart = [(1_000_000, 0, 1.0), (1_000_000, 5, 1.0)]
    assert sums(*logs) == (apart if ids[0] != ids[1] else [(5_000_000, 85, 3601.0)])


def test_connections_from_before_a_reboot_do_not_exist_after_it(tmp_path):
    """The keyframe of the second run is missing."""
    before = lines([(START, [{"acked_bytes": 5000}, {"gencnt": 9, "lport": 1}])])
    after = lines([(START + 60, [{"gencnt": 8, "lport": 2}])], first=2)
    after = [line.replace("flags=0", f"flags={CHANGES_ONLY}") for line in after]
    log = tmp_path / "log.csv"
    log.write_text("".join(before + after))
    rows = [json.loads(row) for row in start("show", "--json", "-d", log).stdout.splitlines()]
    assert [row["gencnt"] for row in rows] == [8]
