# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The metrics of tcpstats serve in detail: native histograms, windows, queues, and a source that fails."""

import collections
import json
import math
import re
import threading
import time

import pytest
import synthetic
from handmade import CsvLog
from logger import wait_for
from serving import OPEN_METRICS, Prometheus, Serving, parse, total
from sockets import Connections, Link, Namespace, listen, receive
from test_states import connecting
from viewer import run

PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
NATIVE = "--enable-feature=native-histograms"


@pytest.fixture
def alone():
    with Namespace() as alone:
        yield alone


def test_native_histograms_agree_with_summary_and_with_the_fixed_buckets(transfer, tmp_path):
    (row,) = map(json.loads, run("summary", "--json", "--by", "prefix", transfer).decode().splitlines())
    with Serving(tmp_path, "-d", transfer, "--by", "prefix") as served:
        served.wait_for_end()
        samples = served.samples()
        with Prometheus(tmp_path, served, NATIVE) as prometheus:
            assert wait_for(lambda: prometheus.query("up == 1"), "a scrape", 30)
            srtt = "sum(tcpstats_srtt_seconds)"
            for quantile, name in (0.5, "srtt_median_us"), (0.95, "srtt_p95_us"):
                assert prometheus.value(f"histogram_quantile({quantile}, {srtt})") * 1e6 == pytest.approx(row[name], rel=0.05), name
            for name, of_histogram in ("count", "histogram_count"), ("sum", "histogram_sum"):
                fixed = total(samples, f"tcpstats_srtt_seconds_{name}")
                assert fixed > 0 and prometheus.value(f"{of_histogram}({srtt})") == pytest.approx(fixed, rel=1e-12), name
            bounds = collections.Counter()
            for (name, labels), value in samples.items():
                if name == "tcpstats_srtt_seconds_bucket":
                    bounds[float(dict(labels)["le"])] += value
            assert len(set(bounds.values())) > 3
            for bound, count in bounds.items():
                # Some bounds are rounded to a nanosecond; a time is an integer of microseconds.
                upper = "+Inf" if math.isinf(bound) else 2.0 ** round(math.log2(bound))
                below = prometheus.value(f"histogram_fraction(0, {upper}, {srtt}) * histogram_count({srtt})")
                assert below == pytest.approx(count, abs=1e-6), bound
            # Everything else is the same as in text.
            found = {
                (labels.pop("__name__"), *sorted(labels.items())): value
                for labels, value in prometheus.query("{__name__=~'tcpstats_.+', job='tcpstats'}")
                if labels.pop("job") and labels.pop("instance")
            }
            plain = {(name, *labels): value for (name, labels), value in parse(served.get().body).items()}
            plain = {key: value for key, value in plain.items() if not re.search("_(bucket|count|sum)$", key[0])}
            assert {key: value for key, value in found.items() if key in plain} == pytest.approx(plain, rel=1e-12)
            # One series for each histogram, and none for the time of creation.
            groups = int(samples["tcpstats_groups", ()]) + 1
            histograms = set(found) - set(plain)
            assert len(histograms) == 5 * groups and not any("created" in key[0] for key in histograms)
            assert prometheus.value("scrape_samples_scraped") == len(found)


def test_without_the_feature_prometheus_reads_openmetrics(transfer, tmp_path):
    with Serving(tmp_path, "-d", transfer) as served:
        served.wait_for_end()
        with Prometheus(tmp_path, served) as prometheus:
            # Only OpenMetrics has the time of creation as a sample.
            assert prometheus.value("tcpstats_snapshots_created") > 0
            assert prometheus.query("tcpstats_srtt_seconds") == [] != prometheus.query("tcpstats_srtt_seconds_bucket")


def test_the_protobuf_format_is_chosen_by_the_accept_header(transfer, tmp_path):
    with Serving(tmp_path, "-d", transfer) as served:
        for accept, media in [
            (PROTOBUF, "application/vnd.google.protobuf"),
            (f"{PROTOBUF},{OPEN_METRICS['Accept']}", "application/vnd.google.protobuf"),
            (f"{PROTOBUF};q=0.1,text/plain;q=0.5", "text/plain"),
            ("application/vnd.google.protobuf", "text/plain"),
        ]:
            assert served.media_type(accept).startswith(media), accept


