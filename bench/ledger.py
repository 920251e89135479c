#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""CPU time of logging final records on Linux, compared with reading the kernel's messages and discarding them.

    ledger.py LOGGER FOLDER

FOLDER contains the programs churn and destroyed.  Needs root to enlarge a socket buffer.
"""

import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from scale import scale

CONNECTIONS = scale(500, 20_000, 100_000)
ROUNDS = scale(1, 5, 5)


def cpu(process):
    """Returns the CPU time in seconds of a process, which must succeed."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{process.args}: exit status {process.returncode}")
    return used.ru_utime + used.ru_stime


def discarded(programs):
    """Returns the CPU time of discarding the messages of all connections, and that of the connections."""
    process = subprocess.Popen([programs / "destroyed", str(2 * CONNECTIONS)], stdout=subprocess.PIPE)
    process.stdout.readline()
    load = cpu(subprocess.Popen([programs / "churn", str(CONNECTIONS)]))
    return cpu(process), load


def logged(logger, programs, log, form):
    """Returns the CPU time of logging the final records of all connections, and that of the connections."""
    log.unlink(missing_ok=True)
    # Only final records: no dump is requested.
    process = subprocess.Popen([logger, "-o", log, "-F", form, "-s", "1000000", "-e", "state ended"])
    while not log.exists() or log.stat().st_size == 0:
        time.sleep(0.01)
    load = cpu(subprocess.Popen([programs / "churn", str(CONNECTIONS)]))
    # The kernel sends the messages in the background.
    time.sleep(scale(0.3, 2, 3))
    process.send_signal(signal.SIGTERM)
    return cpu(process), load


def main():
    logger, programs = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        log = pathlib.Path(folder) / "log"
        table = {"messages discarded": lambda: discarded(programs)}
        for form in ("bin", "csv", "json"):
            table[f"logger -F {form}"] = lambda form=form: logged(logger, programs, log, form)
        # Alternate, so that other load on the machine affects all of them.
        runs = [{name: run() for name, run in table.items()} for _ in range(ROUNDS)]
    print(f"{2 * CONNECTIONS:,} final records of {CONNECTIONS:,} connections, median of {ROUNDS}")
    print(f"  {'':24}{'CPU s':>8}{'ratio':>8}{'us/record':>11}{'connections, CPU s':>20}")
    found = {name: [statistics.median(run[name][i] for run in runs) for i in range(2)] for name in table}
    floor = found["messages discarded"][0]
    for name, (seconds, load) in found.items():
        each = 1e6 * seconds / (2 * CONNECTIONS)
        print(f"  {name:24}{seconds:8.2f}{seconds / max(floor, 1e-3):8.2f}{each:11.2f}{load:20.2f}")


if __name__ == "__main__":
    main()
