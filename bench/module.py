#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the module costs a connection, in the fake kernel: module.py RUN, the program of tests/kmod/fake.

Time is without that of the fake kernel's own walk.  Instructions are those of the module's functions alone, by
valgrind's callgrind, so that they compare across machines.
"""

import os
import re
import subprocess
import sys
import tempfile

from scale import scale

WAYS = {"binary": "binary, 76 fields", "text": "text, 40 basic columns", "reject": "a filter that rejects"}

# The module's own functions, as callgrind names them; the C library's copying counts where the module does it.
OWN = re.compile(r"siftr_cdev|tcpstats|core::")


def measure(run, count):
    """For each way: how often it was read; nanoseconds, bytes, and bytes of memory a connection; the kernel's walk."""
    done = subprocess.run([run, "measure", str(count)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return {name: [float(number) for number in rest] for name, *rest in map(str.split, done.stdout.splitlines())}


def instructions(run, count, way):
    """Instructions of the module a connection."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "callgrind")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", run, "measure", str(count), way]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        reads = int(done.stdout.split()[1])
        table = subprocess.run(
            ["callgrind_annotate", "--threshold=100", "--auto=no", out], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    rows = re.findall(r"^ *([\d,]+) \([ \d.]+%\)  \S+?:(.*)$", table, re.M)
    own = [int(number.replace(",", "")) for number, name in rows if OWN.search(name) and "kmod_fake" not in name]
    if not own:
        sys.exit("callgrind names no function of the module")
    return sum(own) / reads / count


def main():
    (run,) = sys.argv[1:]
    counts = scale([1000], [1000, 10_000, 100_000], [1000, 10_000, 100_000, 1_000_000])
    print("the module in the fake kernel, a connection: ns and KiB of memory by connections, and instructions")
    found = {count: measure(run, count) for count in counts}
    print(f"{'':26}" + "".join(f"{count:>11,}" for count in counts) + f"{'instr.':>10}")
    for way, what in WAYS.items():
        times = "".join(f"{found[count][way][1]:8.0f} ns" for count in counts)
        print(f"{what:26}{times}{instructions(run, scale(100, 2000, 2000), way):10.0f}")
    memory = "".join(f"{found[count]['binary'][3]:9.0f} B" for count in counts)
    print(f"{'memory of a snapshot':26}{memory}")


if __name__ == "__main__":
    main()
