# SPDX-License-Identifier: BSD-2-Clause
"""The built viewer."""

import os
import subprocess

from logger import ROOT

TCPSTATS = os.environ.get("TCPSTATS", str(ROOT / "tcpstats"))


def start(*arguments, **options):
    """Runs the viewer to its end, whatever comes of it."""
    line = [TCPSTATS, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, timeout=120, **options)


def run(*arguments, **options):
    """Runs the viewer, which must succeed without a word of complaint; gives its standard output."""
    done = start(*arguments, **options)
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout


def refuse(*arguments, **options):
    """Runs the viewer, which must fail with one sentence and write nothing to standard output; gives the sentence."""
    done = start(*arguments, **options)
    assert done.stdout == b""
    return sentence(done)


def sentence(done):
    """The one sentence of a run that failed, without the program's name and the line break."""
    error = done.stderr.decode()
    assert done.returncode == 1, done
    # A filter is printed below, with a caret where it is wrong.
    lines = 3 if error.startswith("tcpstats: filter: ") else 1
    assert error.startswith("tcpstats: ") and error.endswith("\n") and error.count("\n") == lines, error
    assert "os error" not in error and "panicked" not in error
    return error.removeprefix("tcpstats: ")[:-1]
