# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""tcpstats serve: metrics of real connections and of logs, read by Prometheus and its tools."""

import json
import subprocess

import pytest
from handmade import LEDGER, CsvLog
from logger import wait_for
from logs import frames, real  # noqa: F401
from serving import OPEN_METRICS, Prometheus, Serving, parse, total
from sockets import Connections, Namespace, exchange
from test_ledger import ANSWERED, SENT, talk
from viewer import refuse, run


@pytest.fixture
def alone():
    with Namespace() as alone:
        yield alone


def test_promtool_accepts_both_formats(transfer, tmp_path):
    with Serving(tmp_path, "-d", transfer) as served:
        served.wait_for_end()
        for headers, media in [
            ({}, "text/plain; version=0.0.4; charset=utf-8"),
            (OPEN_METRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ]:
            answer = served.get(headers=headers)
            assert (answer.status, answer.headers["content-type"]) == (200, media)
            assert parse(answer.body)
            if not headers:
                done = subprocess.run(["promtool", "check", "metrics"], input=answer.body, capture_output=True, text=True)
                assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert answer.body.endswith("# EOF\n")
        assert "_created" not in served.get().body


def test_the_bytes_of_short_connections_are_counted_exactly(alone, tmp_path):
    with Serving(tmp_path, "-s", 200_000, "--by", "lport", "--series-max", 200_000, inside=alone) as served:
        served.wait_for_snapshots(1)
        port = talk(alone, "127.0.0.1", 200)
        served.wait_for_snapshots(2)
        samples = served.samples()
        label = {"lport": str(port)}
        assert total(samples, "tcpstats_sent_bytes_total", **label) == 200 * ANSWERED
        # The kernel counts the FIN.
        assert total(samples, "tcpstats_received_bytes_total", **label) == 200 * (SENT + 1)
        assert total(samples, "tcpstats_connections_opened_total", **label) == 200
        assert total(samples, "tcpstats_connections_closed_total", **label) == 200
        # Linux does not report why a connection has ended.
        assert total(samples, "tcpstats_connections_closed_total", **label, reason="unknown") == 200
        assert not any(("reason", "fin_sent") in labels for _, labels in samples)
        assert total(samples, "tcpstats_connection_size_bytes_count", **label) == 200
        assert total(samples, "tcpstats_final_records_lost_total") == 0


def test_the_past_of_an_open_connection_does_not_count(alone, tmp_path):
    with Connections("127.0.0.1", 1, alone, alone) as connections:
        exchange(connections.clients[0], connections.servers[0], 5000)
        with Serving(tmp_path, "-s", 100_000, "--by", "lport", inside=alone) as served:
            label = {"lport": str(connections.clients[0].getsockname()[1])}
            samples = served.samples()
            assert total(samples, "tcpstats_connections", **label, state="established") == 1
            assert total(samples, "tcpstats_sent_bytes_total", **label) == 0
            connections.clients[0].sendall(bytes(1234))
            served.wait_for_snapshots(2)
            assert total(served.samples(), "tcpstats_sent_bytes_total", **label) == 1234
            assert total(served.samples(), "tcpstats_connections_opened_total", **label) == 0


def test_prometheus_scrapes_it_and_agrees_with_summary(transfer, tmp_path):
    # In one row, as in the metrics.
    (row,) = map(json.loads, run("summary", "--json", "--by", "prefix", transfer).decode().splitlines())
    with Serving(tmp_path, "-d", transfer, "--by", "prefix", "--rtt-buckets", 15) as served:
        served.wait_for_end()
        with Prometheus(tmp_path, served) as prometheus:
            assert wait_for(lambda: prometheus.query("up == 1"), "a scrape", 30)
            for quantile, name in (0.5, "srtt_median_us"), (0.95, "srtt_p95_us"):
                metric = "tcpstats_srtt_seconds_bucket"
                seconds = prometheus.value(f"histogram_quantile({quantile}, sum by (le) ({metric}))")
                assert seconds * 1e6 == pytest.approx(row[name], rel=0.05), name
            for metric, name in [
                ("tcpstats_sent_bytes_total", "sent_bytes"),
                ("tcpstats_retransmitted_bytes_total", "rexmit_bytes"),
                ("tcpstats_retransmitted_segments_total", "rexmit_packs"),
                ("tcpstats_received_bytes_total", "received_bytes"),
            ]:
                assert prometheus.value(f"sum({metric})") == row[name], name


def test_a_log_is_read_to_its_end_and_its_state_remains(tmp_path):
    log = CsvLog("gencnt,laddr,lport,faddr,fport,state,srtt,acked_bytes,sent_bytes,received_bytes,rexmit_bytes,duration,ending")
    ends = {"laddr": "192.0.2.1", "lport": 443, "faddr": "198.51.100.7", "fport": 50000, "state": "ESTABLISHED"}
    open_before = {**ends, "gencnt": 1, "srtt": 1000, "acked_bytes": 100, "received_bytes": 0}
    later = {**ends, "gencnt": 2, "srtt": 5000, "acked_bytes": 40, "received_bytes": 4, "sent_bytes": 50, "rexmit_bytes": 0}
    log.snapshot(open_before, flags=LEDGER)
    log.snapshot({**open_before, "acked_bytes": 130}, later, flags=LEDGER)
    final = {**later, "state": "ENDED", "duration": 50_000, "ending": "rst_received", "rexmit_bytes": 50}
    log.snapshot({**open_before, "acked_bytes": 131}, final, flags=LEDGER)
    with Serving(tmp_path, "-d", log.write(tmp_path / "x.csv"), "--by", "port,prefix") as served:
        served.wait_for_end()
        samples = served.samples()
    label = {"port": "443", "prefix": "198.51.100.0/24"}
    assert total(samples, "tcpstats_sent_bytes_total", **label) == 31 + 50
    assert total(samples, "tcpstats_retransmitted_bytes_total", **label) == 50
    assert total(samples, "tcpstats_connections_closed_total", **label, reason="rst_received") == 1
    assert total(samples, "tcpstats_connections", **label) == 1
    assert total(samples, "tcpstats_srtt_seconds_count", **label) == 5
    assert total(samples, "tcpstats_srtt_seconds_sum", **label) == pytest.approx(0.013)
    assert total(samples, "tcpstats_connection_duration_seconds_sum", **label) == pytest.approx(0.05)
    assert total(samples, "tcpstats_connection_retransmitted_ratio_sum", **label) == 0.5
    assert samples["tcpstats_snapshots_total", ()] == 3


def test_a_log_of_changes_has_the_same_metrics_as_a_complete_log(real, tmp_path):
    def metrics(name):
        with Serving(tmp_path, "-d", real / name) as served:
            served.wait_for_end()
            samples = served.samples()
        same = "tcpstats_sent", "tcpstats_received", "tcpstats_retrans", "tcpstats_srtt", "tcpstats_connection"
        return {key: value for key, value in samples.items() if key[0].startswith(same) and not key[0].endswith("_created")}

    complete, changes = metrics("all.csv"), metrics("changes.csv")
    assert total(complete, "tcpstats_sent_bytes_total") > 100_000 and changes.keys() == complete.keys()
    for key, value in complete.items():
        # A connection that ends while a snapshot is taken can be in it twice: live, and with its final record.  The
        # log of changes then has the latter only.
        is_srtt = key[0].startswith("tcpstats_srtt")
        assert changes[key] == pytest.approx(value, abs=2 if is_srtt else 0, rel=0.02 if is_srtt else 0), key


def test_a_damaged_log_is_read_as_far_as_possible(transfer, tmp_path):
    damaged = bytearray(transfer.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 2000] = bytes(2000)
    path = tmp_path / "damaged.bin"
    path.write_bytes(damaged)
    with Serving(tmp_path, "-d", path) as served:
        served.wait_for_end()
        samples = served.samples()
        assert samples["tcpstats_source_errors_total", ()] >= 1 and samples["tcpstats_snapshots_total", ()] > 100


def test_the_number_of_series_is_limited_and_the_largest_groups_have_their_own(tmp_path):
    counters = "acked_bytes,received_bytes,rexmit_bytes,rexmit_packs,rwnd_limited,sndbuf_limited"
    log = CsvLog(f"gencnt,laddr,lport,faddr,fport,state,srtt,{counters}", 1)
    count = 3000

    def row(number, more):
        ends = {"laddr": "192.0.2.1", "lport": 443, "faddr": f"10.{number >> 8}.{number & 255}.1", "fport": 50000}
        values = {"srtt": 100 * number + 1, "acked_bytes": 1000 * number + more, "received_bytes": 0}
        rest = {"rexmit_bytes": 0, "rexmit_packs": 0, "rwnd_limited": 0, "sndbuf_limited": 0}
        return {**ends, **values, **rest, "gencnt": number + 1, "state": "ESTABLISHED"}

    for more in range(4):
        log.snapshot(*(row(number, more) for number in range(count)))
    path = log.write(tmp_path / "x.csv")
    for limit in 500, 2000, 5000:
        with Serving(tmp_path, "-d", path, "--by", "prefix", "--series-max", limit) as served:
            served.wait_for_end()
            answers = [served.get(headers=headers).body for headers in ({}, OPEN_METRICS)]
        for answer in answers:
            samples = parse(answer)
            assert len(samples) <= limit
            own = int(samples["tcpstats_groups", ()])
            assert own >= 1 and own == samples["tcpstats_groups_limit", ()] and samples["tcpstats_groups_in_other", ()] == count - own
            largest = {f"10.{number >> 8}.{number & 255}.0/24" for number in range(count - own, count)}
            prefixes = {value for (name, labels) in samples for label, value in labels if label == "prefix"}
            assert prefixes == largest | {"other"}
            assert total(samples, "tcpstats_sent_bytes_total") == 3 * count
            assert total(samples, "tcpstats_connections") == count


def test_owners_are_a_label(alone, tmp_path):
    with Connections("127.0.0.1", 1, alone, alone), Serving(tmp_path, "-s", 100_000, "--by", "process", inside=alone) as served:
        served.wait_for_snapshots(1)
        processes = {value for (_, labels) in served.samples() for label, value in labels if label == "process"}
        assert {"other", "tcpstats"} <= processes and any(name.startswith(("python", "pytest")) for name in processes)


def test_options_that_contradict_each_other_are_refused(alone, transfer):
    def refused(*arguments):
        return refuse("serve", "--listen", "127.0.0.1:0", *arguments)

    assert "--by process" in refused("--no-owners", "--by", "process")
    assert "--netns" in refused("--by", "netns")
    assert "--series-max 10: one group and 'other' have up to" in refused("--series-max", 10)
    assert refused("-e", "lport ==").startswith("filter: ")
    assert "/nonexistent" in refused("-d", "/nonexistent")
