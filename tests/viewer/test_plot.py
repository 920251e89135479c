# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""tcpstats plot: the curves agree with the log."""

import gzip
import itertools
import math
import os
import re
import subprocess
import time

import logger
import pytest
from drawing import SVG, Plot
from handmade import CHANGES_ONLY, ENDS, START, UNSET, CsvLog, windows
from PIL import Image
from records import periods, seconds, values
from viewer import TCPSTATS, message_of, refuse, run, start


def plot(*arguments, **options):
    return Plot(run("plot", *arguments, **options))


def same(drawn, expected, value=0.01):
    """Checks that pieces agree to about a hundredth of a pixel. `value` is the tolerance relative to the maximum."""
    assert [len(piece) for piece in drawn] == [len(piece) for piece in expected]
    highest = max(value for piece in expected for _, value in piece)
    for (at, here), (other_at, there) in zip(itertools.chain(*drawn), itertools.chain(*expected), strict=True):
        assert at == pytest.approx(other_at, abs=0.001)
        assert here == pytest.approx(there, abs=highest * value)


def total_at(rows, name, at):
    """Returns a counter at a time, interpolated between the rows."""
    for before, after in itertools.pairwise(rows):
        if seconds(before, rows[0]) <= at <= seconds(after, rows[0]):
            part = (at - seconds(before, rows[0])) / (seconds(after, rows[0]) - seconds(before, rows[0]))
            return int(before[name]) + part * (int(after[name]) - int(before[name]))
    raise ValueError(at)


def interval(panel):
    """Returns the length of the intervals of a panel in seconds."""
    number, unit = re.search(r", per ([\d.]+) (m?s)$", panel.title).groups()
    return float(number) * {"s": 1, "ms": 0.001}[unit]


@pytest.mark.parametrize("name", ["snd_cwnd", "snd_ssthresh", "snd_wnd", "inflight", "srtt"])
def test_each_curve_is_the_column_of_the_log(name, transfer, rows):
    same(plot(transfer).curve(name), values(rows, name))


def test_the_sawtooth_of_the_window_is_plotted(transfer):
    window = itertools.chain(*plot(transfer).curve("snd_cwnd"))
    cuts = [(before, after) for (_, before), (_, after) in itertools.pairwise(window) if after < before * 0.8]
    assert len(cuts) >= 3


def test_the_band_around_srtt_is_rttvar(transfer, rows):
    band = plot(transfer).panel("round-trip time").band
    times = [[seconds(row, rows[0]) for row in period] for period in periods(rows)]
    around = [[(int(row["srtt"]), int(row["rttvar"])) for row in period] for period in periods(rows)]
    high = [[srtt + rttvar for srtt, rttvar in piece] for piece in around]
    low = [[max(srtt - rttvar, 0) for srtt, rttvar in piece] for piece in around]
    same([high for high, _ in band], [list(zip(*piece, strict=True)) for piece in zip(times, high, strict=True)])
    same([low for _, low in band], [list(zip(*piece, strict=True)) for piece in zip(times, low, strict=True)])


def test_throughput_is_the_number_of_bytes_acknowledged_in_each_interval(transfer, rows):
    panel = plot(transfer).panel("throughput")
    assert panel.unit == "Mbit/s"
    width = interval(panel)
    checked = 0
    for period in periods(rows):
        first, last = seconds(period[0], rows[0]), seconds(period[-1], rows[0])
        for number in range(math.ceil(first / width), int(last / width)):
            begin, end = number * width, (number + 1) * width
            sent = total_at(rows, "acked_bytes", end) - total_at(rows, "acked_bytes", begin)
            steps = [pair for piece in panel.curves["acked_bytes"] for pair in itertools.pairwise(piece)]
            drawn = [rate for (at, rate), (next_at, _) in steps if at < begin + width / 2 < next_at]
            assert drawn == [pytest.approx(sent * 8 / width, rel=0.01, abs=5e4)]
            checked += 1
    assert checked >= 20


def test_retransmissions_are_counted_in_their_intervals(transfer, rows):
    panel = plot(transfer).panel("segments retransmitted")
    width = interval(panel)
    expected = {}
    for before, after in itertools.pairwise(rows):
        count = int(after["rexmit_packs"]) - int(before["rexmit_packs"])
        number = int(seconds(after, rows[0]) / width)
        expected[number] = expected.get(number, 0) + count
    stems = [points for path in panel.curves["rexmit_packs"] for points in path]
    tops = {round(at / width - 0.5): round(count) for at, count in stems if count > 0.5}
    assert tops == {number: count for number, count in expected.items() if count}
    assert sum(tops.values()) > 10


