# SPDX-License-Identifier: BSD-2-Clause
"""A logger that runs while the test does, in the foreground or as a daemon."""

import contextlib
import os
import pathlib
import signal
import subprocess

from logger import command, parse_note, wait_for

# Whether to repeat things as often as it takes to be sure; `make e2e` has no time for that.
FULL = bool(os.environ.get("E2E_FULL"))


class Running:
    """A logger in the foreground, its messages in a file; killed if it still runs at the end."""

    def __init__(self, directory, *arguments, enter=(), **options):
        self.messages_file = directory / "messages"
        with self.messages_file.open("wb") as messages:
            line = command(*arguments, enter=enter)
            self.process = subprocess.Popen(line, stderr=messages, cwd=directory, **options)
        self.pid = self.process.pid

    def messages(self):
        return self.messages_file.read_text()

    def threads(self):
        """The names of the logger's threads by their numbers."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return {int(task.name): (task / "comm").read_text().strip() for task in tasks}

    def thread(self, name):
        """The number of the logger's thread of that name."""
        (number,) = [number for number, other in self.threads().items() if other == name]
        return number

    def send(self, number):
        """Sends a signal, once the logger is far enough to answer it."""
        wait_for(lambda: "signals" in self.threads().values(), "an answer to signals")
        os.kill(self.pid, number)

    def status(self):
        """Asks for the status line, and gives it as a dictionary."""

        def lines():
            return [line for line in self.messages().splitlines() if line.startswith("siftr_cdev_logger: status ")]

        before = len(lines())
        self.send(signal.SIGUSR1)
        wait_for(lambda: len(lines()) > before, "a status line")
        return parse_note(lines()[-1].removeprefix("siftr_cdev_logger: "))

    def wait(self):
        """The exit status."""
        return self.process.wait(timeout=20)

    def stop(self):
        """Ends it as an operator does; it must end well."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0, self.messages()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.process:
            self.process.kill()


def start(directory, *arguments, enter=(), **options):
    """Starts a daemon, as a shell does; gives what came of it."""
    line = command("-b", *arguments, enter=enter)
    return subprocess.run(line, capture_output=True, text=True, timeout=20, cwd=directory, **options)


def wait_for_end(pid):
    wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), f"the end of process {pid}")


def wait_for_snapshots(path, count, seconds=20):
    """Waits until so many snapshots stand in a CSV log."""
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
            wait_for(lambda: "TracerPid:\t0\n" not in status.read_text(), "strace has begun")
            yield
        finally:
            process.send_signal(signal.SIGINT)


def failing(thread, call, error, *options):
    """Has a system call of one thread fail meanwhile."""
    return strace(thread, "-o", "/dev/null", f"-etrace={call}", f"-einject={call}:error={error}", *options)