def test_windows_of_zero_are_counted_in_both_directions(alone, tmp_path):
    with Connections("127.0.0.1", 2, alone, alone) as connections:
        blocked, server = connections.clients[0], connections.servers[0]
        client_port = str(blocked.getsockname()[1])
        with Serving(tmp_path, "-s", 100_000, "--by", "lport", "--series-max", 5000, inside=alone) as served:

            def windows(port):
                samples = served.samples()
                return [total(samples, "tcpstats_zero_window_connections", lport=port, direction=way) for way in ("send", "receive")]

            served.wait_for_snapshots(2)
            assert windows(client_port) == windows(str(connections.port)) == [0, 0]
            blocked.settimeout(0.5)
            sent = 0
            try:
                while True:
                    sent += blocked.send(bytes(1 << 20))
            except TimeoutError:
                pass
            wait_for(lambda: windows(client_port) == [1, 0], "a window of 0 of the peer")
            assert windows(str(connections.port)) == [0, 1]
            receive(server, sent)
            wait_for(lambda: windows(client_port) == windows(str(connections.port)) == [0, 0], "windows that are open")


def test_incomplete_handshakes_and_full_queues_are_counted(tmp_path):
    with Namespace() as near, Namespace() as far:
        link = Link(near, far)
        link.cut()
        # The prefix of a listening socket is empty, so that both are in one group.
        with Serving(tmp_path, "-s", 100_000, "--by", "prefix", inside=near) as served, Connections(link.near4, 0, far, near, backlog=3) as full:
            with near.inside():
                other = listen(link.near4)

            def listeners(name):
                return total(served.samples(), f"tcpstats_listen_queue{name}", prefix="")

            with other:
                for _ in range(3):
                    full.connect()
                wait_for(lambda: listeners("_length") == 3, "three queued connections")
                # Linux accepts one more than the limit.  The sum of the limits hides that one queue is full.
                assert listeners("_limit") > 64
                assert listeners("s_full") == 0
                full.connect()
                wait_for(lambda: listeners("s_full") == 1, "a full queue")
                assert listeners("_length") == 4
                full.accept()
                wait_for(lambda: listeners("s_full") == 0, "a queue that is not full")
                # The answers to SYNs from this address are lost.
                with connecting(far, other.getsockname(), link.cut4), connecting(far, other.getsockname(), link.cut4):
                    state = {"prefix": "10.71.0.0/24", "state": "syn_received"}
                    wait_for(lambda: total(served.samples(), "tcpstats_connections", **state) == 2, "two incomplete handshakes")


def test_a_queue_is_full_by_the_rule_of_the_kernel(tmp_path):
    listener = {"laddr": "192.0.2.1", "faddr": "0.0.0.0", "fport": 0, "state": "LISTEN"}
    log = CsvLog("gencnt,laddr,lport,faddr,fport,state,qlen,qlimit")
    queues = [(150, 100), (151, 100), (0, 0), (1, 0)]
    log.snapshot(*({**listener, "gencnt": n, "lport": n + 1, "qlen": q, "qlimit": limit} for n, (q, limit) in enumerate(queues)))
    text = log.write(tmp_path / "freebsd.csv").read_text()
    note = '# log version="2.0.0" time=1764000000.000000000 host="h" system="Linux" source="sock_diag" interval_us=1000000 '
    (tmp_path / "linux.csv").write_text(note + 'columns="basic" filter="" sandbox="off"\n' + text)
    for system, full in ("freebsd", 2), ("linux", 3):
        with Serving(tmp_path, "-d", tmp_path / f"{system}.csv", "--by", "prefix") as served:
            served.wait_for_end()
            samples = served.samples()
            assert total(samples, "tcpstats_listen_queues_full") == full, system
            assert total(samples, "tcpstats_listen_queue_length") == 302


