# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The server of tcpstats serve: what it refuses, and clients that misbehave."""

import contextlib
import os
import pathlib
import random
import re
import resource
import socket
import time

import pytest
from serving import Serving
from viewer import refuse

GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Serving(tmp_path_factory.mktemp("serve"), "-s", 100_000) as served:
        yield served


def status(answer):
    return int(re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)[1])


def test_only_reading_is_allowed(served):
    assert served.get("/metrics/").status == 404
    assert served.get("/../metrics").status == 404
    for method in "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE":
        answer = served.get(method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    full, head = served.get(), served.get(method="HEAD")
    assert (head.status, head.body, head.headers["content-type"]) == (200, "", full.headers["content-type"])
    assert int(head.headers["content-length"]) > 1000
    assert full.headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in full.headers


def test_a_request_for_another_host_is_refused(served):
    for host in "evil.example", f"evil.example:{served.port}", "192.0.2.1", "localhost.evil.example", "a@localhost", "":
        assert served.get(headers={"Host": host}).status == 421, host
    for host in "localhost", f"LocalHost:{served.port}", "127.0.0.1", "[::1]:80", "127.0.0.2":
        assert served.get(headers={"Host": host}).status == 200, host
    twice = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"
    for request in twice, b"GET /metrics HTTP/1.0\r\n\r\n", b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n":
        assert status(served.raw(request)) == 421, request


def test_a_name_of_the_host_can_be_added(tmp_path):
    with Serving(tmp_path, "--host-name", "metrics.example", "--host-name", "a.example") as served:
        for host in "metrics.example", "A.example.:443", "localhost":
            assert served.get(headers={"Host": host}).status == 200, host
        assert served.get(headers={"Host": "b.example"}).status == 421


def test_large_requests_are_refused(served):
    many = b"".join(b"X-%d: y\r\n" % number for number in range(1000))
    for request in [
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n",
    ]:
        answer = served.raw(request)
        assert not answer or status(answer) in (400, 414, 431)
    assert status(served.raw(GET)) == 200


# Incomplete requests: their start, or as many headers as the server reads.
HALF = [GET[:size] for size in range(len(GET) - 1)]
LARGE = [GET[:-2] + b"".join(b"X-%d: %s\r\n" % (number, b"a" * 400) for number in range(36))]


@contextlib.contextmanager
def limit_of_descriptors(limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, limit), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(served):
    """Returns the memory of the server in MB."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{served.process.pid}/status").read_text())[1]) / 1024


@pytest.mark.parametrize("requests", [HALF, LARGE], ids=["half", "large"])
def test_clients_that_do_not_complete_a_request_delay_neither_scrapes_nor_sampling(served, requests):
    memory = resident(served)
    with limit_of_descriptors(4096), contextlib.ExitStack() as clients:
        for number in range(1000):
            connection = clients.enter_context(served.connect())
            connection.sendall(requests[number % len(requests)])
        before, start = served.samples()["tcpstats_snapshots_total", ()], time.monotonic()
        slowest = 0
        while time.monotonic() - start < 2:
            scrape = time.monotonic()
            assert status(served.raw(GET)) == 200
            slowest = max(slowest, time.monotonic() - scrape)
            time.sleep(0.1)
        taken = served.samples()["tcpstats_snapshots_total", ()] - before
        # Twenty, if nothing else runs on the machine.
        assert taken >= 5 and slowest < 1, (taken, slowest)
        descriptors = len(os.listdir(f"/proc/{served.process.pid}/fd"))
        # At most 256 clients, each with at most 16 KiB.  The snapshots contain the connections of this test, too.
        assert descriptors < 300 and resident(served) < memory + 48, (descriptors, memory, resident(served))


def test_a_client_that_sends_a_request_byte_by_byte_is_disconnected(served):
    start = time.monotonic()
    with served.connect(30) as connection, contextlib.suppress(ConnectionError):
        for byte in GET * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)
            assert time.monotonic() - start < 15
    assert time.monotonic() - start > 3


def test_a_client_that_is_slow_is_disconnected(served):
    with served.connect(30) as connection:
        connection.sendall(GET[:20])
        start = time.monotonic()
        with contextlib.suppress(ConnectionError):
            connection.recv(1000)
        assert 3 < time.monotonic() - start < 15


def test_a_client_that_does_not_read_delays_nobody(served):
    with contextlib.ExitStack() as clients:
        for _ in range(50):
            connection = clients.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", served.port))
            connection.sendall(GET)
        start = time.monotonic()
        assert status(served.raw(GET)) == 200
        assert time.monotonic() - start < 2


def test_fuzzed_requests_do_not_stop_the_server(served):
    chance = random.Random(1)
    seeds = [
        GET,
        b"HEAD /metrics HTTP/1.1\r\nHost: [::1]:1\r\nAccept: application/openmetrics-text;q=0.5,*/*\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET http://localhost/metrics?x=%00 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551615\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30),
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/vnd.google.protobuf;"
        b"proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3\r\n\r\n",
        GET * 3,
    ]
    memory, start, before = resident(served), time.monotonic(), served.samples()["tcpstats_snapshots_total", ()]
    for _ in range(1500):
        request = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(6)):
            at = chance.randrange(len(request) + 1)
            match chance.randrange(4):
                case 0:
                    request[at : at + 1] = bytes([chance.randrange(256)])
                case 1:
                    del request[at : at + chance.randrange(10)]
                case 2:
                    request[at:at] = chance.randbytes(chance.randrange(20))
                case _:
                    request[at:at] = request[: chance.randrange(len(request) + 1)]
        answer = served.raw(bytes(request))
        assert not answer or status(answer) in (200, 400, 404, 405, 414, 421, 431, 505), (request, answer[:200])
    assert served.get().status == 200
    # Ten snapshots each second, on a machine that is also busy with the requests.
    taken = served.samples()["tcpstats_snapshots_total", ()] - before
    assert taken > 2.5 * (time.monotonic() - start) and resident(served) < memory + 48


def test_the_address_must_be_free(served):
    message = refuse("serve", "--listen", f"127.0.0.1:{served.port}")
    assert message.startswith(f"--listen 127.0.0.1:{served.port}: ") and "in use" in message


def test_it_is_confined_unless_it_inspects_processes(tmp_path):
    def sandboxes(*arguments):
        calls = tmp_path / "calls"
        with Serving(tmp_path, *arguments, wrap=["strace", "-f", "-o", calls, "-e", "trace=landlock_restrict_self"]) as served:
            served.wait_for_snapshots(1)
        return calls.read_text().count("landlock_restrict_self(")

    assert sandboxes("-s", 100_000) == 1
    assert sandboxes("-s", 100_000, "--no-sandbox") == 0
    assert sandboxes("-s", 100_000, "--by", "process") == 0
    assert sandboxes("-s", 100_000, "-e", 'command == "x"') == 0
