# SPDX-License-Identifier: BSD-2-Clause
"""Logs of the same real connections in every format, written by the real logger."""

import threading

import logger
import pytest
from sockets import Connections, Link, Namespace, exchange

FORMATS = ["csv", "json", "siftr", "bin"]


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """Frames of what happened behind a bottleneck that drops: one connection sends as much as it can, one is idle, two
    of either family exchange a little, and one of them ends."""
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

            def swallow():
                while server.recv(65536):
                    pass

            def talk():
                exchange(four.clients[1], four.servers[1], 5000)
                exchange(six.clients[0], six.servers[0], 5000)
                over.wait(1)
                # Who closes first stays in TIME_WAIT; that is the other side.
                four.servers[1].close()
                assert four.clients[1].recv(1) == b""
                four.clients[1].close()

            threads = [threading.Thread(target=work) for work in (send, swallow, talk)]
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
    """A log in each format, by its name, with all columns where there are columns; `basic.csv` has the usual ones,
    `changes.csv` and `changes.bin` changes only."""
    folder = tmp_path_factory.mktemp("logs")
    for form in FORMATS:
        columns = ["-O", "all"] if form in ("csv", "json") else []
        logger.run("-d", frames, "-s", 1000, "-F", form, "-o", folder / f"all.{form}", *columns)
    logger.run("-d", frames, "-s", 1000, "-o", folder / "basic.csv")
    logger.run("-d", frames, "-s", 1000, "-o", folder / "changes.csv", "-O", "all", "-x")
    logger.run("-d", frames, "-s", 1000, "-F", "bin", "-o", folder / "changes.bin", "-x")
    return folder


def records(path):
    """The lines of a log in text that are records."""
    return [line for line in path.read_text().splitlines() if line[:1].isdigit() or line.startswith(("o,", '{"time"'))]