def test_the_title_has_the_connection_and_the_time(transfer, rows):
    first = rows[0]
    texts = plot(transfer).texts
    assert texts[0] == f"{first['laddr']}:{first['lport']} → {first['faddr']}:{first['fport']}"
    begin = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(first["time"].split(".")[0])))
    assert texts[1].startswith(f"{begin}.{first['time'].split('.')[1][:3]} UTC · 6 s · {len(rows)} records · reno")
    assert "the connection that sent the most data, of 2" in texts


@pytest.mark.parametrize("form", ["csv", "json", "csv.gz", "standard input"])
def test_the_plot_is_the_same_for_every_format(form, transfer, tmp_path):
    expected = run("plot", transfer)
    if form == "standard input":
        assert run("plot", "-", input=transfer.read_bytes()) == expected
        return
    path = tmp_path / f"x.{form}"
    text = logger.run("-o", "-", "-F", form.split(".")[0], "-O", "all", "-d", transfer, "-s", 1000)
    path.write_bytes(gzip.compress(text.encode()) if form.endswith("gz") else text.encode())
    assert run("plot", path) == expected


def test_a_plot_of_a_siftr_log_has_the_fields_of_the_format(transfer, rows, tmp_path):
    path = tmp_path / "x.siftr"
    logger.run("-o", path, "-F", "siftr", "-d", transfer, "-s", 1000)
    drawn = plot(path)
    same(drawn.curve("inflight"), values(rows, "inflight"))
    assert not any(panel.title.startswith("throughput") for panel in drawn.panels)
    assert drawn.messages["throughput"].startswith("the log has no byte counter (acked_bytes, ")
    assert any(text.startswith("not in the log: segments retransmitted") for text in drawn.texts)


def test_rotated_logs_are_plotted_as_one_in_any_order(transfer, tmp_path):
    lines = logger.run("-o", "-", "-O", "all", "-d", transfer, "-s", 1000).splitlines(keepends=True)
    (header,) = [line for line in lines if line.startswith("time,")]
    cut = [number for number, line in enumerate(lines) if line.startswith("# snapshot ")][100] + 1
    older, newer = tmp_path / "x.log.0", tmp_path / "x.log"
    older.write_text("".join(lines[:cut]))
    newer.write_text(header + "".join(lines[cut:]))
    assert run("plot", newer, older) == run("plot", older, newer) == run("plot", transfer)


def test_connections_can_be_distinguished_without_colours(transfer):
    drawn = plot("-n", 8, transfer)
    assert drawn.texts[0] == "2 TCP connections"
    for panel in drawn.panels:
        assert len(panel.curves) == 2
        if not panel.title.startswith("segments"):
            assert len({dash for _, dash in panel.styles.values()}) == 2
    markers = [path.get("d") for path in drawn.root.iter(SVG + "path") if path.get("transform")]
    assert len(set(markers)) == 2
    labels = list(drawn.panels[0].curves)
    assert set(labels) <= set(drawn.texts), "the legend has both"


def test_connections_selected_by_a_filter_are_plotted_completely(transfer, rows):
    least = min(int(row["snd_cwnd"]) for row in rows)
    drawn = plot("-e", f"snd_cwnd = {least}", transfer)
    same(drawn.curve("snd_cwnd"), values(rows, "snd_cwnd"))
    other = plot("-e", f"not lport {rows[0]['lport']}", transfer)
    assert f":{rows[0]['lport']} " not in other.texts[0]


def test_the_time_of_day_is_in_utc(transfer, rows):
    texts = [text for _, text in plot("--utc", transfer).time_ticks]
    assert len(texts) >= 4
    clock = [time.strftime("%H:%M:%S", time.gmtime(float(row["time"]))) for row in rows]
    assert set(texts) <= set(clock)


def lengths(drawn):
    return [len(piece) for piece in drawn.curve("snd_cwnd")]


def test_a_line_is_interrupted_while_the_connection_is_absent(tmp_path):
    assert lengths(plot(windows(tmp_path, [1000] * 5 + [None] + [2000] * 7))) == [5, 7]


