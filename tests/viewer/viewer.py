# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The built viewer."""

import os
import subprocess

from logger import ROOT

TCPSTATS = os.environ.get("TCPSTATS", str(ROOT / "tcpstats"))


def start(*arguments, **options):
    """Runs the viewer until it exits."""
    line = [TCPSTATS, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, timeout=120, **options)


def run(*arguments, **options):
    """Runs the viewer, which must succeed without any message; returns its standard output."""
    done = start(*arguments, **options)
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout


def refuse(*arguments, **options):
    """Runs the viewer, which must fail with one message and write nothing to standard output; returns the message."""
    done = start(*arguments, **options)
    assert done.stdout == b""
    return message_of(done)


def message_of(done):
    """Returns the only message of a run that failed, without the name of the program."""
    error = done.stderr.decode()
    assert done.returncode == 1, done
    # For a filter, its text and a caret below the mistake follow.
    lines = 3 if error.startswith("tcpstats: filter: ") else 1
    assert error.startswith("tcpstats: ") and error.endswith("\n") and error.count("\n") == lines, error
    assert "os error" not in error and "panicked" not in error
    return error.removeprefix("tcpstats: ")[:-1]
