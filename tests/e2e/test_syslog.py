# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Records and messages to rsyslogd over the local socket, UDP and TCP, and across its restart."""

import collections
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest
from logger import value_of, wait_for
from running import Running, start
from sockets import Connections

CONFIGURATION = """
module(load="imuxsock")
module(load="imudp")
module(load="imtcp")
input(type="imudp" address="127.0.0.1" port="514" rcvbufSize="8m")
input(type="imtcp" address="127.0.0.1" port="601")
template(name="all" type="string"
    string="%pri% %hostname% %app-name% %procid% %msgid% %protocol-version% %inputname%|%msg%\\n")
action(type="omfile" file="{out}" template="all" queue.type="direct")
"""


# The part of the argument of -l that follows the facility.
TRANSPORTS = {"local": "", "udp": "@127.0.0.1", "tcp": "@@127.0.0.1:601"}


class Rsyslogd:
    """rsyslogd in a network namespace, with its own /dev, in which /dev/log is its socket."""

    def __init__(self, directory, namespace):
        self.directory, self.namespace = directory, namespace
        self.out = directory / "received"
        (directory / "rsyslog.conf").write_text(CONFIGURATION.format(out=self.out))
        # The mount namespace exists while this process reads from its pipe.
        devices = "mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9"
        script = f"mount -t tmpfs dev /dev && {devices} && echo ready && read end"
        line = [*namespace.enter, "unshare", "-m", "sh", "-c", script]
        self.holder = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self.enter = [*namespace.enter, "nsenter", "-m", "-t", str(self.holder.pid)]
        self.start()

    def start(self):
        arguments = ["-n", "-f", self.directory / "rsyslog.conf", "-i", self.directory / "rsyslogd.pid"]
        self.process = subprocess.Popen([*self.enter, "rsyslogd", *arguments])
        wait_for(self.is_reachable, "rsyslogd's sockets")

    def is_reachable(self):
        with self.namespace.inside():
            probe = socket.socket()
        with probe:
            reached = probe.connect_ex(("127.0.0.1", 601)) == 0
        return reached and pathlib.Path(f"/proc/{self.holder.pid}/root/dev/log").exists()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.holder.communicate("\n")

    def received(self):
        """Returns header and text of every message of the logger."""
        if not self.out.exists():
            return []
        lines = [line.split("|", 1) for line in self.out.read_text().splitlines()]
        return [(head.split(), text.strip()) for head, text in lines if "siftr_cdev_logger" in head]

    def texts(self):
        return [text for _, text in self.received()]

    def count(self, prefix):
        """Returns the number of messages with this prefix."""
        return sum(text.startswith(prefix) for text in self.texts())


@pytest.fixture
def rsyslogd(alone, tmp_path):
    with Rsyslogd(tmp_path, alone) as made:
        yield made


def pairs(text):
    """Returns the pairs of a message, without its name."""
    return {key: value_of(value) for key, value in re.findall(r'(\w+)=("[^"]*"|\S+)', text)}


def records_of(texts):
    """Returns the records among messages."""
    return [pairs(text) for text in texts if text.startswith("time=")]


def numbers_of(texts):
    """Returns the numbers of the snapshots among messages."""
    return [pairs(text)["snapshot"] for text in texts if text.startswith("snapshot ")]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_record_is_lost_at_a_thousand_records_per_second(transport, rsyslogd, alone, tmp_path):
    with Connections("127.0.0.1", 50, alone, alone) as connections:
        # 101 records every 100 ms, for three seconds.
        arguments = ["-s", 100_000, "-t", 3, "-e", f"port {connections.port}"]
        target = "local3.notice" + TRANSPORTS[transport]
        with Running(tmp_path, "-l", target, *arguments, enter=rsyslogd.enter) as logger:
            assert (logger.wait(), logger.messages()) == (0, "")
    wait_for(lambda: rsyslogd.count("end "), "the last message")
    end = pairs(rsyslogd.texts()[-1])
    records = records_of(rsyslogd.texts())
    assert end["dropped"] == 0 and end["snapshots"] >= 25
    assert end["records"] == 101 * end["snapshots"] == len(records)
    assert numbers_of(rsyslogd.texts()) == list(range(1, end["snapshots"] + 1))
    assert set(collections.Counter(record["snapshot"] for record in records).values()) == {101}
    # local3 is 19, notice 5.
    heads = {(head[0], head[2], int(head[3])) for head, _ in rsyslogd.received()}
    assert heads == {(str(19 * 8 + 5), "siftr_cdev_logger", logger.pid)}
    if transport != "local":
        heads = {(head[1], head[4], head[5]) for head, _ in rsyslogd.received()}
        assert heads == {(socket.gethostname(), "1", "1")}, "RFC 5424"