def test_a_line_is_interrupted_where_snapshots_were_lost(tmp_path):
    assert lengths(plot(windows(tmp_path, [1000] * 5 + ["lost"] + [2000] * 7))) == [5, 7]


def test_a_line_is_interrupted_while_a_value_is_unset(tmp_path):
    assert lengths(plot(windows(tmp_path, [1000] * 5 + [UNSET] * 3 + [2000] * 7))) == [5, 7]


def test_a_line_is_interrupted_during_a_long_gap(tmp_path):
    log = CsvLog("laddr,lport,state,snd_cwnd")
    for number in range(20):
        # The snapshot numbers are continuous, so only the time shows the gap.
        log.begin = START + (600 if number >= 9 else 0)
        log.snapshot({**ENDS, "snd_cwnd": 1000 + number})
    before, after = plot(log.write(tmp_path / "x.csv")).curve("snd_cwnd")
    assert before[-1][0] < 1 / 60 and after[0][0] > 599 / 60


def test_the_last_value_remains_valid_in_a_log_of_changes(tmp_path):
    log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd")
    log.snapshot({**ENDS, "snd_cwnd": 1000})
    for _ in range(9):
        log.snapshot(flags=CHANGES_ONLY)
    log.snapshot({**ENDS, "snd_cwnd": 2000}, flags=CHANGES_ONLY)
    for _ in range(4):
        log.snapshot(flags=CHANGES_ONLY)
    # A keyframe.
    log.snapshot({**ENDS, "snd_cwnd": 2000})
    (piece,) = plot(log.write(tmp_path / "x.csv")).curve("snd_cwnd")
    window = [(round(at * 10), round(value, -2)) for at, value in piece]
    assert window == [(at, 1000 if at < 10 else 2000) for at in range(16)]


def test_a_closed_connection_ends_in_a_log_of_changes(tmp_path):
    log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd")
    other = {**ENDS, "lport": 50001, "snd_cwnd": 7}
    log.snapshot({**ENDS, "snd_cwnd": 1000}, other)
    log.snapshot({**ENDS, "snd_cwnd": 1500}, flags=CHANGES_ONLY)
    close = "close time=1764000000.3 snapshot=3 laddr=192.0.2.1 lport={} faddr=198.51.100.7 fport=443 state=ESTABLISHED"
    log.snapshot(flags=CHANGES_ONLY, notes=[close.format(50001)])
    log.snapshot(flags=CHANGES_ONLY, notes=[close.format(50000)])
    log.snapshot(flags=CHANGES_ONLY)
    log.snapshot({**ENDS, "snd_cwnd": 3000}, flags=CHANGES_ONLY)
    assert lengths(plot("-e", "lport 50000", log.write(tmp_path / "x.csv"))) == [3, 1]


def rates(drawn, label):
    """Returns the different values of a curve of throughput, in bytes per second."""
    return {round(value / 8) for piece in drawn.panel("throughput").curves[label] for _, value in piece}


def test_throughput_is_computed_from_sequence_numbers_that_wrap(tmp_path):
    log = CsvLog("laddr,lport,state,snd_cwnd,snd_una,rcv_nxt")
    log.snapshot({**ENDS, "state": "SYN_SENT", "snd_cwnd": 1000, "snd_una": 0, "rcv_nxt": 0})
    for number in range(100):
        una = (2**32 - 50_000 + number * 1000) % 2**32
        log.snapshot({**ENDS, "snd_cwnd": 1000, "snd_una": una, "rcv_nxt": number * 500})
    drawn = plot(log.write(tmp_path / "x.csv"))
    assert all(rate == pytest.approx(10_000, rel=0.02) for rate in rates(drawn, "snd_una"))
    assert all(rate == pytest.approx(5_000, rel=0.02) for rate in rates(drawn, "rcv_nxt"))


def test_there_is_no_throughput_without_a_byte_counter(tmp_path):
    log = CsvLog("laddr,lport,state,inflight,srtt")
    for _ in range(50):
        log.snapshot({**ENDS, "inflight": 50_000, "srtt": 100_000})
    drawn = plot(log.write(tmp_path / "x.csv"))
    assert [panel.title for panel in drawn.panels] == ["in flight", "round-trip time"]
    assert drawn.messages == {
        "throughput": "the log has no byte counter (acked_bytes, sent_bytes, snd_una, received_bytes, rcv_nxt)"
    }
    assert drawn.time_ticks
    assert b"inflight / srtt" not in run("plot", "--html", tmp_path / "x.csv")


