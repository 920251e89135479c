#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""CPU time of a snapshot of the logger with -x on Linux, by how many connections are active, compared with requesting
a dump and discarding it; and what the BPF programs add to the work of the applications.

    changes.py LOGGER FOLDER [SOCKETS...]

FOLDER contains the programs hold, floor, churn and pingpong.  SOCKETS is 10,000 by default; with BENCH=full also
100,000."""

import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from scale import scale
from sockets import Sockets

COUNTS = scale([200], [10_000], [10_000, 100_000])
INTERVALS_MS = scale([50], [50, 1000], [50, 1000])
ACTIVE_PER_CENT = scale([0, 100], [0, 1, 10, 100], [0, 1, 10, 100])
REPEATS = scale(1, 3, 3)

# The start, after which the memory for the first keyframe is released, is not counted.
FIRST = 6
FIRST_S = scale(0.1, 2, 2)
MEASURED_S = scale(0.2, 5, 5)

# Round trips and connections of one measurement of the applications.
ROUND_TRIPS = scale(1000, 200_000, 200_000)
CONNECTIONS = scale(100, 20_000, 20_000)


def cpu(command, **options):
    """Returns the CPU time of a command in seconds, which must succeed."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command}: exit status {process.returncode}")
    return used.ru_utime + used.ru_stime


class Progress:
    """How many snapshots a running logger has written, and the CPU time that its threads have used, in ns."""

    def __init__(self, process):
        process.send_signal(signal.SIGUSR1)
        status = re.search(r" snapshots=(\d+) ", process.stderr.readline())
        self.snapshots = int(status.group(1))
        tasks = pathlib.Path(f"/proc/{process.pid}/task").iterdir()
        self.cpu_ns = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def snapshot_ms(logger, source, interval_ms):
    """Returns the CPU time of a snapshot in ms, without the start."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        log = pathlib.Path(folder) / "log"
        command = [logger, "-x", "-F", "bin", "-d", source, "-s", str(1000 * interval_ms), "-o", log]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            wait_for(log)
            time.sleep(max(FIRST_S, FIRST * interval_ms / 1000))
            first = Progress(process)
            time.sleep(MEASURED_S)
            last = Progress(process)
            process.terminate()
    return (last.cpu_ns - first.cpu_ns) / 1e6 / (last.snapshots - first.snapshots)


def dump_ms(programs):
    """Returns the CPU time of a bare dump in ms."""
    dumps = scale(5, 50, 20)
    return 1e3 * cpu([programs / "floor", str(dumps)]) / dumps


def wait_for(log):
    while not log.exists() or log.stat().st_size == 0:
        time.sleep(0.01)


def snapshots(logger, programs, count):
    print(f"{count:,} sockets, logger -x -F bin, CPU ms per snapshot and ratio to floor, median of {REPEATS}")
    with Sockets(programs / "hold", count):
        floor, ss = dump_ms(programs), 1e3 * cpu(["ss", "-tinO"], stdout=subprocess.DEVNULL)
    print(f"  floor {floor:.1f}, ss -tinO {ss:.1f}, ratio {ss / floor:.1f}")
    print(f"  {'active':>8}{'interval':>10}{'floor':>12}{'sock_diag':>12}{'ratio':>8}{'bpf':>12}{'ratio':>8}")
    for per_cent in ACTIVE_PER_CENT:
        for interval_ms in INTERVALS_MS:
            with Sockets(programs / "hold", count, per_cent, interval_ms):
                runs = [
                    (
                        dump_ms(programs),
                        snapshot_ms(logger, "sock_diag", interval_ms),
                        snapshot_ms(logger, "bpf", interval_ms),
                    )
                    for _ in range(REPEATS)
                ]
            floor, diag, bpf = (statistics.median(run[i] for run in runs) for i in range(3))
            numbers = f"{floor:12.3f}{diag:12.3f}{diag / floor:8.2f}{bpf:12.3f}{bpf / floor:8.3f}"
            print(f"  {f'{per_cent} %':>8}{f'{interval_ms} ms':>10}{numbers}")


class Logger:
    """A context in which the logger runs, or nothing without options."""

    def __init__(self, logger, options):
        self.command = options and [logger, "-F", "bin", "-x", "-s", "1000000", *options]

    def __enter__(self):
        if self.command:
            self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
            log = pathlib.Path(self.folder.name) / "log"
            self.process = subprocess.Popen([*self.command, "-o", log])
            wait_for(log)

    def __exit__(self, *_):
        if self.command:
            self.process.terminate()
            self.process.wait()
            self.folder.cleanup()


def applications(logger, programs):
    print(f"CPU of the applications while the logger runs with -x every second, median of {2 * REPEATS + 1}")
    works = {"round trips": ["pingpong", str(ROUND_TRIPS)], "connections": ["churn", str(CONNECTIONS)]}
    loggers = {"none": None, "sock_diag": ["-d", "sock_diag"], "bpf, no ledger": ["-d", "bpf", "--no-ledger"], "bpf": ["-d", "bpf"]}
    for work, (program, number) in works.items():
        runs = {name: [] for name in loggers}
        for _ in range(2 * REPEATS + 1):
            for name, options in loggers.items():
                with Logger(logger, options):
                    runs[name].append(cpu([programs / program, number], stdout=subprocess.DEVNULL))
        found = {name: statistics.median(times) for name, times in runs.items()}
        for name, seconds in found.items():
            each = f"{1e6 * seconds / int(number):8.2f} us"
            print(f"  {work:14}{name:18}{each}{seconds / found['none']:8.3f}")


def main():
    logger, programs, *counts = sys.argv[1:]
    logger, programs = os.path.abspath(logger), pathlib.Path(programs).resolve()
    if subprocess.run([logger, "-x", "-d", "bpf", "-c", "1", "-o", "/dev/null"], stderr=subprocess.DEVNULL).returncode != 0:
        print("the source bpf is not available: skipped")
        return
    for count in map(int, counts or COUNTS):
        snapshots(logger, programs, count)
    applications(logger, programs)


if __name__ == "__main__":
    main()
