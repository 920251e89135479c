# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Dropped privileges and the sandbox: the running process itself tries what it can do."""

import os
import pathlib
import signal
import socket
import subprocess

import pytest
from logger import CsvLog, wait_for
from running import start, wait_for_end, wait_for_snapshots

NOBODY = 65534


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """The library that makes the logger try operations; see probe.c."""
    library = tmp_path_factory.mktemp("probe") / "probe.so"
    source = pathlib.Path(__file__).with_name("probe.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", library, source], check=True)
    return library


class Daemon:
    """A logger in the background, with the library loaded."""

    def __init__(self, directory, library, *arguments):
        self.logs, self.outside = directory / "logs", directory / "outside"
        for each in (self.logs, self.outside):
            each.mkdir()
            os.chown(each, NOBODY, NOBODY)
        self.log, self.pidfile = self.logs / "x.csv", directory / "x.pid"
        self.existing = self.outside / "existing"
        self.existing.write_text("")
        self.existing.chmod(0o666)
        self.listener = socket.create_server(("127.0.0.1", 0))
        environment = {
            "LD_PRELOAD": library,
            "PROBE_DIRECTORY": self.logs,
            "PROBE_OUTSIDE": self.outside,
            "PROBE_EXISTING": self.existing,
            "PROBE_LOG": self.log,
            "PROBE_PORT": self.listener.getsockname()[1],
        }
        done = start(
            directory,
            *["-p", self.pidfile, "-o", self.log, "-s", 5000, "-e", "port 1", *arguments],
            env=os.environ | {key: str(value) for key, value in environment.items()},
            # As after a login as root.
            extra_groups=[0, 4, 24],
        )
        assert (done.returncode, done.stderr) == (0, "")
        self.pid = int(self.pidfile.read_text())

    def state(self):
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}

    def results(self):
        """Makes the process try the operations, and returns their results."""
        report = self.logs / "report"
        os.kill(self.pid, signal.SIGUSR2)
        wait_for(lambda: report.exists() and "connect=" in report.read_text(), "the report")
        return dict(line.split("=") for line in report.read_text().splitlines())

    def rotate(self):
        old = self.log.with_name("x.csv.0")
        self.log.rename(old)
        os.kill(self.pid, signal.SIGHUP)
        wait_for_snapshots(self.log, 5)
        return old

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        wait_for_end(self.pid)


@pytest.fixture
def daemon(reachable, probe):
    """Starts a daemon, which is stopped after the test."""
    made = []

    def make(*arguments):
        made.append(Daemon(reachable, probe, *arguments))
        return made[0]

    yield make
    for each in made:
        each.listener.close()
        if pathlib.Path(f"/proc/{each.pid}").exists():
            each.end()


def test_as_nobody_in_the_sandbox_it_can_only_log_and_rotate(daemon):
    made = daemon("-u", "nobody")
    state = made.state()
    assert set(state["Uid"]) == {str(NOBODY)} and set(state["Gid"]) == {str(NOBODY)}
    assert set(state["Groups"]) <= {str(NOBODY)}, "no groups of root"
    assert state["NoNewPrivs"] == ["1"] and state["CapEff"] == state["CapPrm"] == ["0000000000000000"]
    assert made.results() == {
        "read_shadow": "EACCES",
        "read_passwd": "EACCES",
        "create_outside": "EACCES",
        "write_outside": "EACCES",
        "write_tmp": "EACCES",
        "make_directory": "EACCES",
        "remove_log": "EACCES",
        "execute": "EACCES",
        "become_root": "EPERM",
        "list_descriptors": "EACCES",
        "enter_namespace": "EPERM",
        "connect": "EACCES",
    }
    wait_for_snapshots(made.log, 5)
    old = made.rotate()
    assert (made.log.stat().st_uid, made.log.stat().st_mode & 0o777) == (NOBODY, 0o640)
    assert old.stat().st_uid == NOBODY, "also the file that root created"
    assert 'sandbox="landlock"' in made.log.read_text()
    numbers = CsvLog(old.read_text()).numbers()
    assert numbers == list(range(1, len(numbers) + 1))


def test_root_is_confined_too(daemon):
    made = daemon()
    state = made.state()
    assert set(state["Uid"]) == {"0"} and set(state["Groups"]) == {"0", "4", "24"}
    assert state["NoNewPrivs"] == ["1"]
    results = made.results()
    # Landlock does not restrict setuid(2) and setns(2), and the process already is root in this namespace.
    assert results.pop("become_root") == results.pop("enter_namespace") == "done"
    assert set(results.values()) == {"EACCES"} and len(results) == 10
    made.rotate()


def test_without_the_sandbox_the_same_operations_succeed_and_the_log_reports_it(daemon):
    """Checks the other tests: without the sandbox only the permissions of nobody apply."""
    made = daemon("-u", "nobody:daemon", "--no-sandbox")
    assert set(made.state()["Gid"]) == {"1"}
    assert made.state()["NoNewPrivs"] == ["0"]
    assert 'sandbox="off"' in made.log.read_text()
    os.kill(made.pid, signal.SIGUSR2)
    # execl succeeds, so the logger is gone.
    wait_for_end(made.pid)
    assert (made.outside / "created").exists() and (made.logs / "subdirectory").is_dir()
    assert not made.log.exists() and pathlib.Path("/tmp/siftr_cdev_probe").exists()
    pathlib.Path("/tmp/siftr_cdev_probe").unlink()