@pytest.mark.parametrize("transport", ["local", "tcp"])
def test_the_logger_reconnects_to_a_restarted_daemon(transport, rsyslogd, alone, tmp_path):
    with Connections("127.0.0.1", 5, alone, alone) as connections:
        arguments = ["-s", 200_000, "-e", f"port {connections.port}"]
        target = "local0" + TRANSPORTS[transport]
        with Running(tmp_path, "-l", target, *arguments, enter=rsyslogd.enter) as logger:
            wait_for(lambda: rsyslogd.count("snapshot "), "records")
            # Kill it right after a snapshot, when it has read everything: unread messages would be lost.
            count = rsyslogd.count("snapshot ")
            wait_for(lambda: rsyslogd.count("snapshot ") > count, "one more snapshot")
            rsyslogd.process.kill()
            rsyslogd.process.wait()
            before = numbers_of(rsyslogd.texts())[-1]
            time.sleep(1)
            assert logger.status()["waiting"] >= 3, "snapshots are queued meanwhile"
            rsyslogd.start()
            wait_for(lambda: numbers_of(rsyslogd.texts())[-1] > before + 10, "records again")
            logger.stop()
            messages = [line for line in logger.messages().splitlines() if " status " not in line]
    assert [line.rsplit("; ", 1)[-1] for line in messages] == [
        "retrying",
        f"siftr_cdev_logger: syslog {target}: reconnected",
    ]
    assert re.match(rf"siftr_cdev_logger: syslog {target}: [A-Z][a-z ]+; retrying$", messages[0])
    wait_for(lambda: rsyslogd.count("end "), "the last message")
    numbers = numbers_of(rsyslogd.texts())
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(records_of(rsyslogd.texts())) == 11 * len(numbers)


def test_the_sandbox_allows_reconnecting_over_tcp(rsyslogd, tmp_path):
    arguments = ["-l", "local0" + TRANSPORTS["tcp"], "-s", 20_000, "-e", "port 1", "-u", "nobody"]
    with Running(tmp_path, *arguments, enter=rsyslogd.enter) as logger:
        wait_for(lambda: rsyslogd.count("snapshot "), "records")
        logger.send(signal.SIGHUP)
        count = rsyslogd.count("snapshot ")
        wait_for(lambda: rsyslogd.count("snapshot ") > count + 10, "records over a new connection")
        logger.stop()
    assert {pairs(text)["sandbox"] for text in rsyslogd.texts() if text.startswith("log ")} == {"landlock"}


def test_a_daemon_sends_its_messages_to_syslog(rsyslogd, tmp_path):
    log, pidfile = tmp_path / "x.csv", tmp_path / "x.pid"
    arguments = ["-v", "-p", pidfile, "-o", log, "-s", 20_000, "-e", "port 1"]
    started = start(tmp_path, *arguments, enter=rsyslogd.enter)
    assert (started.returncode, started.stderr) == (0, "")
    pid = int(pidfile.read_text())
    try:
        # Before and after a restart of rsyslogd.
        for restart in False, True:
            if restart:
                rsyslogd.stop()
                rsyslogd.start()
            os.kill(pid, signal.SIGUSR1)
            wait_for(lambda: rsyslogd.count("status uptime_s=") == 1 + restart, "the status")
        log.rename(tmp_path / "old")
        log.mkdir()
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: rsyslogd.count("log "), "a warning")
        log.rmdir()
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: rsyslogd.count("log ") == 2, "a message")
    finally:
        os.kill(pid, signal.SIGTERM)
    assert [text for text in rsyslogd.texts() if text.startswith("log ")] == [
        f"log {log}: Is a directory; keeping the old file",
        f"log {log}: reopened",
    ]
    assert all(pairs(text)["log"] == str(log) for text in rsyslogd.texts() if text.startswith("status "))
    # daemon is 3, warning 4, info 6.
    heads = [(int(head[0]) - 3 * 8, head[2], head[3]) for head, _ in rsyslogd.received()]
    assert heads == [(level, "siftr_cdev_logger", str(pid)) for level in (6, 6, 4, 6)]
