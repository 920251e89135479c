# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Established sockets on loopback, held by the program hold."""

import subprocess
import sys


class Sockets:
    """A context with `count` open sockets; `active_per_cent` per cent of their connections send in every period."""

    def __init__(self, hold, count, active_per_cent=0, period_ms=1000):
        command = [hold, str(count), str(active_per_cent), str(period_ms)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            sys.exit(f"hold: expected \"ready\", got {line!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit(f"hold: exit status {self.process.returncode}")
