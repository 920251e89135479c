# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Logs of the same real connections in every format, written by the logger."""

import threading

import logger
import pytest
from sockets import Connections, Link, Namespace, exchange

FORMATS = ["csv", "json", "siftr", "bin"]


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """Frames of connections through a bottleneck that drops packets: one sends as much as possible, one is idle, one of
    each address family exchanges a little data, and one of these is closed."""
    path = tmp_path_factory.mktemp("real") / "frames.bin"
    with Namespace() as near, Namespace() as far:
        link = Link(near, far)
        link.bottleneck()
        with Connections(link.far4, 3, near, far) as four, Connections(link.far6, 2, near, far) as six:
            client, server = four.clients[0], four.servers[0]
            over = threading.Event()

            def send():
                while not over.is_set():
                    client.sendall(bytes(50_000))

            def discard():
                while server.recv(65536):
                    pass

            def talk():
                exchange(four.clients[1], four.servers[1], 5000)
                exchange(six.clients[0], six.servers[0], 5000)
                over.wait(1)
                # The side that closes first remains in TIME_WAIT; this is the other side.
                four.servers[1].close()
                assert four.clients[1].recv(1) == b""
                four.clients[1].close()

            threads = [threading.Thread(target=work) for work in (send, discard, talk)]
            for thread in threads:
                thread.start()
            logger.run("-F", "bin", "-o", path, "-s", 20_000, "-t", 4, enter=near.enter)
            over.set()
            threads[0].join()
            client.close()
            for thread in threads[1:]:
                thread.join()
    return path


@pytest.fixture(scope="session")
def real(frames, tmp_path_factory):
    """A directory with a log in each format, with all columns if the format has columns. `basic.csv` has the default
    columns, and `changes.csv` and `changes.bin` contain changes only."""
    folder = tmp_path_factory.mktemp("logs")
    for form in FORMATS:
        columns = ["-O", "all"] if form in ("csv", "json") else []
        logger.run("-d", frames, "-s", 1000, "-F", form, "-o", folder / f"all.{form}", *columns)
    logger.run("-d", frames, "-s", 1000, "-o", folder / "basic.csv")
    logger.run("-d", frames, "-s", 1000, "-o", folder / "changes.csv", "-O", "all", "-x")
    logger.run("-d", frames, "-s", 1000, "-F", "bin", "-o", folder / "changes.bin", "-x")
    return folder


def records(path):
    """Returns the lines of a text log that are records."""
    return [line for line in path.read_text().splitlines() if line[:1].isdigit() or line.startswith(("o,", '{"time"'))]
