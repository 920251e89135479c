#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""CPU time of a snapshot on Linux: the logger compared with ss(8), and with requesting a dump and discarding it.

    sampling.py LOGGER FOLDER [SOCKETS...]

FOLDER contains the programs hold and floor.  SOCKETS is 1,000 and 10,000 by default; with BENCH=full also 100,000 and
500,000.
"""

import collections
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from scale import scale
from sockets import Sockets

COUNTS = scale([200], [1000, 10_000], [1000, 10_000, 100_000, 500_000])

# Approximate CPU time of one measurement in seconds, long enough for the resolution of the kernel's accounting.
MINIMUM_S = scale(0.01, 0.4, 0.4)

# With fewer snapshots the memory allocation of the first ones would dominate.
MINIMUM_SNAPSHOTS = scale(3, 10, 10)


def peak_kib(pid, known):
    """Returns the peak memory of a process in KiB, or `known` if the process has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return known
    return int(found.group(1)) if found else known


def usage(command, output):
    """Returns the CPU time in seconds and the peak memory in KiB of a command, which must succeed."""
    with open(output, "wb") as file:
        process = subprocess.Popen(command, stdout=file, cwd=os.path.dirname(output))
    # The maximum from wait4 is not used, because it starts with the memory of this program.
    peak = 0
    while True:
        peak = peak_kib(process.pid, peak)
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid != 0:
            break
        time.sleep(0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command}: exit status {process.returncode}")
    return used.ru_utime + used.ru_stime, peak


def commands(logger, floor, repeats, folder, listener, frame):
    """Yields names and command lines that take `repeats` snapshots."""
    log = str(folder / "log")
    sample = [logger, "-c", str(repeats), "-s", "1000", "-o", log]
    yield "floor: dumps discarded", [floor, str(repeats)]
    yield "floor, writing as much as bin", [floor, str(repeats), str(frame)]
    yield "ss -tinO to a file", ["sh", "-c", f"for i in $(seq {repeats}); do ss -tinO > {log}; done"]
    for name in ("bin", "csv", "json", "siftr"):
        yield f"logger -F {name}", [*sample, "-F", name]
    yield "logger -F csv -e, 1 in 100", [*sample, "-F", "csv", "-e", listener]


def one_in_100(logger, count):
    """Returns a filter on a range of ports that matches one hundredth of the sockets or slightly more."""
    command = [logger, "-c", "1", "-O", "lport", "-F", "csv", "-o", "-"]
    log = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    sockets = collections.Counter(int(line.rsplit(",", 1)[1]) for line in log.splitlines() if line[0].isdigit())
    found, ports = 0, []
    for port, each in sorted(sockets.items()):
        # All sockets of a server have the same port.
        if each < count / 100:
            ports.append(port)
            found += each
        else:
            found, ports = 0, []
        if found >= count / 100:
            return f"lport >= {ports[0]} and lport <= {ports[-1]}"
    sys.exit("no range of ports contains one hundredth of the sockets")


def measure(logger, programs, count):
    with Sockets(programs / "hold", count), tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = pathlib.Path(name)

        def cpu(command):
            used = usage(command, folder / "output")
            size = sum(file.stat().st_size for file in folder.iterdir())
            for file in folder.iterdir():
                file.unlink()
            return *used, size

        once = max(cpu([programs / "floor", "20"])[0] / 20, 1e-5)
        repeats = max(MINIMUM_SNAPSHOTS, round(MINIMUM_S / once))
        rounds = scale(1, 7, 7 if count <= 10_000 else 3)
        *_, frame = cpu([logger, "-c", "1", "-F", "bin", "-o", str(folder / "log")])
        table = dict(commands(logger, programs / "floor", repeats, folder, one_in_100(logger, count), frame))
        # Alternate, so that other load on the machine affects all of them.
        runs = [{name: cpu(command) for name, command in table.items()} for _ in range(rounds)]
    found = {name: [statistics.median(run[name][i] for run in runs) for i in range(3)] for name in table}
    floor, _, ss = (found[name][0] for name in list(table)[:3])
    print(f"{count:,} sockets, {repeats} snapshots, median of {rounds}")
    print(f"  {'':34}{'CPU ms':>9}{'of floor':>10}{'of ss':>8}{'ns/socket':>13}{'MB':>8}{'RSS MB':>8}")
    for name, (seconds, rss_kib, size) in found.items():
        numbers = f"{1e3 * seconds / repeats:9.2f}{seconds / floor:10.2f}{seconds / ss:8.2f}"
        # ss overwrites its file each time.
        megabytes = size / 1e6 / (1 if name.startswith("ss") else repeats)
        each = 1e9 * seconds / repeats / count
        print(f"  {name:34}{numbers}{each:13,.0f}{megabytes:8.2f}{rss_kib / 1024:8.1f}")


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    release = os.uname().release
    return f"{model.group(1) if model else os.uname().machine}, {os.cpu_count()} processors, Linux {release}"


def main():
    logger, programs, *counts = sys.argv[1:]
    print(f"CPU time per snapshot, user and system; {machine()}")
    for count in map(int, counts or COUNTS):
        measure(os.path.abspath(logger), pathlib.Path(programs).resolve(), count)


if __name__ == "__main__":
    main()
