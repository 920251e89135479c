#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""CPU time of tcpstats serve: of adding a snapshot to the metrics, compared with summary reading the same log, and of a scrape.

    serve.py TCPSTATS FOLDER

The log has SOCKETS connections in PREFIXES prefixes; each sends in every snapshot.  It is read on one CPU.  FOLDER contains
the program hold, which opens as many sockets for a live source."""

import http.client
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import changes
from scale import scale
from sockets import Sockets

SOCKETS = scale(1000, 100_000, 100_000)
PREFIXES = scale(500, 50_000, 50_000)
SNAPSHOTS = scale(3, 20, 60)
REPEATS = scale(1, 3, 5)
SCRAPES = scale(3, 20, 50)
SECONDS = scale(2, 10, 30)
LIMITS = (2000, 20_000)

START = 1_764_000_000
COLUMNS = (
    "gencnt,laddr,lport,faddr,fport,state,srtt,snd_cwnd,snd_ssthresh,snd_wnd,rcv_wnd,maxseg,inflight,snd_cc,"
    "acked_bytes,sent_bytes,received_bytes,rexmit_bytes,rexmit_packs,rwnd_limited,sndbuf_limited"
)
ACCEPT = {
    "prometheus": "text/plain",
    "openmetrics": "application/openmetrics-text",
    "protobuf": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
}


def write_log(path, snapshots):
    """Writes a log of connections whose counters grow."""
    with path.open("w") as file:
        head = f'version="2.0.0" time={START}.000000000 host="h" system="Linux" source="sock_diag"'
        file.write(f'# log {head} interval_us=1000000 columns="{COLUMNS}" filter="" sandbox="off"\ntime,snapshot,{COLUMNS}\n')
        for snapshot in range(1, snapshots + 1):
            stamp = f"{START + snapshot}.000000000"
            rows = []
            for number in range(SOCKETS):
                prefix = number % PREFIXES
                ends = f"{number + 1},192.0.2.1,443,10.{prefix >> 8}.{prefix & 255}.1,{1024 + number // PREFIXES}"
                sent = 1000 * snapshot * (1 + prefix % 100)
                windows = "14480,1073725440,65535,65535,1448,14000,50000"
                rows.append(f"{stamp},{snapshot},{ends},ESTABLISHED,{1000 + number},{windows},{sent},{sent},500,0,0,0,0\n")
            counts = f"seen={SOCKETS} matched={SOCKETS} records={SOCKETS} missed=0 missed_ticks=0 flags=0"
            file.write("".join(rows) + f"# snapshot snapshot={snapshot} time={stamp} walk_us=9 {counts} mono={snapshot}.000000000\n")


def one_cpu():
    os.sched_setaffinity(0, {0})


def cpu(process):
    """Returns the CPU time of a running process, in seconds, with a resolution of 10 ms."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_cpu(process):
    """Returns the CPU time of the main thread, which is the server, in seconds."""
    return int(pathlib.Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def peak(process):
    """Returns the peak memory of a running process, in MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024


def summary(tcpstats, log):
    """Returns the CPU time of a summary of a log by prefix, in seconds."""
    line = [tcpstats, "summary", "--json", "--by", "prefix", log]
    return changes.cpu(line, stdout=subprocess.DEVNULL, preexec_fn=one_cpu)


class Serving:
    """`tcpstats serve`, in the block: live, or with a log that it has read."""

    def __init__(self, tcpstats, *arguments, log=None):
        line = [tcpstats, "serve", "--listen", "127.0.0.1:0", *map(str, arguments), *(["-d", log] if log else [])]
        self.process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, preexec_fn=one_cpu if log else None)
        text = ""
        for message in self.process.stderr:
            text += message
            if (found := re.search(r"serving http://127\.0\.0\.1:(\d+)/", text)) and (not log or "end of the log" in text):
                self.port = int(found[1])
                return
        sys.exit(f"{tcpstats} serve: exit status {self.process.wait()}")

    def scrape(self, accept):
        """Returns the body of a scrape."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/metrics", headers={"Accept": accept})
        body = connection.getresponse().read()
        connection.close()
        return body

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


