# SPDX-License-Identifier: BSD-2-Clause
"""The built logger, and its CSV log read strictly."""

import contextlib
import csv
import json
import os
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGGER = os.environ.get("SIFTR_CDEV_LOGGER", str(ROOT / "siftr_cdev_logger"))


def wait_for(condition, what, seconds=20):
    """What `condition` gives once it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def command(*arguments, place=None):
    return [*(place.enter if place else []), LOGGER, *map(str, arguments)]


def run(*arguments, place=None):
    """Runs the logger, which must succeed without a word of complaint; gives its standard output."""
    done = subprocess.run(command(*arguments, place=place), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def refuse(*arguments, **options):
    """Runs the logger, which must fail with one sentence and write nothing to standard output; gives the sentence."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=20, **options)
    assert done.stdout == ""
    return sentence(done.returncode, done.stderr)


def sentence(status, error):
    """The one sentence of a run that failed."""
    assert status == 1, (status, error)
    assert error.startswith("siftr_cdev_logger: ") and error.endswith("\n") and error.count("\n") == 1, error
    assert "os error" not in error and "panicked" not in error
    return error


@contextlib.contextmanager
def running(*arguments):
    """The logger while it runs; killed if it still does at the end."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


NOTE_PAIR = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[0-9.]+)')


def parse_note(text):
    """`name key=value …` as JSON has it: a dictionary with the key `note`."""
    name = re.match(r"[a-z]+", text)
    assert name, text
    note, end = {"note": name[0]}, name.end()
    while end < len(text):
        pair = NOTE_PAIR.match(text, end)
        assert pair and pair[1] not in note, f"at {end} of {text!r}"
        note[pair[1]] = json.loads(pair[2])
        end = pair.end()
    return note


def ends(row):
    """Local address and port, foreign address and port of a row."""
    return row["laddr"], int(row["lport"]), row["faddr"], int(row["fport"])


class CsvLog:
    """A CSV log; a torn line, a second header or a row of another length is an error."""

    def __init__(self, text):
        assert text.endswith("\n"), text[-80:]
        self.lines = text.splitlines()
        self.notes = [parse_note(line.removeprefix("# ")) for line in self.lines if line.startswith("#")]
        self.header, *rows = csv.reader(line for line in self.lines if not line.startswith("#"))
        assert self.header[:2] == ["time", "snapshot"]
        self.rows = [dict(zip(self.header, row, strict=True)) for row in rows]
        assert all(row["snapshot"].isdigit() for row in self.rows)

    def noted(self, name):
        return [note for note in self.notes if note["note"] == name]

    def snapshots(self):
        """For each snapshot a dictionary of its rows by their ends; none may stand there twice."""
        found = {note["snapshot"]: {} for note in self.noted("snapshot")}
        for row in self.rows:
            snapshot = found[int(row["snapshot"])]
            assert ends(row) not in snapshot, f"{ends(row)} stands twice in snapshot {row['snapshot']}"
            snapshot[ends(row)] = row
        return found


def log(*arguments, place=None):
    """Runs the logger with a CSV log on its standard output."""
    return CsvLog(run("-o", "-", *arguments, place=place))


def replay(frames, *arguments):
    """A file of frames as a CSV log."""
    return log("-d", frames, "-s", 1000, *arguments)
