# SPDX-License-Identifier: BSD-2-Clause
"""Established sockets on loopback, which the program hold has."""

import subprocess
import sys


class Sockets:
    """So many sockets; of their connections a share sends every period."""

    def __init__(self, hold, count, active_per_cent=0, period_ms=1000):
        command = [hold, str(count), str(active_per_cent), str(period_ms)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            sys.exit(f"hold said {line!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit("hold failed")
