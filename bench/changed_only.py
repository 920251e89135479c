#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""What -x saves: log size and CPU time of the logger with -x, compared with logging everything.

    changed_only.py LOGGER FOLDER

FOLDER contains the program hold."""

import os
import statistics
import subprocess
import sys
import tempfile

from scale import scale
from sockets import Sockets

SOCKETS = scale(200, 2000, 2000)
SECONDS = scale(1, 5, 5)
REPEATS = scale(1, 3, 3)


def measure(logger, options):
    """Returns the size of the log in bytes and the CPU time in seconds of a logger that runs for SECONDS."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        log = os.path.join(directory, "x.csv")
        process = subprocess.Popen([logger, "-o", log, "-t", str(SECONDS), "-e", "net 127.100.0.0/14 and state established", *options])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{logger}: exit status {process.returncode}")
        return os.path.getsize(log), usage.ru_utime + usage.ru_stime


def main():
    logger, programs = sys.argv[1:]
    print(f"{SOCKETS} sockets every 50 ms for {SECONDS} s, csv, median of {REPEATS}")
    print(f"{'active connections':24}{'log':10}{'MB':>8}{'ratio':>8}{'CPU s':>8}{'ratio':>8}")
    for per_cent in (0, 1, 10, 100):
        with Sockets(os.path.join(programs, "hold"), SOCKETS, per_cent, 50):
            kinds = {"all": [], "changes": ["-x"]}
            # Alternate, so that other load on the machine affects both.
            runs = [{name: measure(logger, options) for name, options in kinds.items()} for _ in range(REPEATS)]
        found = {name: [statistics.median(run[name][i] for run in runs) for i in (0, 1)] for name in kinds}
        for name, (size, cpu) in found.items():
            share = [value / full for value, full in zip((size, cpu), found["all"])]
            row = f"{size / 1e6:8.2f}{share[0]:8.3f}{cpu:8.2f}{share[1]:8.2f}"
            print(f"{f'{per_cent} %':24}{name:10}{row}")


if __name__ == "__main__":
    main()
