# SPDX-License-Identifier: BSD-2-Clause
"""Records and messages to rsyslogd: over the local socket, UDP and TCP, and across its restart."""

import collections
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest
from running import LOGGER, Running, connections, wait_until

CONFIGURATION = """
module(load="imuxsock")
module(load="imudp")
module(load="imtcp")
input(type="imudp" address="127.0.0.1" port="{udp}" rcvbufSize="8m")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
template(name="all" type="string"
    string="%pri% %hostname% %app-name% %procid% %msgid% %protocol-version% %inputname%|%msg%\\n")
action(type="omfile" file="{out}" template="all" queue.type="direct")
"""


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Rsyslogd:
    """rsyslogd with a /dev of its own, in which /dev/log is its socket."""

    def __init__(self, directory):
        self.directory = directory
        self.out = directory / "received"
        self.udp, self.tcp = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        configuration = directory / "rsyslog.conf"
        configuration.write_text(CONFIGURATION.format(udp=self.udp, tcp=self.tcp, out=self.out))
        # A mount namespace that lives as long as this process of ours reads from its pipe.
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", "mount -t tmpfs dev /dev && mknod -m 666 /dev/null c 1 3 && "
             "mknod -m 666 /dev/urandom c 1 9 && echo ready && read end"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        assert self.holder.stdout.readline() == "ready\n"
        self.inside = ["nsenter", "-m", "-t", str(self.holder.pid)]
        self.start()

    def start(self):
        pid = self.directory / "rsyslogd.pid"
        self.process = subprocess.Popen(
            [*self.inside, "rsyslogd", "-n", "-f", self.directory / "rsyslog.conf", "-i", pid]
        )
        wait_until(lambda: self.reachable(), "rsyslogd's sockets")

    def reachable(self):
        try:
            socket.create_connection(("127.0.0.1", self.tcp)).close()
        except ConnectionRefusedError:
            return False
        return pathlib.Path(f"/proc/{self.holder.pid}/root/dev/log").exists()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)

    def end(self):
        if self.process.poll() is None:
            self.stop()
        self.holder.communicate("\n")

    def received(self):
        """Head and text of every message of the logger."""
        if not self.out.exists():
            return []
        lines = [line.split("|", 1) for line in self.out.read_text().splitlines()]
        return [(head.split(), text.strip()) for head, text in lines if "siftr_cdev_logger" in head]


@pytest.fixture
def rsyslogd(tmp_path):
    made = Rsyslogd(tmp_path)
    yield made
    made.end()


def records_of(received):
    return [text for _, text in received if text.startswith("time=")]


def numbers_of(received):
    return [int(re.match(r"snapshot snapshot=(\d+) ", text)[1]) for _, text in received if text.startswith("snapshot ")]


def place(rsyslogd, transport):
    return {"local": "", "udp": f"@127.0.0.1:{rsyslogd.udp}", "tcp": f"@@127.0.0.1:{rsyslogd.tcp}"}[transport]


@pytest.mark.parametrize("transport", ["local", "udp", "tcp"])
def test_no_record_is_lost_at_a_thousand_a_second(transport, rsyslogd, tmp_path):
    made = connections(50)
    # 101 records ten times a second, for three seconds.
    arguments = ["-l", "local3.notice" + place(rsyslogd, transport), "-s", 100_000, "-t", 3, "-e", f"port {made.port}"]
    with Running(tmp_path, *arguments, command=rsyslogd.inside) as logger:
        assert logger.process.wait(timeout=20) == 0, logger.messages()
        pid = logger.pid
    made.close()
    wait_until(lambda: any(text.startswith("end ") for _, text in rsyslogd.received()), "the last message")
    received = rsyslogd.received()
    end = dict(pair.split("=") for pair in received[-1][1].split()[1:])
    assert end["dropped"] == "0" and int(end["snapshots"]) >= 25
    assert int(end["records"]) == 101 * int(end["snapshots"]) == len(records_of(received))
    assert numbers_of(received) == list(range(1, int(end["snapshots"]) + 1))
    # local3 is 19, notice 5.
    heads = {(head[0], head[2], int(head[3])) for head, _ in received}
    assert heads == {(str(19 * 8 + 5), "siftr_cdev_logger", pid)}
    if transport != "local":
        assert {(head[1], head[4], head[5]) for head, _ in received} == {(socket.gethostname(), "1", "1")}, "RFC 5424"
    seen = collections.Counter(dict(pair.split("=", 1) for pair in text.split())["snapshot"] for text in records_of(received))
    assert set(seen.values()) == {101}


