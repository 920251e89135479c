# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Every state of the TCP state machine is logged with its name."""

import contextlib
import errno
import socket

import pytest
from logger import log, wait_for
from sockets import Connections, Link, ends_of


def rows_of(namespace):
    """Returns the rows of one snapshot by their ends."""
    (rows,) = log("-c", 1, "-O", "all", enter=namespace.enter).snapshots().values()
    return rows


def becomes(namespace, ends, state):
    """Waits until a connection is in a state, and returns its row."""

    def row():
        found = rows_of(namespace).get(ends)
        return found if found and found["state"] == state else None

    return wait_for(row, what=f"{ends} is {state}")


@contextlib.contextmanager
def connecting(namespace, to, source=None):
    """A socket that has started to connect, and cannot finish."""
    with namespace.inside():
        client = socket.socket()
    with client:
        if source:
            client.bind((source, 0))
        client.setblocking(False)
        assert client.connect_ex(to) == errno.EINPROGRESS
        yield client


@pytest.mark.parametrize("host, anyone", [(Link.far4, "0.0.0.0"), (Link.far6, "::")])
def test_a_listener_has_the_length_and_the_limit_of_its_queue(link, host, anyone):
    with Connections(host, 0, *link.sides, backlog=5) as connections:
        for _ in range(3):
            connections.connect()

        def row():
            return rows_of(link.far)[host, connections.port, anyone, 0]

        wait_for(lambda: row()["qlen"] == "3", what="three queued connections")
        assert (row()["state"], row()["qlimit"]) == ("LISTEN", "5")
        connections.accept()
        assert row()["qlen"] == "2"


def test_the_ends_of_a_half_closed_connection_are_in_fin_wait_2_and_close_wait(link):
    with Connections(link.far4, 1, *link.sides) as connections:
        (client,), (server,) = connections.clients, connections.servers
        client.shutdown(socket.SHUT_WR)
        becomes(link.near, ends_of(client), "FIN_WAIT_2")
        becomes(link.far, ends_of(server), "CLOSE_WAIT")


def test_a_connection_that_its_process_has_closed_is_logged_in_fin_wait_2(link):
    with Connections(link.far4, 1, *link.sides) as connections:
        ends = ends_of(connections.clients[0])
        connections.clients[0].close()
        assert becomes(link.near, ends, "FIN_WAIT_2")["inode"] == ""


@pytest.mark.parametrize("host", [Link.far4, Link.far6])
def test_the_end_that_closed_first_is_in_time_wait_and_has_no_owner(link, host):
    with Connections(host, 1, *link.sides) as connections:
        ends = ends_of(connections.clients[0])
        connections.clients[0].close()
        becomes(link.near, ends, "FIN_WAIT_2")
        connections.servers[0].close()
        row = becomes(link.near, ends, "TIME_WAIT")
        assert row["uid"] == row["srtt"] == ""
        assert 0 < int(row["tt_2msl"]) <= 60_000_000


def test_a_connection_without_an_answer_is_in_syn_sent_and_has_no_round_trip_time(link):
    link.cut()
    with connecting(link.near, (link.cut4, 9)):
        (row,) = rows_of(link.near).values()
    assert (row["laddr"], row["faddr"], row["fport"], row["state"]) == (link.near4, link.cut4, "9", "SYN_SENT")
    assert row["srtt"] == row["options"] == ""
    assert 0 < int(row["tt_rexmt"]) <= 3_000_000


def test_a_connection_with_an_incomplete_handshake_is_in_syn_rcvd(link):
    link.cut()
    with Connections(link.near4, 0, *reversed(link.sides)) as connections:
        with connecting(link.far, (link.near4, connections.port), source=link.cut4) as client:
            ends = (link.near4, connections.port, *client.getsockname())
            becomes(link.near, ends, "SYN_RCVD")


def test_ends_whose_fin_is_not_acknowledged_are_in_fin_wait_1_closing_and_last_ack(link):
    with Connections(link.cut4, 3, *link.sides) as connections:
        first, both, second = connections.clients
        connections.servers[2].shutdown(socket.SHUT_WR)
        becomes(link.near, ends_of(second), "CLOSE_WAIT")
        link.cut()
        for client in connections.clients:
            client.shutdown(socket.SHUT_WR)
        connections.servers[1].shutdown(socket.SHUT_WR)
        becomes(link.near, ends_of(first), "FIN_WAIT_1")
        becomes(link.near, ends_of(both), "CLOSING")
        becomes(link.near, ends_of(second), "LAST_ACK")
