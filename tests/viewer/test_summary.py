# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""tcpstats summary, compared with DuckDB."""

import csv
import io
import json

import duckdb
import pytest
from logs import frames, real  # noqa: F401
from synthetic import FLOW, START, write
from viewer import refuse, run, start

# The rules of the summary in SQL: a record is valid until the next one of its connection.
QUERY = """
with records as (
    select *, time::decimal(20, 9)::double as t from read_csv('{log}', comment='#', header=true, all_varchar=true)
    where state not in ('LISTEN', 'CLOSED', 'TIME_WAIT') and {where}
), numbers as (
    select gencnt::ubigint as gencnt, laddr, lport::int as lport, faddr, fport::int as fport, t,
        srtt::double as srtt, acked_bytes::bigint as acked, sent_bytes::bigint as sent,
        received_bytes::bigint as received, rexmit_bytes::bigint as rexmit, rexmit_packs::bigint as packs,
        snd_cwnd::bigint as cwnd, snd_ssthresh::bigint as ssthresh, snd_wnd::bigint as wnd, maxseg::bigint as mss,
        inflight::bigint as inflight, snd_cc::bigint as buffered,
        rwnd_limited::bigint as rwnd, sndbuf_limited::bigint as sndbuf,
        coalesce(lead(t) over (partition by gencnt order by t), t) - t as valid_s
    from records
)
select any_value(gencnt) as gencnt, any_value(laddr) as laddr, any_value(lport) as lport,
    max(t) - min(t) as duration_s,
    max(acked) - min(acked) as sent_bytes, max(received) - min(received) as received_bytes,
    (max(acked) - min(acked)) / nullif(max(t) - min(t), 0) as send_mean_bytes_per_s,
    max(rexmit) - min(rexmit) as rexmit_bytes, max(packs) - min(packs) as rexmit_packs,
    (max(rexmit) - min(rexmit)) / nullif(max(rexmit) - min(rexmit) + max(sent) - min(sent), 0) as rexmit_rate,
    min(srtt) as srtt_min_us, {neighbours:0.5} as srtt_median_us, {neighbours:0.95} as srtt_p95_us,
    max(srtt) as srtt_max_us,
    sum(valid_s) filter (cwnd < ssthresh and (inflight > 0 or buffered > 0)) as slow_start_s,
    sum(valid_s) filter (inflight + mss > cwnd and buffered > inflight and cwnd <= wnd) as cwnd_limited_s,
    (max(rwnd) - min(rwnd)) / 1e6 as receiver_limited_s, (max(sndbuf) - min(sndbuf)) / 1e6 as buffer_limited_s
from numbers group by {by}
"""


class Neighbours:
    """Formats SQL for the two round-trip times around a quantile."""

    def __format__(self, share):
        times = "list(srtt order by srtt) filter (srtt is not null)"
        first = f"1 + floor({share} * (count(srtt) - 1))::int"
        return f"({times})[{first} : {first} + 1]"


def expected(log, by="gencnt", where="true"):
    table = duckdb.sql(QUERY.format(log=log, by=by, where=where, neighbours=Neighbours()))
    return [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]


def rows(*arguments, **options):
    return [json.loads(line) for line in run("summary", "--json", *arguments, **options).splitlines()]


def assert_same(ours, theirs):
    """Compares a row; quantiles come from a sketch that is accurate to within 1 %."""
    for name, value in theirs.items():
        if isinstance(value, list):
            assert value[0] * 0.989 <= ours[name] <= value[-1] * 1.011 if value else name not in ours, name
        elif value is None and name.endswith("_limited_s") or value is None and name == "slow_start_s":
            assert ours.get(name, 0) == 0, name
        elif value is None:
            assert name not in ours
        elif isinstance(value, float):
            assert ours[name] == pytest.approx(value, rel=0.011, abs=2e-6 if name.endswith("_s") else 0.6), name
        else:
            assert ours[name] == value, name


def test_the_values_of_each_connection_agree_with_duckdb(real):  # noqa: F811
    ours = {row["gencnt"]: row for row in rows(real / "all.csv")}
    theirs = {row["gencnt"]: row for row in expected(real / "all.csv")}
    assert ours.keys() == theirs.keys() and len(ours) == 5
    for gencnt in ours:
        assert_same(ours[gencnt], theirs[gencnt])
    busy = max(ours.values(), key=lambda row: row["sent_bytes"])
    assert busy["rexmit_bytes"] > 0 and 0 < busy["rexmit_rate"] < 1 and busy["cwnd_limited_s"] > 0.5
    assert busy["send_mean_bytes_per_s"] * 0.8 < busy["send_max_bytes_per_s"] < 1.5e6