def thread_cpu(process, name):
    """Returns the CPU time of a thread, in seconds."""
    for comm in pathlib.Path(f"/proc/{process.pid}/task").glob("*/comm"):
        if comm.read_text().strip() == name:
            return int((comm.parent / "schedstat").read_text().split()[0]) / 1e9
    sys.exit(f"{process.args[0]}: no thread {name}")


def live(tcpstats, hold):
    """Measures the live source, while it is scraped twice per second."""
    with Sockets(hold, SOCKETS, 10), Serving(tcpstats, "--by", "lport") as served:

        def counters():
            text = served.scrape(ACCEPT["prometheus"]).decode()
            names = "snapshots", "snapshots_missed"
            found = [int(re.search(rf"^tcpstats_{name}_total (\d+)$", text, re.MULTILINE)[1]) for name in names]
            return [*found, thread_cpu(served.process, "sampler"), server_cpu(served.process)]

        before, scrapes, end = counters(), 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.5)
            scrapes += 1
            after = counters()
        taken, missed, sampler, server = (now - then for now, then in zip(after, before, strict=True))
        print(f"\n{SOCKETS:,} live sockets, one snapshot per second, two scrapes per second")
        print(f"{taken} snapshots taken, {missed} missed; CPU ms: {1000 * sampler / max(taken, 1):.1f} for each snapshot,", end=" ")
        print(f"{1000 * server / scrapes:.2f} for each scrape; peak {peak(served.process):.0f} MB")


def main():
    tcpstats, programs = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as directory:
        one, all = pathlib.Path(directory) / "one.csv", pathlib.Path(directory) / "all.csv"
        # What both need once is left out: the difference between a log with one snapshot more and one with many more.
        write_log(one, 2)
        write_log(all, 2 + SNAPSHOTS)
        print(f"{SOCKETS:,} sockets in {PREFIXES:,} prefixes, CPU ms for each of {SNAPSHOTS} snapshots, one CPU, minimum of {REPEATS}")
        print(f"{'':38}{'ms':>9}{'ratio':>8}{'peak MB':>9}")
        least, memory = {}, {}
        for _ in range(REPEATS):
            # Alternate, so that other load on the machine affects all of them.
            took = {"tcpstats summary": summary(tcpstats, all) - summary(tcpstats, one)}
            for limit in LIMITS:
                name = f"tcpstats serve --series-max {limit}"
                used = []
                for log in one, all:
                    with Serving(tcpstats, "--by", "prefix", "--series-max", limit, log=log) as served:
                        used.append(cpu(served.process))
                        memory[name] = peak(served.process)
                took[name] = used[1] - used[0]
            for name, seconds in took.items():
                least[name] = min(least.get(name, seconds), seconds)
        reference = least["tcpstats summary"]
        for name, seconds in least.items():
            held = f"{memory[name]:9.0f}" if name in memory else ""
            print(f"{name:38}{1000 * seconds / SNAPSHOTS:9.2f}{seconds / max(reference, 1e-9):8.2f}{held}")
        print(f"\nCPU ms of a scrape: the first of a snapshot formats the metrics; median of {SCRAPES} others")
        print(f"{'':38}{'first':>9}{'others':>8}{'bytes':>9}{'series':>8}")
        for limit in LIMITS:
            for name, accept in ACCEPT.items():
                with Serving(tcpstats, "--by", "prefix", "--series-max", limit, log=one) as served:
                    times = []
                    for _ in range(1 + SCRAPES):
                        before = server_cpu(served.process)
                        body = served.scrape(accept)
                        time.sleep(0.02)
                        times.append(1000 * (server_cpu(served.process) - before))
                series = f"{sum(not line.startswith(b'#') for line in body.splitlines()):8}" if name != "protobuf" else ""
                print(f"{f'--series-max {limit}, {name}':38}{times[0]:9.2f}{statistics.median(times[1:]):8.2f}{len(body):9}{series}")
    live(tcpstats, os.path.join(programs, "hold"))


if __name__ == "__main__":
    main()