def test_a_window_that_the_source_lacks_is_absent(tmp_path):
    log = CsvLog("gencnt,laddr,lport,faddr,fport,state,snd_wnd,rcv_nxt,rcv_adv")
    ends = {"laddr": "192.0.2.1", "lport": 443, "faddr": "198.51.100.7", "fport": 50000}
    rows = [("ESTABLISHED", 0, 5, 5), ("CLOSE_WAIT", 0, 5, 5), ("FIN_WAIT_2", 0, 5, 105), ("SYN_SENT", 0, 0, 0), ("ESTABLISHED", "", "", "")]
    values = ({"gencnt": n, "state": s, "snd_wnd": w, "rcv_nxt": x, "rcv_adv": a} for n, (s, w, x, a) in enumerate(rows))
    log.snapshot(*({**ends, **value} for value in values))

    def windows(path):
        with Serving(tmp_path, "-d", path) as served:
            served.wait_for_end()
            samples = served.samples()
        name = "tcpstats_zero_window_connections"
        return {dict(labels)["direction"]: value for (found, labels), value in samples.items() if found == name}

    assert windows(log.write(tmp_path / "x.csv")) == {"send": 2, "receive": 1}
    assert windows(synthetic.write(tmp_path / "y.csv", synthetic.steady(3))) == {"send": 0}
    without = CsvLog("gencnt,laddr,lport,faddr,fport,state")
    without.snapshot({**ends, "gencnt": 1, "state": "ESTABLISHED"})
    assert windows(without.write(tmp_path / "z.csv")) == {}


def test_rates_are_those_of_the_sender(alone, tmp_path):
    with Connections("127.0.0.1", 1, alone, alone) as connections:
        arguments = ["-s", 20_000, "-e", f"port {connections.port}", "--by", "prefix"]
        with Serving(tmp_path, *arguments, inside=alone) as served, Prometheus(tmp_path, served) as prometheus:
            metric = "tcpstats_sent_bytes_total{prefix!='other'}"
            wait_for(lambda: prometheus.query(metric), "a scrape", 30)
            client, server = connections.clients[0], connections.servers[0]
            start, is_over, sent = time.time(), threading.Event(), []

            def send():
                while not is_over.is_set():
                    client.sendall(bytes(2000))
                    receive(server, 2000)
                    sent.append(time.time())
                    is_over.wait(max(0, start + len(sent) * 0.01 - time.time()))

            sender = threading.Thread(target=send)
            sender.start()
            time.sleep(9)
            is_over.set()
            sender.join()
            # A rate between two scrapes, by the times of their snapshots.  The function rate() extrapolates to the ends of
            # its range, and a snapshot is older than its scrape.
            times = dict(prometheus.scraped("tcpstats_last_snapshot_timestamp_seconds"))
            taken = [(times[scrape], value) for scrape, value in prometheus.scraped(metric) if start + 0.5 < times[scrape] < sent[-1]]
            (first, before), (last, after) = taken[0], taken[-1]
            assert last - first > 6
            expected = sum(first < moment <= last for moment in sent) * 2000
            assert after - before == pytest.approx(expected, rel=0.01)
            # When nothing is sent any more, the increase is exact.
            served.wait_for_snapshots(2)
            count = len(sent) * 2000
            wait_for(lambda: prometheus.value(metric) == count, "a scrape of everything")
            assert [value for _, value in prometheus.scraped(metric)][0] == 0
            assert prometheus.value("sum(tcpstats_connections{state='established'})") == 2
            assert prometheus.value("scrape_samples_scraped") <= 2000


def test_a_source_that_fails_and_returns(alone, tmp_path):
    # The thread that samples cannot read from the kernel for some time.  The other has fewer calls.
    failure = "inject=read:error=ENOMEM:when=60..80"
    strace = ["strace", "-f", "-qq", "-o", tmp_path / "calls", "-e", "trace=read", "-e", failure]
    with Connections("127.0.0.1", 1, alone, alone) as connections:
        label = {"lport": str(connections.port)}
        with Serving(tmp_path, "-s", 100_000, "--by", "lport", inside=alone, wrap=strace) as served:

            def value(name):
                return served.samples().get((f"tcpstats_{name}", ()))

            wait_for(lambda: value("source_up") == 0, "a failure")
            samples = served.samples()
            assert samples["tcpstats_source_errors_total", ()] >= 1
            # What is unknown is absent; counters remain.
            assert not any(name == "tcpstats_connections" for name, _ in samples)
            assert total(samples, "tcpstats_sent_bytes_total", **label) == 0
            connections.servers[0].sendall(bytes(777))
            wait_for(lambda: value("source_up") == 1, "the end of the failure", 30)
            served.wait_for_snapshots(1)
            samples = served.samples()
            assert total(samples, "tcpstats_connections", **label, state="established") == 1
            assert total(samples, "tcpstats_sent_bytes_total", **label) == 777
            assert "Cannot allocate memory" in served.messages()