def test_every_format_has_the_same_summary(real, tmp_path):  # noqa: F811
    parquet = tmp_path / "all.parquet"
    run("convert", real / "all.csv", parquet)
    complete = run("summary", real / "all.csv")
    for log in real / "all.json", real / "all.bin", parquet:
        assert run("summary", log) == complete
    assert run("summary", "-", input=(real / "all.json").read_bytes()) == complete
    basic = {row["gencnt"]: row for row in rows(real / "basic.csv")}
    for row in rows(real / "all.csv"):
        for name in "srtt_median_us", "slow_start_s", "sent_bytes", "received_bytes", "send_max_bytes_per_s":
            assert basic[row["gencnt"]][name] == row[name], "the basic columns are sufficient"


def test_a_log_of_changes_only_has_the_same_summary(real):  # noqa: F811
    complete = {row["gencnt"]: row for row in rows(real / "all.csv")}
    for log in "changes.csv", "changes.bin":
        changes = {row["gencnt"]: row for row in rows(real / log)}
        assert changes.keys() == complete.keys()
        for gencnt, row in complete.items():
            for name, value in row.items():
                # Times are accurate to the interval of snapshots.
                if name in ("first", "last", "duration_s") or name.endswith("limited_s") or name == "slow_start_s":
                    assert changes[gencnt][name] == pytest.approx(value, abs=0.06), (name, gencnt)
                elif "per_s" in name:
                    assert changes[gencnt][name] == pytest.approx(value, rel=0.05, abs=1), name
                else:
                    assert changes[gencnt][name] == value, name


def test_a_filter_agrees_with_duckdb(real):  # noqa: F811
    ours = rows(real / "all.csv", "-e", "srtt > 20ms and ip")
    theirs = expected(real / "all.csv", where="srtt::double > 20000 and laddr not like '%:%'")
    assert len(ours) == len(theirs) > 0
    for row in ours:
        (other,) = [other for other in theirs if other["gencnt"] == row["gencnt"]]
        assert_same({name: row[name] for name in ("srtt_min_us", "srtt_p95_us", "sent_bytes")},
                    {name: other[name] for name in ("srtt_min_us", "srtt_p95_us", "sent_bytes")})


def test_prefixes_and_ports_have_the_totals_of_their_connections(real):  # noqa: F811
    connections = rows(real / "all.csv")
    prefixes = {row["prefix"]: row for row in rows(real / "all.csv", "--by", "prefix")}
    assert set(prefixes) == {"10.71.0.0/24", "fd71::/48"}
    four = [row for row in connections if "." in row["faddr"]]
    sums = prefixes["10.71.0.0/24"]
    assert sums["connections"] == len(four)
    for name in "sent_bytes", "received_bytes", "rexmit_bytes", "rexmit_packs":
        assert sums[name] == sum(row[name] for row in four)
    assert sums["duration_s"] == pytest.approx(sum(row["duration_s"] for row in four))
    assert sums["srtt_max_us"] == max(row["srtt_max_us"] for row in four if "srtt_max_us" in row)
    assert sums["send_max_bytes_per_s"] == max(row["send_max_bytes_per_s"] for row in four)
    (median,) = duckdb.sql(
        f"select quantile_disc(srtt, 0.5) from read_csv('{real / 'all.csv'}', comment='#') "
        "where faddr like '10.71%' and state not in ('LISTEN', 'CLOSED', 'TIME_WAIT')"
    ).fetchone()
    assert sums["srtt_median_us"] == pytest.approx(median, rel=0.011)
    narrow = {row["prefix"] for row in rows(real / "all.csv", "--by", "prefix", "--prefix4", 32, "--prefix6", 0)}
    assert narrow == {"10.71.0.2/32", "::/0"}
    ports = {row["port"]: row["connections"] for row in rows(real / "all.csv", "--by", "port")}
    services = {min(row["lport"], row["fport"]) for row in connections}
    assert ports == {
        port: sum(min(row["lport"], row["fport"]) == port for row in connections) for port in services
    }


def test_the_worst_connections_are_first(real):  # noqa: F811
    for measure, name in ("rexmit-bytes", "rexmit_bytes"), ("srtt-p95", "srtt_p95_us"), ("sent", "sent_bytes"):
        found = [row.get(name, -1) for row in rows(real / "all.csv", "--worst", measure)]
        assert found == sorted(found, reverse=True) and found[0] > 0
        assert [row.get(name, -1) for row in rows(real / "all.csv", "--worst", measure, "-n", 3)] == found[:3]


def test_table_csv_and_json_agree(real):  # noqa: F811
    objects = rows(real / "all.csv")
    table = list(csv.DictReader(io.StringIO(run("summary", "--csv", real / "all.csv").decode())))
    assert len(table) == len(objects)
    for cells, row in zip(table, objects, strict=True):
        assert {name: cell for name, cell in cells.items() if cell} == {
            name: cells[name] for name in row
        }
        assert all(float(cells[name]) == value for name, value in row.items() if not isinstance(value, str))
    text = run("summary", real / "all.csv").decode()
    head, _, titles, first, *_ = text.splitlines()
    assert head.startswith(f"{len(objects)} connections, ")
    assert first.startswith(f"{objects[0]['laddr']}:{objects[0]['lport']} ")
    assert len(titles) <= 200 and "SRTTMIN" in titles


