#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""CPU time of finding the processes that have sockets open on Linux, compared with a snapshot without owners and with ss -tnp.

    owners.py FOLDER

FOLDER contains the programs hold and owners.  Needs root to inspect all processes."""

import contextlib
import os
import resource
import statistics
import subprocess
import sys

from scale import scale
from sockets import Sockets

SOCKETS = scale(60, 10_000, 10_000)
PROCESSES = scale(3, 50, 50)
CALLS = scale(3, 30, 60)
INTERVAL_MS = scale(50, 1000, 1000)
REPEATS = scale(1, 5, 5)


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ss():
    """Returns the CPU time of ss in milliseconds."""
    before = children_cpu()
    subprocess.run(["ss", "-tnp"], stdout=subprocess.DEVNULL, check=True)
    return 1000 * (children_cpu() - before)


def main():
    (programs,) = sys.argv[1:]
    hold, owners = (os.path.join(programs, name) for name in ("hold", "owners"))
    print(f"{SOCKETS:,} sockets of {PROCESSES} processes, {CALLS} snapshots, one every {INTERVAL_MS} ms, CPU ms")
    print(f"{'active':>8}{'snapshot':>10}{'owners':>9}{'ratio':>7}{'first':>8}{'largest':>9}{'ss -tnp':>9}{'found':>9}")
    for per_cent in (0, 10, 100):
        with contextlib.ExitStack() as stack:
            for _ in range(PROCESSES):
                stack.enter_context(Sockets(hold, SOCKETS // PROCESSES, per_cent, INTERVAL_MS))
            reference = statistics.median(ss() for _ in range(REPEATS))
            line = subprocess.run([owners, str(CALLS), str(INTERVAL_MS)], stdout=subprocess.PIPE, text=True, check=True).stdout
        snapshot, first, median, largest, opened, found = map(float, line.split())
        row = f"{snapshot:10.2f}{median:9.2f}{median / snapshot:7.2f}{first:8.1f}{largest:9.1f}{reference:9.1f}"
        print(f"{f'{per_cent} %':>8}{row}{100 * found / max(opened, 1):7.1f} %")


if __name__ == "__main__":
    main()
