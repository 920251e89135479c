# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Logs of real connections that several tests use."""

import socket
import threading

import logger
import pytest
from browser import Browser
from pyspark.sql import SparkSession
from sockets import Connections, Link, Namespace


@pytest.fixture(scope="session")
def transfer(tmp_path_factory):
    """A bin log of transfers with Reno through a bottleneck that drops packets: a busy and a mostly idle connection."""
    path = tmp_path_factory.mktemp("transfer") / "transfer.bin"
    with Namespace() as near, Namespace() as far:
        link = Link(near, far)
        link.bottleneck()
        with Connections(link.far4, 2, near, far) as connections:
            busy, idle = connections.clients
            for client in busy, idle:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
            is_over = threading.Event()

            def send():
                while not is_over.is_set():
                    busy.sendall(bytes(10_000))

            def nudge():
                while not is_over.wait(0.5):
                    idle.sendall(bytes(1000))

            def discard(server):
                while server.recv(65536):
                    pass

            workers = [threading.Thread(target=work) for work in (send, nudge)]
            readers = [threading.Thread(target=discard, args=[server]) for server in connections.servers]
            for thread in workers + readers:
                thread.start()
            arguments = ["-s", 20_000, "-t", 6, "-e", f"fport {connections.port}"]
            logger.run("-F", "bin", "-o", path, *arguments, enter=near.enter)
            is_over.set()
            for worker in workers:
                worker.join()
            for client in connections.clients:
                client.shutdown(socket.SHUT_WR)
            for reader in readers:
                reader.join()
    return path


@pytest.fixture(scope="session")
def rows(transfer):
    """The records of the busy connection in this log, as read by a CSV reader."""
    both = {}
    for row in logger.replay(transfer, "-O", "all").rows:
        both.setdefault(row["lport"], []).append(row)
    return max(both.values(), key=lambda rows: int(rows[-1]["acked_bytes"]))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """One Spark session for all tests, which listens only on the loopback address."""
    builder = SparkSession.builder.master("local[1]")
    for key, value in {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        # Options that shorten a short session.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark")),
    }.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
