# SPDX-License-Identifier: BSD-2-Clause
"""The connections that tests log, and where."""

import tempfile

import logger
import pytest
from sockets import Connections, Link, Namespace, exchange


@pytest.fixture(params=["127.0.0.1", "::1"], ids=["IPv4", "IPv6"])
def loopback(request):
    """Eight connections on loopback."""
    with Connections(request.param, 8) as connections:
        yield connections


@pytest.fixture
def alone():
    """A network namespace in which no sockets of others come and go, so that a dump has each socket once."""
    with Namespace() as place:
        yield place


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


@pytest.fixture
def reachable(tmp_path):
    """A directory that any user has a path to."""
    for each in tmp_path, *tmp_path.parents:
        if each.is_relative_to(tempfile.gettempdir()):
            each.chmod(each.stat().st_mode | 0o055)
    return tmp_path
