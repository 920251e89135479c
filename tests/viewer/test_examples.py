# SPDX-License-Identifier: BSD-2-Clause
"""The queries of examples/, run as they are."""

import json
import os
import shutil
import subprocess

import duckdb
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
    """The logs of two hosts, where the queries look for them."""
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
    """What each query of the example gives, as dictionaries."""
    database = duckdb.connect()
    found = []
    for statement in statements("duckdb.sql"):
        result = database.sql(statement.rstrip(";"))
        if result is not None:
            found.append([dict(zip(result.columns, row, strict=True)) for row in result.fetchall()])
    return database, found


def test_the_queries_of_duckdb_find_what_is_in_the_logs(fleet, real):  # noqa: F811
    database, (worst, per_minute, _) = duckdb_results()
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


def test_the_roll_up_of_clickhouse_is_what_duckdb_computes(fleet):
    database, (_, expected, _) = duckdb_results()
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
        # Those of a sketch are near those of the values.
        around = database.sql(
            f"select quantile_disc(srtt, [0.4, 0.6, 0.9, 1.0]) from changes where host = '{row['host']}' "
            f"and strftime(minute, '%Y-%m-%d %H:%M:%S') = '{row['minute']}' and network(faddr) = '{other['network']}'"
        )
        (low, high, low_p95, high_p95) = around.fetchone()[0]
        median, p95 = row["srtt_us"]
        assert low <= median <= high and low_p95 <= p95 <= high_p95


def test_a_log_that_cannot_be_read_whole_is_told_and_the_others_are_collected(fleet, real, tmp_path):  # noqa: F811
    data = (real / "basic.csv").read_bytes()
    (tmp_path / "cut.csv").write_bytes(data[: len(data) // 2])
    done = collect("web3", "cut.csv", real / "all.json")
    assert done.returncode == 1 and done.stderr.startswith("tcpstats: cut.csv: line ")
    assert len(list((tmp_path / "fleet/host=web3").glob("*.parquet"))) == 2