@pytest.mark.parametrize("counters", [
    ("acked_bytes", "sent_bytes", "snd_una", "received_bytes", "rcv_nxt"),
    ("sent_bytes", "snd_una", "rcv_nxt"),
    ("snd_una", "received_bytes"),
])
def test_the_preferred_counters_are_used(counters, tmp_path):
    factors = {"acked_bytes": 1000, "sent_bytes": 2000, "snd_una": 3000, "received_bytes": 4000, "rcv_nxt": 5000}
    log = CsvLog(f"laddr,lport,state,snd_cwnd,{','.join(counters)}")
    for number in range(50):
        log.snapshot({**ENDS, "snd_cwnd": 1000, **{name: factors[name] * number for name in counters}})
    drawn = plot(log.write(tmp_path / "x.csv"))
    sent, received = counters[0], [name for name in counters if name.startswith("r")][0]
    assert drawn.panel("throughput").curves.keys() == {sent, received}
    for name in sent, received:
        assert all(rate == pytest.approx(factors[name] * 10, rel=0.02) for rate in rates(drawn, name))


def highest(drawn, label=None):
    curves = drawn.panel("throughput").curves
    return max(value for piece in curves[label or next(iter(curves))] for _, value in piece)


def busy(log, seconds, rate, begin=0, **row):
    """Adds one snapshot per second of a connection; the peer acknowledges `rate` bytes between two of them."""
    for number in range(seconds):
        log.snapshot({**ENDS, "snd_cwnd": 1000, "acked_bytes": begin + number * rate, **row})


def test_the_throughput_of_logs_that_are_far_apart_is_right(tmp_path):
    paths = []
    for hours in 0, 1, 24 * 30:
        log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd,acked_bytes", interval=1)
        log.begin += hours * 3600
        busy(log, 10, 1000, begin=hours * 10**9)
        paths.append(log.write(tmp_path / f"{hours}.csv"))
    drawn = plot(*paths)
    pieces = drawn.panel("throughput").curves["acked_bytes"]
    assert len(pieces) == 3
    assert all(rate == pytest.approx(1000, rel=0.02) for rate in rates(drawn, "acked_bytes"))


def test_the_rate_of_a_short_transfer_in_a_long_log_is_right(tmp_path):
    log = CsvLog("gencnt,laddr,lport,faddr,fport,state,snd_cwnd,acked_bytes", interval=1)
    for number in range(7200):
        rows = [{**ENDS, "gencnt": 1, "snd_cwnd": 1000, "acked_bytes": number * 1000}]
        if 3600 <= number < 3630:
            rows.append({**ENDS, "gencnt": 2, "lport": 50001, "snd_cwnd": 1000, "acked_bytes": (number - 3600) * 10**7})
        log.snapshot(*rows)
    path = log.write(tmp_path / "x.csv")
    drawn = plot("-n", 2, path)
    assert drawn.panel("throughput").unit == "Mbit/s"
    assert sorted(round(highest(drawn, label), -2) for label in drawn.panels[0].curves) == [
        pytest.approx(8000, abs=100_000), pytest.approx(80e6, rel=0.02),
    ]


def test_a_burst_in_an_idle_connection_is_visible(tmp_path):
    log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd,acked_bytes", interval=1)
    busy(log, 15_000, 0)
    busy(log, 10, 10**6)
    busy(log, 15_000, 0, begin=9 * 10**6)
    drawn = plot(log.write(tmp_path / "x.csv"))
    assert highest(drawn) == pytest.approx(8e6, rel=0.02)
    ((piece),) = drawn.panel("throughput").curves["acked_bytes"]
    # A step has two points.
    assert len(piece) <= 2 * 4 * 960


def test_gaps_do_not_affect_rates(tmp_path):
    log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd,acked_bytes", interval=1)
    begin = 0
    for _ in range(5):
        busy(log, 3, 1000, begin)
        # Snapshots without the connection.
        for _ in range(50):
            log.snapshot()
        begin += 10**6
    drawn = plot(log.write(tmp_path / "x.csv"))
    pieces = drawn.panel("throughput").curves["acked_bytes"]
    assert len(pieces) == 5
    assert all(rate == pytest.approx(1000, rel=0.02) for rate in rates(drawn, "acked_bytes"))
    time_of = [drawn_seconds(drawn, piece[-1][0] - piece[0][0]) for piece in pieces]
    assert time_of == [pytest.approx(2, abs=0.2)] * 5


