# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Fixtures: the connections that tests log, network namespaces and directories."""

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
    """A network namespace without other programs' sockets, in which a dump contains every socket exactly once."""
    with Namespace() as namespace:
        yield namespace


@pytest.fixture
def link():
    """Two connected network namespaces."""
    with Namespace() as near, Namespace() as far:
        yield Link(near, far)


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """A binary log of three snapshots of IPv4 and IPv6 connections, which have transferred data, and their listeners."""
    path = tmp_path_factory.mktemp("frames") / "x.bin"
    with Connections("127.0.0.1", 5) as four, Connections("::1", 5) as six:
        for client, server in zip(four.clients + six.clients, four.servers + six.servers, strict=True):
            exchange(client, server, 10_000)
        logger.run("-F", "bin", "-o", path, "-c", 3, "-s", 20_000, "-e", f"port {four.port} or port {six.port}")
    return path


@pytest.fixture
def reachable(tmp_path):
    """A directory that every user can reach."""
    for each in tmp_path, *tmp_path.parents:
        if each.is_relative_to(tempfile.gettempdir()):
            each.chmod(each.stat().st_mode | 0o055)
    return tmp_path
