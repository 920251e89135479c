# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The queries in examples/."""

import json
import os
import shutil
import subprocess

import duckdb
import handmade
import logger
import pytest
from chdb.session import Session
from logs import frames, real  # noqa: F401
from viewer import TCPSTATS

EXAMPLES = logger.ROOT / "examples"


def collect(*arguments):
    line = ["sh", EXAMPLES / "collect.sh", *arguments]
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ, "TCPSTATS": os.path.abspath(TCPSTATS)})


@pytest.fixture
def fleet(real, tmp_path, monkeypatch):  # noqa: F811
    """The logs of two hosts in the directory that the queries read."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(real / "all.bin", tmp_path / "tcpstats.log")
    for arguments in ("web1", "tcpstats.log"), ("web2", real / "all.csv", real / "all.csv"), ("web1", "tcpstats.log"):
        done = collect(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (tmp_path / "tcpstats.log").unlink()
    return tmp_path


def statements(name):
    text = (EXAMPLES / name).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [part for part in "\n".join(lines).split(";\n") if part.strip()]


def duckdb_results():
    """Returns the results of the queries as dictionaries."""
    database = duckdb.connect()
    found = []
    for statement in statements("duckdb.sql"):
        result = database.sql(statement.rstrip(";"))
        if result is not None:
            found.append([dict(zip(result.columns, row, strict=True)) for row in result.fetchall()])
    return database, found


def test_the_duckdb_queries_return_the_contents_of_the_logs(fleet, real):  # noqa: F811
    database, (worst, per_minute, talkers, _) = duckdb_results()
    ended = [line for line in (real / "all.json").read_text().splitlines() if '"state":"ENDED"' in line]
    assert sum(row["connections"] for row in talkers if row["host"] == "web1") == len(ended) > 0
    assert len(worst) == 10 and worst[0]["rexmit_bytes"] > 0
    assert {row["host"] for row in worst[:4]} == {"web1", "web2"}
    assert {row["network"] for row in per_minute} == {"10.71.0.0/24", "fd71:0:0::/48"}
    (records,) = database.sql("select count(*) from records where host = 'web1'").fetchone()
    assert records == sum(line[:1].isdigit() for line in (real / "all.csv").read_text().splitlines())
    for address, network in {
        "2001:db8::1": "2001:db8:0::/48",
        "::1": "0:0:0::/48",
        "2001:db8:1:2:3:4:5:6": "2001:db8:1::/48",
        "1:2:3:4:5:6::": "1:2:3::/48",
        "192.0.2.77": "192.0.2.0/24",
    }.items():
        assert database.sql(f"select network('{address}')").fetchone() == (network,)


def test_the_clickhouse_rollup_agrees_with_duckdb(fleet):
    database, (_, expected, *_) = duckdb_results()
    with Session(str(fleet / "clickhouse")) as session:
        session.query("SET output_format_json_quote_64bit_integers = 0")
        for statement in statements("clickhouse.sql"):
            result = session.query(statement.rstrip(";"), "JSONEachRow")
        found = [json.loads(line) for line in str(result).splitlines()]
        (count,) = str(session.query("select count() from tcpstats.records", "TabSeparated")).split()
        assert int(count) > 1000
    assert len(found) == len(expected) > 1
    networks = {"::ffff:10.71.0.0": "10.71.0.0/24", "fd71::": "fd71:0:0::/48"}
    by_key = {(row["host"], row["minute"].strftime("%Y-%m-%d %H:%M:%S"), row["network"]): row for row in expected}
    for row in found:
        other = by_key[row["host"], row["minute"], networks[row["network"]]]
        assert row["acked_bytes"] == other["acked_bytes"]
        assert (row["connections"], row["rexmit_bytes"]) == (other["connections"], other["rexmit_bytes"])
        # The quantiles of a sketch are approximate.
        around = database.sql(
            f"select quantile_disc(srtt, [0.4, 0.6, 0.9, 1.0]) from changes where host = '{row['host']}' "
            f"and strftime(minute, '%Y-%m-%d %H:%M:%S') = '{row['minute']}' and network(faddr) = '{other['network']}'"
        )
        (low, high, low_p95, high_p95) = around.fetchone()[0]
        median, p95 = row["srtt_us"]
        assert low <= median <= high and low_p95 <= p95 <= high_p95


def spark_results(spark):
    found = []
    for statement in statements("spark.sql"):
        result = spark.sql(statement.rstrip(";"))
        if result.columns:
            found.append([row.asDict() for row in result.collect()])
    return found


def test_the_spark_queries_agree_with_duckdb(fleet, spark, monkeypatch):
    # The session keeps the directory in which it was started.
    monkeypatch.setattr(f"{__name__}.statements", lambda name, all=statements: [
        part.replace("path 'fleet'", f"path '{fleet}/fleet'") for part in all(name)
    ])
    database, (worst, *_) = duckdb_results()
    found, per_minute = spark_results(spark)
    names = ["host", "laddr", "lport", "faddr", "fport", "cc", "acked_bytes", "rexmit_bytes", "srtt_median_us"]
    assert [[row[name] for name in names] for row in found] == [[row[name] for name in names] for row in worst]
    expected = database.sql(
        "select host, count(distinct connection), sum(acked), sum(rexmit) from changes group by host, minute order by all"
    ).fetchall()
    names = ["host", "connections", "acked_bytes", "rexmit_bytes"]
    # A host has two rows if its log spans the end of a minute.
    assert sorted(tuple(row[name] for name in names) for row in per_minute) == sorted(expected)


FIELDS = "vnet,gencnt,laddr,lport,faddr,fport,state,cc,srtt,acked_bytes,rexmit_bytes"


class Log(handmade.CsvLog):
    """A log of a connection with certain numbers of acknowledged bytes, as written by the logger."""

    def __init__(self, begin, number=0):
        super().__init__(FIELDS, interval=1)
        self.begin, self.number = begin - number, number
        self.lines.insert(0, f'# log version="2.0.0" time={begin}.000000000 host="web1" system="Linux" columns="{FIELDS}"')

    def acked(self, *totals, **changes):
        for total in totals:
            row = {**handmade.ENDS, "vnet": 1, "gencnt": 7, "cc": "cubic", "srtt": 20000, "rexmit_bytes": 0}
            self.snapshot({**row, "acked_bytes": total, **changes})
        return self


@pytest.fixture
def collected(tmp_path, monkeypatch):
    """Collects logs of one host; returns the acknowledged bytes of each connection, on which the databases agree."""
    monkeypatch.chdir(tmp_path)

    def collected(*logs):
        for number, log in enumerate(logs):
            log.write(tmp_path / f"{number}.csv")
        done = collect("web1", *(f"{number}.csv" for number in range(len(logs))))
        assert (done.returncode, done.stderr) == (0, "")
        _, (worst, per_minute, *_) = duckdb_results()
        with Session(str(tmp_path / f"clickhouse{len(logs)}")) as session:
            for statement in statements("clickhouse.sql"):
                session.query(statement.rstrip(";"))
            query = "select sum(acked) from tcpstats.records group by run, connection order by 1"
            acked = [int(line) for line in str(session.query(query, "TabSeparated")).split()]
        assert sum(row["acked_bytes"] or 0 for row in per_minute) == sum(acked)
        found = sorted(row["acked_bytes"] or 0 for row in worst)
        assert found == acked
        return found

    return collected


BEGIN = handmade.START


def test_a_connection_after_a_reboot_with_the_same_numbers_is_a_different_one(collected):
    assert collected(Log(BEGIN).acked(1000, 2_000_000), Log(BEGIN + 3600).acked(5000, 55_000)) == [50_000, 1_999_000]


def test_a_connection_after_a_reboot_with_higher_counters_is_a_different_one(collected):
    assert collected(Log(BEGIN).acked(1000, 3000), Log(BEGIN + 3600).acked(9_000_000, 9_000_500)) == [500, 2000]


def test_a_connection_in_another_network_stack_is_a_different_one(collected):
    log = Log(BEGIN)
    for number in range(4):
        rows = ({**handmade.ENDS, "vnet": vnet, "gencnt": 7, "acked_bytes": vnet * number} for vnet in (1, 100))
        log.snapshot(*rows)
    assert collected(log) == [3, 300]


def test_a_connection_in_the_next_file_of_a_rotated_log_is_the_same_one(collected):
    assert collected(Log(BEGIN).acked(0, 1000), Log(BEGIN + 2, number=2).acked(1500, 4000)) == [4000]


def test_two_runs_in_one_file_are_two_runs(collected):
    (one, other) = Log(BEGIN).acked(0, 1000), Log(BEGIN + 60).acked(700, 900)
    one.lines += other.lines
    assert collected(one) == [200, 1000]


def test_a_connection_after_a_reboot_is_a_different_one_in_logs_without_notes(collected):
    logs = Log(BEGIN).acked(1000, 3000), Log(BEGIN + 3600).acked(9_000_000, 9_000_500)
    for log in logs:
        log.lines = [line for line in log.lines if not line.startswith("#")]
    assert collected(*logs) == [500, 2000]
    (one, other) = Log(BEGIN + 7200).acked(0, 10), Log(BEGIN + 9000).acked(0, 40)
    one.lines = [line for line in one.lines + other.lines if not line.startswith("#")]
    assert collected(one, *logs) == [10, 40, 500, 2000]


def test_totals_are_right_if_the_clock_is_set_back(collected):
    log = Log(BEGIN).acked(0, 1000, 2000)
    log.begin -= 3600
    assert collected(log.acked(3000, 4000)) == [4000]


def on_a_disk(script, folder, **environment):
    """Runs a script with a small file system mounted at `small`."""
    mount = "mount --make-rprivate / && mount -t tmpfs -o size=128k none small && cd small"
    line = ["unshare", "-m", "sh", "-c", f"{mount} && {script}"]
    environment = {**os.environ, "TCPSTATS": os.path.abspath(TCPSTATS), "COLLECT": str(EXAMPLES / "collect.sh"), **environment}
    (folder / "small").mkdir()
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, env=environment)


def test_a_log_that_does_not_fit_on_a_full_disk_is_collected_later(tmp_path):
    log = Log(BEGIN)
    for number in range(20_000):
        log.acked(number * 7919 ** 3 % 10**15, srtt=number**5 % 10**9)
    log.write(tmp_path / "log.csv")
    done = on_a_disk(
        'sh "$COLLECT" web1 ../log.csv; echo "exit $?"; ls -A fleet/host=web1; echo then; '
        'mount -o remount,size=48m . && sh "$COLLECT" web1 ../log.csv; echo "exit $?"; ls -A fleet/host=web1; '
        'cp fleet/host=web1/*.parquet ..',
        tmp_path,
    )
    assert done.stdout == f"exit 1\nthen\nexit 0\n{BEGIN}.000000000.parquet\n"
    assert "No space left on device" in done.stderr
    (out,) = tmp_path.glob("*.parquet")
    assert duckdb.sql(f"select count(*) from '{out}'").fetchone() == (20_000,)


def test_incomplete_files_of_an_earlier_run_are_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Log(BEGIN).acked(0, 1000).write(tmp_path / "log.csv")
    folder = tmp_path / "fleet/host=web1"
    folder.mkdir(parents=True)
    for path in folder / f"{BEGIN}.000000000.parquet", folder / f".{BEGIN}.000000000.parquet.part":
        path.write_bytes(b"PAR1 and no end")
    assert collect("web1", "log.csv").returncode == 0
    (out,) = folder.iterdir()
    assert duckdb.sql(f"select count(*) from '{out}'").fetchone() == (2,)


def test_only_a_log_that_has_grown_is_collected_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = Log(BEGIN).acked(0, 1000)
    assert collect("web1", log.write(tmp_path / "log.csv")).returncode == 0
    (out,) = (tmp_path / "fleet/host=web1").iterdir()
    before = out.stat().st_ino
    assert collect("web1", "log.csv").returncode == 0 and out.stat().st_ino == before
    log.acked(2000).write(tmp_path / "log.csv")
    os.utime("log.csv", (BEGIN + 2_000_000_000, BEGIN + 2_000_000_000))
    assert collect("web1", "log.csv").returncode == 0
    assert duckdb.sql(f"select count(*) from '{out}'").fetchone() == (3,)


def test_a_missing_or_empty_log_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").write_bytes(b"")
    Log(BEGIN).acked(0).write(tmp_path / "log.csv")
    done = collect("web1", "none.csv", "empty.csv", "log.csv")
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["none.csv", "empty.csv"]
    assert len(list((tmp_path / "fleet/host=web1").iterdir())) == 1


def test_gaps_are_found_in_the_metadata(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = Log(BEGIN).acked(0, 1000)
    log.lines.append('# gap first=3 last=9 snapshots=7 records=70 why="No space left on device"')
    log.number = 9
    collect("web1", log.acked(9000).write(tmp_path / "log.csv"))
    _, (*_, missing) = duckdb_results()
    assert [row["note"] for row in missing] == ['2 gap first=3 last=9 snapshots=7 records=70 why="No space left on device"']


def test_a_damaged_log_is_reported_and_the_others_are_collected(fleet, real, tmp_path):  # noqa: F811
    data = (real / "basic.csv").read_bytes()
    (tmp_path / "cut.csv").write_bytes(data[: len(data) // 2])
    done = collect("web3", "cut.csv", real / "all.json")
    assert done.returncode == 1 and done.stderr.startswith("tcpstats: cut.csv: line ")
    assert len(list((tmp_path / "fleet/host=web3").glob("*.parquet"))) == 2
