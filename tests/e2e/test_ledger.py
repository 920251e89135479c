# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Final records: each connection that ends has one, with what the application sent and received."""

import collections
import json
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time

import bin_log
import pytest
from logger import LOGGER, CsvLog, log, replay, run, wait_for
from running import Running, wait_for_snapshots
from sockets import Connections, family_of

SENT, ANSWERED = 1234, 77

RMEM_MAX = int(pathlib.Path("/proc/sys/net/core/rmem_max").read_text())


NETLINK_SOCK_DIAG, SO_RCVBUFFORCE = 4, 33
# SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY.
GROUPS = 0b101


def talk(near, host, count):
    """Opens and closes `count` connections, one after another, and returns the port of the listener.

    The kernel sends the messages about closed sockets in the background; it has sent them when this returns.
    """
    with near.inside():
        listener = socket.socket(family_of(host))
        destroyed = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
    destroyed.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    destroyed.bind((0, GROUPS))
    destroyed.settimeout(60)
    with listener:
        listener.bind((host, 0))
        listener.listen(64)

        def serve():
            for _ in range(count):
                server = listener.accept()[0]
                with server:
                    while server.recv(65536):
                        pass
                    server.sendall(bytes(ANSWERED))

        server = threading.Thread(target=serve)
        server.start()
        for _ in range(count):
            with near.inside():
                client = socket.socket(family_of(host))
            with client:
                client.connect(listener.getsockname()[:2])
                client.sendall(bytes(SENT))
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
        server.join()
        port = listener.getsockname()[1]
    with destroyed:
        # Each connection has two ends.
        left = 2 * count
        while left > 0:
            # The ports follow nlmsghdr and four bytes of inet_diag_msg.
            left -= port in struct.unpack_from("!HH", destroyed.recv(8192), 20)
    return port


def finals(rows):
    return [row for row in rows if row["state"] == "ENDED"]


def assert_each_once(rows, port, count):
    """Checks the final records of `count` connections to the port, of both ends."""
    rows = [row for row in rows if port in (int(row["lport"]), int(row["fport"]))]
    assert len(rows) == 2 * count and len({row["gencnt"] for row in rows}) == 2 * count
    for row in rows:
        sent, received = (SENT, ANSWERED) if int(row["fport"]) == port else (ANSWERED, SENT)
        # The kernel counts the FIN.
        assert (int(row["sent_bytes"]), int(row["received_bytes"])) == (sent, received + 1), row
        assert int(row["rexmit_bytes"]) == 0


def of_csv(path):
    return CsvLog(path.read_text()).rows


def of_json(path):
    return [row for row in map(json.loads, path.read_text().splitlines()) if "note" not in row]


def of_bin(path):
    return replay(path).rows


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("changes", [[], ["-x"]])
@pytest.mark.parametrize(("form", "rows"), [("csv", of_csv), ("json", of_json), ("bin", of_bin)])
def test_each_short_connection_has_one_final_record(alone, tmp_path, host, changes, form, rows):
    path = tmp_path / "x"
    with Running(tmp_path, "-o", path, "-F", form, "-s", 200_000, *changes, enter=alone.enter) as logger:
        wait_for(lambda: path.exists() and path.stat().st_size > 0, "the start of the log")
        port = talk(alone, host, 300)
        logger.stop()
    assert_each_once(finals(rows(path)), port, 300)


def test_final_records_are_sent_to_syslog(alone, tmp_path):
    with alone.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        target = f"local0@127.0.0.1:{server.getsockname()[1]}"
        with Running(tmp_path, "-l", target, "-s", 100_000, enter=alone.enter) as logger:
            server.recv(65536)
            port = talk(alone, "127.0.0.1", 20)
            logger.stop()
        lines = []
        while not lines or " end " not in lines[-1]:
            lines.append(server.recv(65536).decode())
    ended = [line for line in lines if " state=ENDED " in line and f"port={port} " in line]
    assert len(ended) == 40, lines[-3:]


def test_a_connection_that_was_seen_is_closed_by_its_final_record(alone, tmp_path):
    path = tmp_path / "x.csv"
    with Connections("127.0.0.1", 3, alone, alone) as connections:
        arguments = ["-o", path, "-s", 20_000, "-x", "-e", f"port {connections.port}"]
        with Running(tmp_path, *arguments, enter=alone.enter) as logger:
            wait_for_snapshots(path, 3)
            connections.clients[1].sendall(bytes(500))
            connections.servers[1].recv(500)
            for each in connections.clients[1], connections.servers[1]:
                each.close()
            wait_for(lambda: path.read_text().count(",ENDED,") == 2, "two final records")
            wait_for_snapshots(path, len(CsvLog(path.read_text()).numbers()) + 3)
            logger.stop()
    found = CsvLog(path.read_text())
    live = {row["gencnt"] for row in found.rows if row["state"] == "ESTABLISHED"}
    assert {row["gencnt"] for row in finals(found.rows)} < live
    assert not {str(note["gencnt"]) for note in found.noted("close")} & {row["gencnt"] for row in finals(found.rows)}
    stated = collections.Counter({note["snapshot"]: note["ended"] for note in found.noted("snapshot")})
    assert +stated == collections.Counter(int(row["snapshot"]) for row in finals(found.rows))


