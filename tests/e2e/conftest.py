# SPDX-License-Identifier: BSD-2-Clause
"""The connections that tests log."""

import logger
import pytest
from sockets import Connections, Link, Namespace, exchange


@pytest.fixture(params=["127.0.0.1", "::1"], ids=["IPv4", "IPv6"])
def loopback(request):
    """Eight connections on loopback."""
    with Connections(request.param, 8) as connections:
        yield connections


@pytest.fixture
def link():
    with Namespace() as near, Namespace() as far:
        yield Link(near, far)


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """A binary log: three snapshots of busy and idle connections and their listeners, of both families."""
    path = tmp_path_factory.mktemp("frames") / "x.bin"
    with Connections("127.0.0.1", 5) as four, Connections("::1", 5) as six:
        for client, server in zip(four.clients + six.clients, four.servers + six.servers, strict=True):
            exchange(client, server, 10_000)
        logger.run("-F", "bin", "-o", path, "-c", 3, "-s", 20_000, "-e", f"port {four.port} or port {six.port}")
    return path
