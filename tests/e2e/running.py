# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""A logger that runs while the test does, in the foreground or as a daemon."""

import contextlib
import os
import pathlib
import signal
import subprocess

from logger import command, parse_note, wait_for

# Whether to repeat tests more often, which takes too long for `make e2e`.
FULL = bool(os.environ.get("E2E_FULL"))


class Running:
    """A logger in the foreground, which writes its messages to a file.  It is killed if still running at the end."""

    def __init__(self, directory, *arguments, enter=(), **options):
        self.messages_file = directory / "messages"
        with self.messages_file.open("wb") as messages:
            line = command(*arguments, enter=enter)
            self.process = subprocess.Popen(line, stderr=messages, cwd=directory, **options)
        self.pid = self.process.pid

    def messages(self):
        return self.messages_file.read_text()

    def threads(self):
        """Returns the names of the logger's threads by thread ID."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return {int(task.name): (task / "comm").read_text().strip() for task in tasks}

    def thread(self, name):
        """Returns the ID of the logger's thread of this name."""
        (number,) = [number for number, other in self.threads().items() if other == name]
        return number

    def send(self, number):
        """Sends a signal as soon as the logger handles signals."""
        wait_for(lambda: "signals" in self.threads().values(), "the thread that handles signals")
        os.kill(self.pid, number)

    def status(self):
        """Requests the status line, and returns it as a dictionary."""

        def lines():
            return [line for line in self.messages().splitlines() if line.startswith("siftr_cdev_logger: status ")]

        before = len(lines())
        self.send(signal.SIGUSR1)
        wait_for(lambda: len(lines()) > before, "a status line")
        return parse_note(lines()[-1].removeprefix("siftr_cdev_logger: "))

    def wait(self):
        """Waits for the logger and returns its exit status."""
        return self.process.wait(timeout=20)

    def stop(self):
        """Stops the logger as an operator does.  It must exit successfully."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0, self.messages()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.process:
            self.process.kill()


def start(directory, *arguments, enter=(), **options):
    """Starts a daemon as a shell does, and returns the completed process."""
    line = command("-b", *arguments, enter=enter)
    return subprocess.run(line, capture_output=True, text=True, timeout=20, cwd=directory, **options)


def wait_for_end(pid):
    wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), f"exit of process {pid}")


def wait_for_snapshots(path, count, seconds=20):
    """Waits until a CSV log contains `count` snapshots."""
    return wait_for(
        lambda: path.exists() and path.read_bytes().count(b"\n# snapshot snapshot=") >= count,
        f"{count} snapshots in {path}",
        seconds,
    )


@contextlib.contextmanager
def strace(thread, *options):
    """Traces one thread."""
    with subprocess.Popen(["strace", "-qq", *map(str, options), "-p", str(thread)]) as process:
        try:
            status = pathlib.Path(f"/proc/{thread}/status")
            wait_for(lambda: "TracerPid:\t0\n" not in status.read_text(), "strace to attach")
            yield
        finally:
            process.send_signal(signal.SIGINT)


def failing(thread, call, error, *options):
    """Makes a system call of one thread fail while the context is active."""
    return strace(thread, "-o", "/dev/null", f"-etrace={call}", f"-einject={call}:error={error}", *options)