def test_logs_with_different_intervals_have_uninterrupted_lines(tmp_path):
    paths = []
    for number, interval in enumerate((0.05, 60)):
        log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd,acked_bytes", interval=interval)
        log.begin += number * 100
        busy(log, 100, round(1000 * interval), begin=number * 10**6)
        paths.append(log.write(tmp_path / f"{number}.csv"))
    drawn = plot(*paths)
    assert len(drawn.curve("snd_cwnd")) == 2
    assert all(rate == pytest.approx(1000, rel=0.05) for rate in rates(drawn, "acked_bytes"))


def test_at_most_eight_connections_are_plotted(tmp_path):
    log = CsvLog("laddr,lport,state,snd_cwnd,acked_bytes")
    for number in range(1, 21):
        log.snapshot(*({**ENDS, "lport": 100 + i, "snd_cwnd": i, "acked_bytes": i * number} for i in range(1, 31)))
    drawn = plot("-n", 8, log.write(tmp_path / "x.csv"))
    assert [label for label in drawn.panels[0].curves][::-1] == [f"192.0.2.1:{100 + i} → ?" for i in range(30, 22, -1)]
    assert "the 8 connections that sent the most data, of 30" in drawn.texts
    assert start("plot", "-n", 9, tmp_path / "x.csv").returncode != 0


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    """A log of 300,000 records, and the minimum and maximum in each hundredth of its time."""
    path = tmp_path_factory.mktemp("long") / "x.csv"
    bounds = {}
    with path.open("w") as log:
        log.write("time,snapshot,laddr,lport,state,snd_cwnd\n")
        for number in range(300_000):
            window = 10_000 + number * 7919 % 5003 + (40_000 if number % 50_021 == 9 else 0)
            bounds.setdefault(number // 3000, []).append(window)
            log.write(f"{START + number / 100:.9f},{number + 1},192.0.2.1,50000,ESTABLISHED,{window}\n")
    return path, {part: (min(windows), max(windows)) for part, windows in bounds.items()}


def test_a_small_plot_of_a_long_log_has_every_peak(long_log):
    path, bounds = long_log
    drawn = plot("--size", "800x300", path)
    (piece,) = drawn.curve("snd_cwnd")
    assert len(piece) <= 4 * 800
    highest = max(high for _, high in bounds.values())
    for part, (low, high) in bounds.items():
        inside = [value for at, value in piece if part * 30 <= drawn_seconds(drawn, at) < (part + 1) * 30]
        assert min(inside) == pytest.approx(low, abs=highest * 0.01)
        assert max(inside) == pytest.approx(high, abs=highest * 0.01)


def drawn_seconds(drawn, at):
    """Converts a time of the axis to seconds."""
    (unit,) = {re.search(r"\((\w+)\)", text.text)[1] for text in drawn.root.iter(SVG + "text") if "since" in text.text}
    return at * {"s": 1, "min": 60, "h": 3600}[unit]


def test_memory_does_not_depend_on_the_length_of_the_log(long_log, tmp_path):
    def memory(path):
        process = subprocess.Popen([TCPSTATS, "plot", "-f", "-o", tmp_path / "x.svg", path])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss

    assert memory(long_log[0]) < memory(windows(tmp_path, [1000] * 10)) + 4096


def test_a_png_has_twice_the_size(transfer, tmp_path):
    path = tmp_path / "x.png"
    run("plot", "-o", path, transfer)
    image = Image.open(path).convert("RGB")
    assert image.size == (1920, 1800)
    drawn = plot(transfer)
    panel = drawn.panel("congestion window")
    color = tuple(bytes.fromhex(panel.styles["snd_cwnd"][0][1:]))
    pixels = [(round(x * 2), round(y * 2)) for piece in panel.positions["snd_cwnd"] for x, y in piece]
    hits = [any(is_like(image.getpixel(pixel), color) for pixel in around(*position)) for position in pixels]
    assert sum(hits) > 0.98 * len(hits)


def around(x, y):
    return itertools.product((x - 1, x, x + 1), (y - 1, y, y + 1))


def is_like(one, other):
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) < 60


