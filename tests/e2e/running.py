# SPDX-License-Identifier: BSD-2-Clause
"""A logger that runs while the test does, and what is in its log."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time

from test_log import LOGGER, Pairs

# Whether to repeat things as often as it takes to be sure; `make e2e` has no time for that.
FULL = bool(os.environ.get("E2E_FULL"))


def wait_until(true, what, seconds=10):
    """Waits until a condition holds, and gives what it gave."""
    limit = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < limit, f"{what} did not come about in {seconds} s"
        time.sleep(0.005)


class Running:
    """A logger in the foreground, its messages in a file."""

    def __init__(self, directory, *arguments, command=(), **options):
        self.messages_file = pathlib.Path(directory) / "messages"
        with self.messages_file.open("ab") as messages:
            self.process = subprocess.Popen(
                [*command, LOGGER, *map(str, arguments)], stderr=messages, cwd=directory, **options
            )
        self.pid = self.process.pid

    def messages(self):
        return self.messages_file.read_text()

    def send(self, number):
        """Sends a signal, once the logger is far enough to answer it."""
        wait_until(lambda: "signals" in self.threads().values(), "an answer to signals")
        os.kill(self.pid, number)

    def threads(self):
        """The names of the logger's threads by their numbers."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return {int(task.name): (task / "comm").read_text().strip() for task in tasks}

    def status(self):
        """Asks for the status line, and gives it as a dictionary."""
        before = self.messages().count("status uptime_s=")
        self.send(signal.SIGUSR1)
        wait_until(lambda: self.messages().count("status uptime_s=") > before, "a status line")
        line = [each for each in self.messages().splitlines() if "status uptime_s=" in each][-1]
        pairs = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line))
        return {key: value if value[0] == '"' else float(value) for key, value in pairs.items()}

    def thread(self, name):
        """The number of the logger's thread of that name."""
        (number,) = [number for number, other in self.threads().items() if other == name]
        return number

    def stop(self):
        """Ends it as an operator does; it must end well."""
        self.send(signal.SIGTERM)
        assert self.process.wait(timeout=20) == 0, self.messages()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


def wait_for_snapshots(log, count, seconds=10):
    """Waits until so many snapshots stand in a CSV log."""
    return wait_until(
        lambda: log.exists() and log.read_bytes().count(b"\n# snapshot snapshot=") >= count,
        f"{count} snapshots in {log}",
        seconds,
    )


NUMBER_OF = re.compile(rb"^# snapshot snapshot=(\d+) .* records=(\d+) ", re.MULTILINE)
GAP = re.compile(r'^# gap snapshots=(\d+) records=(\d+) first=(\d+) last=(\d+) why="(.*)"$', re.MULTILINE)


def whole_lines(data):
    """Checks that every line of a CSV log is whole, and gives the header's cells and the rows."""
    assert data.endswith(b"\n"), data[-200:]
    header, rows = None, []
    for line in data.decode().splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r'# \w+( \w+=("([^"\\]|\\.)*"|\S+))+', line), line
        elif line.startswith("time,snapshot,"):
            header = line.split(",")
        else:
            cells = line.split(",")
            assert header and len(cells) == len(header), line
            assert re.fullmatch(r"\d{10}\.\d{9}", cells[0]), line
            rows.append(cells)
    return header, rows


def snapshots_of(data):
    """The numbers of a CSV log's snapshots; each must have the rows that it says it has."""
    _, rows = whole_lines(data)
    said = [(int(number), int(records)) for number, records in NUMBER_OF.findall(data)]
    found = {}
    for cells in rows:
        found[int(cells[1])] = found.get(int(cells[1]), 0) + 1
    assert {number: records for number, records in said if records} == found
    return [number for number, _ in said]


def lost_about(records, each, snapshots):
    """Whether so many records are those of the snapshots.

    While other sockets of the machine come and go, the kernel's dump may show one twice or not at all.
    """
    return abs(records - each * snapshots) <= 0.02 * each * snapshots


def connections(count):
    """That many connections on loopback."""
    return Pairs(socket.AF_INET, "127.0.0.1", count)


