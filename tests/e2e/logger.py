# SPDX-License-Identifier: BSD-2-Clause
"""The built logger, and its CSV log read strictly."""

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
    """What `condition` gives once it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.005)
    return value


def command(*arguments, enter=()):
    """A command line of the logger, behind a command that runs it somewhere."""
    return [*map(str, enter), LOGGER, *map(str, arguments)]


def run(*arguments, enter=()):
    """Runs the logger, which must succeed without a word of complaint; gives its standard output."""
    done = subprocess.run(command(*arguments, enter=enter), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def refuse(*arguments, enter=(), **options):
    """Runs the logger, which must fail with one sentence and write nothing to standard output; gives the sentence."""
    line = command(*arguments, enter=enter)
    done = subprocess.run(line, capture_output=True, text=True, timeout=20, **options)
    assert done.stdout == ""
    return sentence(done.returncode, done.stderr)


def sentence(status, error):
    """The one sentence of a run that failed, without the program's name and the line break."""
    assert status == 1, (status, error)
    name = "siftr_cdev_logger: "
    # A filter is printed below, with a caret where it is wrong.
    lines = 3 if error.startswith(f"{name}filter: ") else 1
    assert error.startswith(name) and error.endswith("\n") and error.count("\n") == lines, error
    assert "os error" not in error and "panicked" not in error
    return error[len(name) : -1]


NOTE_PAIR = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]+)')


def value_of(text):
    """Text in quotes and numbers as JSON has them; what else there is, such as an address, as text."""
    return json.loads(text) if re.fullmatch(r'".*"|\d+(\.\d+)?', text) else text


def parse_note(text):
    """`name key=value …` as JSON has it: a dictionary with the key `note`."""
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
    """Local address and port, foreign address and port of a row."""
    return row["laddr"], int(row["lport"]), row["faddr"], int(row["fport"])


class CsvLog:
    """A CSV log; a torn line, a second header or a row of another length is an error."""

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
        return [dict(zip(self.header, cells, strict=True)) for cells in self.cells]

    def noted(self, name):
        return [note for note in self.notes if note["note"] == name]

    def end(self):
        """Its closing line, which must be one and the last."""
        (note,) = self.noted("end")
        assert self.lines[-1].startswith("# end ")
        return note

    def numbers(self):
        """The snapshots' numbers in their order; each must have the rows that it says it has."""
        said = self.noted("snapshot")
        found = collections.Counter(int(cells[1]) for cells in self.cells)
        assert {note["snapshot"]: note["records"] for note in said if note["records"]} == found
        return [note["snapshot"] for note in said]

    def snapshots(self):
        """For each snapshot a dictionary of its rows by their ends; none may stand there twice."""
        found = {number: {} for number in self.numbers()}
        for row in self.rows:
            snapshot = found[int(row["snapshot"])]
            assert ends(row) not in snapshot, f"{ends(row)} stands twice in snapshot {row['snapshot']}"
            snapshot[ends(row)] = row
        return found


def log(*arguments, enter=()):
    """Runs the logger with a CSV log on its standard output."""
    return CsvLog(run("-o", "-", *arguments, enter=enter))


def replay(frames, *arguments):
    """A file of frames as a CSV log."""
    return log("-d", frames, "-s", 1000, *arguments)