def test_a_png_has_text_without_installed_fonts(transfer, tmp_path):
    path = tmp_path / "x.png"
    environment = {"HOME": str(tmp_path), "FONTCONFIG_FILE": "/dev/null", "PATH": ""}
    run("plot", "-o", path, transfer, env=environment)
    title = Image.open(path).convert("L").crop((124, 20, 900, 60))
    assert sum(title.histogram()[:100]) > 500


def test_the_size_can_be_set(transfer):
    root = plot("--size", "500x400", transfer).root
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("500", "400", "0 0 500 400")


@pytest.mark.parametrize("columns", ["snd_cwnd", "srtt,acked_bytes", "snd_cwnd,rexmit_packs"])
def test_all_text_is_within_the_image(columns, tmp_path):
    log = CsvLog(f"laddr,lport,faddr,fport,state,{columns}")
    for number in range(50):
        log.snapshot({**ENDS, **{name: 1000 + number for name in columns.split(",")}})
    root = plot("--size", "500x400", log.write(tmp_path / "x.csv")).root
    positions = [float(text.get("y")) for text in root.iter(SVG + "text")]
    assert max(positions) <= 400 and len(set(positions)) > 5
    notes = [text for text in root.findall(SVG + "text") if text.text.startswith("not in the log")]
    assert notes


def test_text_from_the_log_is_escaped(tmp_path):
    log = CsvLog("laddr,lport,cc,snd_cwnd")
    for _ in range(5):
        log.snapshot({**ENDS, "cc": "<b>&</script>", "snd_cwnd": 1000})
    path = log.write(tmp_path / "x.csv")
    assert plot(path).texts[1].endswith("5 records · <b>&</script>")
    assert b"&</script>" not in run("plot", "--html", path)


REFUSED = {
    "an unknown suffix": (["-o", "x.pdf"], "-o x.pdf: expected a name that ends in .svg, .png or .html"),
    "an invalid filter": (["-e", "port"], "filter: expected a number"),
    "a path that cannot be written": (["-o", "/nonexistent/x.svg"], "/nonexistent/x.svg: No such file or directory"),
    "a filter that nothing matches": (["-e", "lport 9"], "x.csv: nothing to draw: no connection matches the filter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_one_line(case, tmp_path):
    windows(tmp_path, [1000] * 5)
    arguments, message = REFUSED[case]
    assert message in refuse("plot", *arguments, "x.csv", cwd=tmp_path)


def test_a_log_with_nothing_to_plot_is_an_error(tmp_path):
    path = windows(tmp_path, [])
    assert refuse("plot", path) == f"{path}: nothing to draw: no records"
    path = windows(tmp_path, [1000])
    assert refuse("plot", path) == f"{path}: nothing to draw: no connection has two records, or a final record with a duration"
    log = CsvLog("laddr,lport,state,snd_cwnd")
    log.snapshot({**ENDS, "state": "LISTEN", "snd_cwnd": 10})
    log.write(path)
    assert refuse("plot", path) == f"{path}: nothing to draw: no record has a window or a round-trip time"
    assert refuse("plot", tmp_path / "none") == f"{tmp_path / 'none'}: No such file or directory"
    assert refuse("plot", "-", input=b"") == "standard input: nothing to draw: no records"


def test_errors_name_standard_input_and_not_its_copy(tmp_path):
    path = windows(tmp_path, [1000] * 5)
    for arguments in ["-"], ["-", path], [path, "-"]:
        assert refuse("plot", *arguments, input=b"garbage").startswith("standard input: not a tcpstats log ")


def test_the_intact_part_of_a_damaged_log_is_plotted(transfer, rows, tmp_path):
    path = tmp_path / "x.bin"
    data = transfer.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    done = start("plot", path)
    assert re.fullmatch(rf"{path}: at byte \d+: .*", message_of(done))
    window = Plot(done.stdout).curve("snd_cwnd")
    expected = values(rows, "snd_cwnd")[: len(window)]
    same(window, [*expected[:-1], expected[-1][: len(window[-1])]])
    assert sum(map(len, window)) > 100


def test_a_plot_that_cannot_be_written_is_an_error(transfer):
    with open("/dev/full", "w") as full:
        done = subprocess.run([TCPSTATS, "plot", transfer], stdout=full, stderr=subprocess.PIPE, timeout=20)
    assert message_of(done) == "standard output: No space left on device"