def test_only_connections_that_were_established_have_a_final_record(alone, tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 50_000, enter=alone.enter) as logger:
        wait_for_snapshots(path, 1)
        with alone.inside():
            unused, listener, refused = (socket.socket() for _ in range(3))
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.listen(1)
        listener.close()
        assert refused.connect_ex(("127.0.0.1", port)) != 0
        refused.close()
        unused.close()
        # When this connection is in the log, so is everything that the kernel reported before it.
        port = talk(alone, "127.0.0.1", 1)
        wait_for(lambda: path.read_text().count(",ENDED,") >= 2, "two final records")
        logger.stop()
    found = CsvLog(path.read_text())
    assert_each_once(finals(found.rows), port, 1)
    assert len(finals(found.rows)) == 2 and {note["ended_lost"] for note in found.noted("snapshot")} == {0}


def test_a_connection_whose_statistics_the_kernel_has_reset_is_counted(alone, tmp_path):
    """With a linger time of 0, close(2) resets the connection and clears the statistics of its own end."""
    path = tmp_path / "x.csv"
    with Connections("127.0.0.1", 7, alone, alone) as connections:
        with Running(tmp_path, "-o", path, "-s", 50_000, enter=alone.enter) as logger:
            wait_for_snapshots(path, 1)
            for each in connections.clients:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.close()
            for each in connections.servers:
                each.close()
            wait_for(lambda: path.read_text().count(",ENDED,") == 7, "the final records of the other ends")
            logger.stop()
    assert sum(note["ended_lost"] for note in CsvLog(path.read_text()).noted("snapshot")) == 7


def drops(namespace):
    """Returns the number of messages that were dropped, from proc_pid_net(5)."""
    lines = subprocess.run([*namespace.enter, "cat", "/proc/net/netlink"], capture_output=True, text=True).stdout
    cells = [line.split() for line in lines.splitlines()[1:]]
    (found,) = [int(row[8]) for row in cells if (row[1], row[3]) == ("4", "00000005")]
    return found