@pytest.mark.parametrize("transport", ["local", "tcp"])
def test_a_restarted_daemon_is_reached_again(transport, rsyslogd, tmp_path):
    made = connections(5)
    arguments = ["-l", "local0" + place(rsyslogd, transport), "-s", 200_000, "-e", f"port {made.port}"]
    with Running(tmp_path, *arguments, command=rsyslogd.inside) as logger:
        wait_until(lambda: numbers_of(rsyslogd.received()), "records")
        # Right behind a snapshot, when nothing is on its way: what rsyslogd has not read is lost with it.
        count = len(numbers_of(rsyslogd.received()))
        wait_until(lambda: len(numbers_of(rsyslogd.received())) > count, "one more snapshot")
        rsyslogd.process.kill()
        rsyslogd.process.wait()
        before = numbers_of(rsyslogd.received())[-1]
        time.sleep(1)
        assert logger.status()["waiting"] >= 3, "the queue holds what is taken meanwhile"
        rsyslogd.start()
        wait_until(lambda: numbers_of(rsyslogd.received())[-1] > before + 10, "records again")
        logger.stop()
        assert logger.messages().count("it is waited for") == logger.messages().count("it is reached again") == 1
    made.close()
    wait_until(lambda: any(text.startswith("end ") for _, text in rsyslogd.received()), "the last message")
    numbers = numbers_of(rsyslogd.received())
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(records_of(rsyslogd.received())) == 11 * len(numbers)


def test_the_sandbox_lets_tcp_be_connected_to_again(rsyslogd, tmp_path):
    arguments = ["-l", "local0" + place(rsyslogd, "tcp"), "-s", 20_000, "-e", "port 1", "-u", "nobody"]
    with Running(tmp_path, *arguments, command=rsyslogd.inside) as logger:
        wait_until(lambda: numbers_of(rsyslogd.received()), "records")
        logger.send(signal.SIGHUP)
        count = len(numbers_of(rsyslogd.received()))
        wait_until(lambda: len(numbers_of(rsyslogd.received())) > count + 10, "records over a new connection")
        logger.stop()
    assert any('sandbox="landlock"' in text for _, text in rsyslogd.received())


def test_a_daemon_tells_its_messages_to_syslog(rsyslogd, tmp_path):
    log, pidfile = tmp_path / "x.csv", tmp_path / "x.pid"
    started = subprocess.run(
        [*rsyslogd.inside, LOGGER, "-b", "-v", "-p", pidfile, "-o", log, "-s", "20000", "-e", "port 1"],
        capture_output=True, text=True, timeout=20,
    )
    assert (started.returncode, started.stderr) == (0, "")
    pid = int(pidfile.read_text())
    try:
        # Also across a restart of rsyslogd.
        for restart in (False, True):
            if restart:
                rsyslogd.stop()
                rsyslogd.start()
            os.kill(pid, signal.SIGUSR1)
            wait_until(
                lambda: sum("status uptime_s=" in text for _, text in rsyslogd.received()) == 1 + restart, "the status"
            )
        log.rename(tmp_path / "old")
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: any("goes on in a new file" in text for _, text in rsyslogd.received()), "a message")
    finally:
        os.kill(pid, signal.SIGTERM)
    # daemon is 3, info 6.
    heads = {(head[0], head[2], head[3]) for head, _ in rsyslogd.received()}
    assert heads == {(str(3 * 8 + 6), "siftr_cdev_logger", str(pid))}
