#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Cost of reading a log: tcpstats summary and convert, compared with DuckDB reading the columns of the same file.

The log consists of real rows that are repeated with later times: 50 MB, or 1 GB with BENCH=full.  Everything runs on
one CPU; DuckDB has one thread."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading

from scale import scale

SIZE = scale(1_000_000, 50_000_000, 1_000_000_000)
CONNECTIONS = 100
REPEATS = scale(1, 3, 5)

# The fields that a summary reads.
SUMMARY = """gencnt laddr lport faddr fport state snd_cwnd snd_ssthresh snd_wnd maxseg srtt inflight snd_cc snd_hiwat
    rexmit_bytes rexmit_packs""".split()

DUCKDB = """
import duckdb, json, resource, sys, time
file, columns, query = json.load(sys.stdin)
read = f"read_csv('{file}', auto_detect=false, header=true, comment='#', delim=',', columns={columns})"
db = duckdb.connect(config={"threads": 1, "preserve_insertion_order": True})
db.execute("SET enable_progress_bar = false")
start = time.process_time()
db.execute(query.replace("LOG", read)).fetchall()
cpu = time.process_time() - start
print(json.dumps([cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def log_connections(logger, path):
    """Logs active connections for two seconds."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(CONNECTIONS)]
    servers = [listener.accept()[0] for _ in clients]
    stop = threading.Event()

    def work():
        for round in range(1_000_000):
            for client, server in zip(clients[round % 3 :: 3], servers[round % 3 :: 3], strict=True):
                client.send(b"x" * (round % 1000 + 1))
                server.recv(65536)
            if stop.wait(0.01):
                return

    thread = threading.Thread(target=work)
    thread.start()
    port = listener.getsockname()[1]
    subprocess.run([logger, "-o", path, "-c", "40", "-e", f"port {port} and not state listen"], check=True)
    stop.set()
    thread.join()
    for each in [listener, *clients, *servers]:
        each.close()


def repeat(source, path, size):
    """Repeats the snapshots of a log with later times and consecutive numbers, and returns the number of rows."""
    lines = source.read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line[0].isdigit())
    last = max(i for i, line in enumerate(lines) if line.startswith("# snapshot "))
    # The part of each line after the time and the snapshot.
    snapshots, rows = [], []
    for line in lines[first : last + 1]:
        if line[0].isdigit():
            rows.append(line.split(",", 2)[2])
        elif line.startswith("# snapshot "):
            snapshots.append((rows, line.split(" ", 4)[4]))
            rows = []
    written = count = number = 0
    with path.open("w") as file:
        file.writelines(line for line in lines[:first] if not line.startswith("# missed"))
        while written < size:
            rows, rest = snapshots[number % len(snapshots)]
            number += 1
            time = f"{1_764_000_000 + number // 20}.{number % 20 * 50_000_000:09}"
            prefix = f"{time},{number},"
            text = prefix + prefix.join(rows) + f"# snapshot snapshot={number} time={time} {rest}"
            written += file.write(text)
            count += len(rows)
    return count


def run(*command):
    """Runs a command, which must succeed, on one CPU, and returns its CPU time in seconds and its peak memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {0}))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} {command[1]}: exit status {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def duckdb(file, header, query):
    """Returns the CPU time in seconds and the peak memory in MB of a query, without the cost of starting DuckDB."""
    kinds = {"time": "DOUBLE", "snapshot": "UBIGINT", "gencnt": "UBIGINT", "rexmit_bytes": "UBIGINT"}
    text = {"laddr", "faddr", "state", "cc", "stack", "t_flags", "t_flags2", "options"}
    columns = {name: kinds.get(name, "VARCHAR" if name in text else "UINTEGER") for name in header}
    request = json.dumps([str(file), columns, query])
    done = subprocess.run([sys.executable, "-c", DUCKDB], input=request, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main():
    logger, tcpstats = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as directory:
        directory = pathlib.Path(directory)
        log, out = directory / "x.csv", directory / "out"
        log_connections(logger, directory / "real.csv")
        rows = repeat(directory / "real.csv", log, SIZE)
        with log.open() as file:
            header = next(line for line in file if not line.startswith("#")).strip().split(",")
        size = log.stat().st_size
        print(f"a csv log of {size / 1e6:.0f} MB, {rows} records, {2 * CONNECTIONS} connections; one CPU, minimum of {REPEATS}")
        print(f"{'':38}{'CPU s':>8}{'ratio':>8}{'rows/s':>12}{'MB/s':>8}{'peak MB':>9}")

        def maxima(names):
            return f"SELECT {', '.join(f'max({name})' for name in names)} FROM LOG"

        copy = f"COPY (SELECT * FROM LOG) TO '{out}.duckdb' (FORMAT parquet, COMPRESSION zstd)"
        groups = [
            [
                ("duckdb, maximum of the same columns", lambda: duckdb(log, header, maxima(["time", "snapshot", *SUMMARY]))),
                ("tcpstats summary", lambda: run(tcpstats, "summary", log)),
            ],
            [
                ("duckdb, maximum of all columns", lambda: duckdb(log, header, maxima(header))),
                ("tcpstats convert to bin", lambda: run(tcpstats, "convert", "-f", log, f"{out}.bin")),
                ("tcpstats convert to csv", lambda: run(tcpstats, "convert", "-f", log, f"{out}.csv")),
                ("duckdb, copy to parquet", lambda: duckdb(log, header, copy)),
                ("tcpstats convert to parquet", lambda: run(tcpstats, "convert", "-f", log, f"{out}.parquet")),
            ],
        ]
        for group in groups:
            # Alternate, so that other load on the machine affects all of them.
            runs = [[measure() for _, measure in group] for _ in range(REPEATS)]
            least = [min(found) for found in zip(*runs, strict=True)]
            for (name, _), (cpu, held) in zip(group, least, strict=True):
                print(f"{name:38}{cpu:8.2f}{cpu / least[0][0]:8.2f}{rows / cpu:12,.0f}{size / 1e6 / cpu:8.0f}{held:9.0f}")


if __name__ == "__main__":
    main()
