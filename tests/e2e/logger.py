# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Runs the built logger, and parses its CSV log strictly."""

import collections
import csv
import functools
import json
import os
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGGER = os.environ.get("SIFTR_CDEV_LOGGER", str(ROOT / "siftr_cdev_logger"))


def wait_for(condition, what, seconds=20):
    """Waits until `condition` returns a true value, and returns the value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.005)
    return value


def command(*arguments, enter=()):
    """Returns a command line of the logger, preceded by a command that runs it, for example in a namespace."""
    return [*map(str, enter), LOGGER, *map(str, arguments)]


def run(*arguments, enter=()):
    """Runs the logger, which must succeed without messages, and returns its standard output."""
    done = subprocess.run(command(*arguments, enter=enter), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def refuse(*arguments, enter=(), **options):
    """Runs the logger, which must fail with one message and write nothing to standard output, and returns the message."""
    line = command(*arguments, enter=enter)
    done = subprocess.run(line, capture_output=True, text=True, timeout=20, **options)
    assert done.stdout == ""
    return error_message(done.returncode, done.stderr)


def error_message(status, error):
    """Returns the only message of a failed run, without the name of the program and the line break."""
    assert status == 1, (status, error)
    name = "siftr_cdev_logger: "
    # The message about a filter has two more lines: the filter, and a caret below the error.
    lines = 3 if error.startswith(f"{name}filter: ") else 1
    assert error.startswith(name) and error.endswith("\n") and error.count("\n") == lines, error
    assert "os error" not in error and "panicked" not in error
    return error[len(name) : -1]


NOTE_PAIR = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]+)')


def value_of(text):
    """Parses quoted text and numbers as JSON, and returns everything else, such as addresses, unchanged."""
    return json.loads(text) if re.fullmatch(r'".*"|\d+(\.\d+)?', text) else text


def parse_note(text):
    """Parses `name key=value …` into the dictionary of the note in JSON, in which the key `note` is the name."""
    name = re.match(r"[a-z_]+", text)
    assert name, text
    note, end = {"note": name[0]}, name.end()
    while end < len(text):
        pair = NOTE_PAIR.match(text, end)
        assert pair and pair[1] not in note, f"at {end} of {text!r}"
        note[pair[1]] = value_of(pair[2])
        end = pair.end()
    return note


def ends(row):
    """Returns local address and port, foreign address and port of a row."""
    return row["laddr"], int(row["lport"]), row["faddr"], int(row["fport"])


class CsvLog:
    """A CSV log, in which a truncated line, a second header and a row of another length are errors."""

    def __init__(self, text):
        assert text.endswith("\n"), text[-80:]
        self.lines = text.splitlines()
        self.notes = [parse_note(line.removeprefix("# ")) for line in self.lines if line.startswith("#")]
        self.header, *self.cells = csv.reader(line for line in self.lines if not line.startswith("#"))
        assert self.header[:2] == ["time", "snapshot"]
        for cells in self.cells:
            assert len(cells) == len(self.header), cells
            assert re.fullmatch(r"\d{10}\.\d{9}", cells[0]) and cells[1].isdigit(), cells

    @functools.cached_property
    def rows(self):
        """The rows as dictionaries."""
        return [dict(zip(self.header, cells, strict=True)) for cells in self.cells]

    def noted(self, name):
        """Returns the notes of this name."""
        return [note for note in self.notes if note["note"] == name]

    def end(self):
        """Returns the closing line, which must exist once and be the last line."""
        (note,) = self.noted("end")
        assert self.lines[-1].startswith("# end ")
        return note

    def numbers(self):
        """Returns the numbers of the snapshots in order.  Each must have the number of rows that its note states."""
        stated = self.noted("snapshot")
        found = collections.Counter(int(cells[1]) for cells in self.cells)
        assert {note["snapshot"]: note["records"] for note in stated if note["records"]} == found
        return [note["snapshot"] for note in stated]

    def snapshots(self):
        """Returns for each snapshot a dictionary of its rows by their ends, which must be unique, without final records."""
        found = {number: {} for number in self.numbers()}
        for row in self.rows:
            # A connection in TIME_WAIT can have its final record in the same snapshot.
            if row.get("state") == "ENDED":
                continue
            snapshot = found[int(row["snapshot"])]
            assert ends(row) not in snapshot, f"{ends(row)} occurs twice in snapshot {row['snapshot']}"
            snapshot[ends(row)] = row
        return found


def log(*arguments, enter=()):
    """Runs the logger with a CSV log on its standard output, and returns the log."""
    return CsvLog(run("-o", "-", *arguments, enter=enter))


def replay(frames, *arguments):
    """Returns a file of frames as a CSV log."""
    return log("-d", frames, "-s", 1000, *arguments)
