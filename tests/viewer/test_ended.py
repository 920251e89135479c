# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Connections that have ended: show, summary, plot and check of logs with final records."""

import json

import pytest
from drawing import Plot
from handmade import LEDGER
from handmade import CsvLog as handmade_log
from logger import CsvLog
from running import Running, wait_for_snapshots
from sockets import Namespace
from test_ledger import ANSWERED, SENT, finals, talk
from viewer import run, start

A = {"gencnt": 7, "laddr": "192.0.2.1", "lport": 443, "faddr": "198.51.100.7", "fport": 50000}
B = {**A, "gencnt": 8, "fport": 50001}
COLUMNS = "gencnt,laddr,lport,faddr,fport,state,srtt,sent_bytes,rexmit_bytes,received_bytes,rcv_nxt,irs,duration,ending"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A log, sampled every 50 ms, of 200 connections that are shorter than that, and the port of their listener."""
    directory = tmp_path_factory.mktemp("ended")
    path = directory / "x.csv"
    with Namespace() as alone, Running(directory, "-o", path, "-s", 50_000, enter=alone.enter) as logger:
        wait_for_snapshots(path, 2)
        port = talk(alone, "127.0.0.1", 200)
        logger.stop()
    return path, port


def test_short_connections_are_summarized_exactly(real):
    path, port = real
    rows = [json.loads(line) for line in run("summary", "--json", path).decode().splitlines()]
    rows = [row for row in rows if port in (row["lport"], row["fport"])]
    assert len(rows) == 400
    for row in rows:
        sent, received = (SENT, ANSWERED) if row["fport"] == port else (ANSWERED, SENT)
        # The kernel counts the FIN.
        assert (row["sent_bytes"], row["received_bytes"], row["rexmit_bytes"]) == (sent, received + 1, 0)
    (host,) = map(json.loads, run("summary", "--json", "--by", "prefix", "-e", f"port {port}", path).decode().splitlines())
    assert (host["connections"], host["sent_bytes"]) == (400, 200 * (SENT + ANSWERED))


def test_show_lists_the_connections_that_ended_in_a_log_in_the_order_in_which_they_ended(real):
    path, port = real
    rows = [json.loads(line) for line in run("show", "--ended", "--json", "-d", path, "-e", f"port {port}").decode().splitlines()]
    assert len(rows) == 400 and {row["state"] for row in rows} == {"ENDED"}
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert {row["gencnt"] for row in rows} == {int(row["gencnt"]) for row in finals(CsvLog(path.read_text()).rows)}


def test_a_log_with_final_records_has_no_problems_in_any_format(real, tmp_path):
    path, _ = real
    for name in ("y.bin", "y.json", "y.parquet"):
        run("convert", path, tmp_path / name)
        assert b"no problems" in run("check", tmp_path / name)
    back = tmp_path / "back.csv"
    run("convert", tmp_path / "y.parquet", back)
    assert back.read_bytes() == path.read_bytes()


def handmade(tmp_path, *snapshots):
    """Writes a log with a snapshot per second."""
    log = handmade_log(COLUMNS, 1)
    for rows in snapshots:
        log.snapshot(*rows, flags=LEDGER)
    return log.write(tmp_path / "made.csv")


def test_the_totals_of_freebsd_are_those_of_the_final_record(tmp_path):
    """The bytes received follow from sequence numbers, and the record says how long the connection lived."""
    end = {"state": "ENDED", "sent_bytes": 5000, "rexmit_bytes": 100, "irs": 4294967000, "rcv_nxt": 706, "duration": 2500, "ending": "fin_received"}
    path = handmade(tmp_path, [], [{**A, **end}], [])
    (row,) = map(json.loads, run("summary", "--json", path).decode().splitlines())
    assert (row["sent_bytes"], row["rexmit_bytes"], row["duration_s"]) == (5000, 100, 0.0025)
    assert row["received_bytes"] == 1000
    # A connection that existed in the first snapshot may have begun before the log.
    path = handmade(tmp_path, [{**A, "state": "ESTABLISHED", "sent_bytes": 4000, "rexmit_bytes": 100}], [{**A, **end, "duration": 9_000_000}], [])
    (row,) = map(json.loads, run("summary", "--json", path).decode().splitlines())
    assert (row["sent_bytes"], row["rexmit_bytes"], row["duration_s"]) == (1000, 0, 1)


def test_an_unknown_duration_is_absent(tmp_path):
    path = handmade(tmp_path, [], [{**A, "state": "ENDED", "sent_bytes": 70}], [])
    (row,) = map(json.loads, run("summary", "--json", path).decode().splitlines())
    assert row["sent_bytes"] == 70 and "duration_s" not in row and "send_mean_bytes_per_s" not in row


def test_a_connection_that_is_gone_without_a_final_record_is_a_problem(tmp_path):
    live = [{**A, "state": "ESTABLISHED"}, {**B, "state": "ESTABLISHED"}]
    path = handmade(tmp_path, live, [{**B, "state": "ENDED"}], *[[]] * 12)
    done = start("check", path)
    assert done.returncode == 1 and b"gone without a final record: 1 connection" in done.stdout
    path = handmade(tmp_path, live, [{**B, "state": "ENDED"}, {**A, "state": "ENDED"}], *[[]] * 12)
    assert b"no problems" in run("check", path)


def test_a_plot_shows_a_connection_of_which_only_the_final_record_is_known(tmp_path):
    end = {"state": "ENDED", "srtt": 900, "sent_bytes": 5_000_000, "received_bytes": 1, "duration": 2_000_000}
    path = handmade(tmp_path, [], [], [], [{**A, **end}], [])
    panel = Plot(run("plot", path)).panel("throughput")
    sent = [rate for piece in panel.curves["sent_bytes"] for _, rate in piece]
    assert sent and all(rate == pytest.approx(20e6, rel=0.01) for rate in sent)
