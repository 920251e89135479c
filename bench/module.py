#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Cost of the module per connection, in the fake kernel.

    module.py RUN

RUN is the program of tests/kmod/fake.  The times exclude the fake kernel's own walk.  The instructions are those of
the module's functions alone, counted by valgrind's callgrind, so that they can be compared across machines.
"""

import os
import re
import subprocess
import sys
import tempfile

from scale import scale

MODES = {
    "binary": "binary",
    "text": "text, basic columns",
    "reject": "excluded by ports",
    "reject-locked": "excluded by user and jail",
    "quiet": "changes, all quiet",
}

# The module's own functions in the output of callgrind.  Copying by the C library is not included.
OWN = re.compile(r"siftr_cdev|tcpstats|core::|is_selected|is_excluded|is_quiet|is_locked_now|must_wait")


def measure(run, count):
    """Returns for each mode the number of reads, then per connection: nanoseconds, bytes read, bytes of memory, and the
    nanoseconds of the kernel's walk."""
    done = subprocess.run([run, "measure", str(count)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return {name: [float(number) for number in rest] for name, *rest in map(str.split, done.stdout.splitlines())}


def instructions(run, count, way):
    """Returns the number of instructions of the module per connection."""
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
    if not own and "without" not in way:
        sys.exit("callgrind: no function of the module found")
    if way == "quiet":
        # The first snapshot contains all connections.
        return (sum(own) / count - instructions(run, count, "binary")) / (reads - 1)
    return sum(own) / reads / count


def ended(run, count, way):
    """Returns the number of instructions of the module per connection that ends, without those that do not depend on
    the number of connections."""
    few, many = (instructions(run, number, way) * number for number in (count // 2, count))
    return (many - few) / (count - count // 2)


def main():
    (run,) = sys.argv[1:]
    counts = scale([1000], [1000, 10_000, 100_000], [1000, 10_000, 100_000, 1_000_000])
    print("the module in the fake kernel, per connection: time and memory by number of connections, and instructions")
    found = {count: measure(run, count) for count in counts}
    print(f"{'':26}" + "".join(f"{count:>11,}" for count in counts) + f"{'instr.':>10}")
    for way, what in MODES.items():
        times = "".join(f"{found[count][way][1]:8.0f} ns" for count in counts)
        print(f"{what:26}{times}{instructions(run, scale(100, 2000, 2000), way):10.0f}")
    for way, what in (("ended", "a connection that ends"), ("ended-without-reader", "the same, without ledger")):
        print(f"{what:26}{'':{11 * len(counts)}}{ended(run, scale(100, 2000, 2000), way):10.0f}")
    memory = "".join(f"{found[count]['binary'][3]:9.0f} B" for count in counts)
    print(f"{'memory for a snapshot':26}{memory}")


if __name__ == "__main__":
    main()