def test_rotated_logs_are_summarized_as_one(real, tmp_path):  # noqa: F811
    lines = (real / "all.csv").read_text().splitlines(keepends=True)
    middle = next(i for i, line in enumerate(lines) if line.startswith("# snapshot snapshot=50 ")) + 1
    one, two = tmp_path / "log.1", tmp_path / "log"
    one.write_text("".join([*lines[:middle], "# rotated time=1.000000000 snapshots=50\n"]))
    two.write_text("".join([*lines[:2], *lines[middle:]]))
    assert run("summary", "--json", one, two) == run("summary", "--json", real / "all.csv")


def test_the_part_before_damage_is_summarized(real, tmp_path):  # noqa: F811
    data = (real / "all.csv").read_bytes()
    cut, complete = tmp_path / "cut.csv", tmp_path / "complete.csv"
    end = data.index(b"\n", len(data) // 2) + 1
    cut.write_bytes(data[: end + 20])
    complete.write_bytes(data[:end])
    done = start("summary", "--json", cut)
    assert done.returncode == 1
    line = data[:end].count(b"\n") + 1
    assert done.stderr.decode() == f"tcpstats: {cut}: line {line}: the line is truncated; expected a line break\n"
    assert done.stdout == run("summary", "--json", complete)


def test_an_invalid_filter_and_an_unknown_measure_are_refused(real):  # noqa: F811
    assert refuse("summary", "-e", "rtt > 1", real / "all.csv").endswith("\n  rtt > 1\n  ^")
    done = start("summary", "--worst", "rtt", real / "all.csv")
    assert done.returncode != 0 and b"srtt-p95" in done.stderr


def counted(folder, monkeypatch, count, counters):
    """Returns the row of a log with only these byte counters, functions of the number of the snapshot."""
    for name in "acked_bytes", "received_bytes":
        monkeypatch.delitem(FLOW, name)
    for name in counters:
        monkeypatch.setitem(FLOW, name, "")
    values = [{name: value(i) for name, value in counters.items()} for i in range(count)]
    log = write(folder / "counted.csv", [(START + i, [row]) for i, row in enumerate(values)])
    return json.loads(run("summary", "--json", log))


SEND = ("sent_bytes", "send_mean_bytes_per_s", "send_max_bytes_per_s")
RECEIVE = ("received_bytes", "receive_mean_bytes_per_s", "receive_max_bytes_per_s")


def test_received_bytes_on_freebsd_are_computed_from_the_sequence_number(tmp_path, monkeypatch):
    """FreeBSD has no received_bytes, so rcv_nxt is used, which wraps several times."""
    step = 900_000_000
    row = counted(tmp_path, monkeypatch, 11, {
        "acked_bytes": lambda i: 1000 * i,
        "received_bytes": lambda i: "",
        "rcv_nxt": lambda i: (2**32 - 5 + step * i) % 2**32,
    })  # fmt: skip
    assert [row[name] for name in RECEIVE] == [10 * step, step, step] and row["received_bytes"] > 2**33
    assert [row[name] for name in SEND] == [10_000, 1000, 1000]


def test_sequence_numbers_are_used_without_totals(tmp_path, monkeypatch):
    row = counted(tmp_path, monkeypatch, 5, {
        "snd_una": lambda i: (2**32 - 100 + 50 * i) % 2**32,
        "rcv_nxt": lambda i: 7000 if i < 3 else 7000 + 400 * (i - 2),
    })  # fmt: skip
    assert [row[name] for name in SEND] == [200, 50, 50]
    assert [row[name] for name in RECEIVE] == [800, 200, 400]


def test_the_preferred_counter_is_the_same_as_in_plot_and_top(tmp_path, monkeypatch):
    row = counted(tmp_path, monkeypatch, 5, {
        "received_bytes": lambda i: 10 * i,
        "rcv_nxt": lambda i: 999 * i,
        "sent_bytes": lambda i: 20 * i,
        "snd_una": lambda i: 888 * i,
    })  # fmt: skip
    assert (row["sent_bytes"], row["received_bytes"]) == (80, 40)


def test_sequence_numbers_do_not_count_before_a_connection_is_established(tmp_path, monkeypatch):
    row = counted(tmp_path, monkeypatch, 5, {
        "state": lambda i: "ESTABLISHED" if i else "SYN_SENT",
        "rcv_nxt": lambda i: 3_000_000_000 + 100 * i if i else 0,
    })  # fmt: skip
    assert row["received_bytes"] == 300 and "sent_bytes" not in row


def test_a_log_without_byte_counters_has_no_bytes(tmp_path, monkeypatch):
    row = counted(tmp_path, monkeypatch, 5, {})
    assert not row.keys() & {*SEND, *RECEIVE}