@pytest.mark.skipif(RMEM_MAX > 8 << 20, reason="the socket's buffer is too large to be filled")
def test_messages_that_the_kernel_drops_are_counted(alone, tmp_path):
    """While the logger is stopped, the socket's buffer overflows."""
    path = tmp_path / "x.bin"
    tmp_path.chmod(0o777)
    directory = tmp_path
    for parent in directory.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    count = 4000
    enter = [*alone.enter, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with Running(directory, "-o", path, "-F", "bin", "-s", 100_000, enter=enter) as logger:
        wait_for(lambda: path.exists() and path.stat().st_size > 0, "the start of the log")
        wait_for(lambda: "ledger" in logger.threads().values(), "the thread of the ledger")
        logger.send(signal.SIGSTOP)
        ports = [talk(alone, "127.0.0.1", count) for _ in range(2)]
        assert drops(alone) > 0
        logger.send(signal.SIGCONT)
        logger.stop()
    lost = sum(shot["ended_lost"] for shot in bin_log.snapshots(path.read_bytes()))
    rows = finals(of_bin(path))
    assert len({row["gencnt"] for row in rows}) == len(rows)
    # The dropped messages may include that of a listener.
    assert 0 <= len(rows) + lost - 2 * count * len(ports) <= len(ports) and lost > 0


def test_every_final_record_is_in_one_of_the_rotated_files(alone, tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 5000, enter=alone.enter) as logger:
        wait_for_snapshots(path, 1)
        done = threading.Event()

        def rotate():
            number = 0
            while not done.is_set():
                path.rename(path.with_name(f"old.{number:03}"))
                logger.send(signal.SIGHUP)
                wait_for(path.exists, "a new log")
                number += 1

        rotation = threading.Thread(target=rotate)
        rotation.start()
        port = talk(alone, "127.0.0.1", 400)
        done.set()
        rotation.join()
        logger.stop()
    files = [*tmp_path.glob("old.*"), path]
    assert len(files) > 3
    assert_each_once([row for each in files for row in finals(of_csv(each))], port, 400)


def test_final_records_of_dropped_snapshots_are_counted(alone, tmp_path):
    """A reader that does not read fills the queue."""
    with Running(tmp_path, "-o", "-", "-s", 10_000, "-q", 4, enter=alone.enter, stdout=subprocess.PIPE) as logger:
        wait_for(lambda: "ledger" in logger.threads().values(), "the thread of the ledger")
        port = talk(alone, "127.0.0.1", 2000)
        wait_for(lambda: logger.status()["dropped"] > 3, "dropped snapshots")
        logger.send(signal.SIGTERM)
        text = logger.process.stdout.read().decode()
        assert logger.wait() == 0, logger.messages()
    found = CsvLog(text)
    rows = [row for row in finals(found.rows) if str(port) in (row["lport"], row["fport"])]
    assert len({row["gencnt"] for row in rows}) == len(rows)
    assert all(isinstance(note["ended"], int) for note in found.noted("gap")) and found.noted("gap")
    assert len(rows) + sum(note["ended"] for note in found.noted("gap")) == 4000


def test_a_stopped_logger_takes_a_last_snapshot(alone, tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 600_000_000, enter=alone.enter) as logger:
        wait_for_snapshots(path, 1)
        port = talk(alone, "127.0.0.1", 5)
        logger.stop()
    found = CsvLog(path.read_text())
    assert found.numbers() == [1, 2]
    assert_each_once(finals(found.rows), port, 5)


def test_without_a_ledger_there_are_no_final_records(alone, tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 10_000, "--no-ledger", enter=alone.enter) as logger:
        wait_for_snapshots(path, 1)
        talk(alone, "127.0.0.1", 5)
        wait_for_snapshots(path, len(CsvLog(path.read_text()).numbers()) + 5)
        assert "ledger" not in logger.threads().values()
        logger.stop()
    found = CsvLog(path.read_text())
    assert finals(found.rows) == [] and all("ended" not in note for note in found.noted("snapshot"))
    assert LOGGER and not log("-c", 1, "--no-ledger", "-e", "state ended").rows


def test_the_filter_selects_final_records(alone, tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 20_000, "-e", "state ended and sent_bytes > 1000", enter=alone.enter) as logger:
        wait_for_snapshots(path, 1)
        talk(alone, "127.0.0.1", 10)
        wait_for(lambda: path.read_text().count(",ENDED,") == 10, "the final records of the clients")
        logger.stop()
    found = CsvLog(path.read_text())
    assert {(row["state"], row["sent_bytes"]) for row in found.rows} == {("ENDED", str(SENT))}


def test_the_time_of_the_end_and_the_duration_of_a_connection_without_data(alone, tmp_path):
    path = tmp_path / "x.csv"
    with Running(tmp_path, "-o", path, "-s", 1_000_000, enter=alone.enter) as logger:
        wait_for_snapshots(path, 1)
        with Connections("127.0.0.1", 1, alone, alone) as connections:
            begin = time.time()
            time.sleep(0.3)
            port = connections.port
        end = time.time()
        time.sleep(0.3)
        logger.stop()
    rows = [row for row in finals(of_csv(path)) if str(port) in (row["lport"], row["fport"])]
    assert len(rows) == 2
    for row in rows:
        assert end - 0.05 <= float(row["time"]) <= end + 0.3
        assert 0.29 <= int(row["duration"]) / 1e6 <= end - begin + 0.3


def test_final_records_do_not_depend_on_the_sandbox(alone, tmp_path):
    for number, option in enumerate([[], ["--no-sandbox"]]):
        path = tmp_path / f"{number}.csv"
        with Running(tmp_path, "-o", path, "-s", 50_000, *option, enter=alone.enter) as logger:
            wait_for_snapshots(path, 1)
            port = talk(alone, "127.0.0.1", 3)
            wait_for(lambda: path.read_text().count(",ENDED,") == 6, "six final records")  # noqa: B023
            logger.stop()
        assert_each_once(finals(of_csv(path)), port, 3)


def test_replayed_final_records_are_logged(alone, tmp_path):
    path, again = tmp_path / "x.bin", tmp_path / "y.bin"
    with Running(tmp_path, "-o", path, "-F", "bin", "-s", 50_000, enter=alone.enter) as logger:
        wait_for(lambda: path.exists() and path.stat().st_size > 0, "the start of the log")
        port = talk(alone, "127.0.0.1", 30)
        logger.stop()
    run("-d", path, "-o", again, "-F", "bin", "-s", 1, "-e", f"port {port}")
    assert_each_once(finals(of_bin(again)), port, 30)
    shots = bin_log.snapshots(again.read_bytes())
    assert all(shot["written"] == shot["ended"] + shot["matched"] for shot in shots)
    assert sum(shot["ended"] for shot in shots) == 60
