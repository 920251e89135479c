# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""-e logs exactly the connections that match."""

import socket

import pytest
from logger import log, replay, run
from sockets import Connections, Namespace, ends_of, exchange

# Filters, and equivalent functions of a row.
SELECT = {
    "state listen": lambda row: row["state"] == "LISTEN",
    "not state = listen": lambda row: row["state"] != "LISTEN",
    "ip6": lambda row: ":" in row["laddr"],
    "net 127.0.0.0/8 and fport 0": lambda row: row["laddr"] == "127.0.0.1" and row["fport"] == "0",
    "lnet ::/64 and not fport 0": lambda row: ":" in row["laddr"] and row["fport"] != "0",
    "host ::1": lambda row: "::1" in (row["laddr"], row["faddr"]),
    "received_bytes >= 10000": lambda row: row["received_bytes"] != "" and int(row["received_bytes"]) >= 10_000,
    "srtt < 1s and snd_cwnd > 1k": lambda row: row["srtt"] != "" and int(row["snd_cwnd"]) > 1024,
    "qlimit 64": lambda row: row["qlimit"] == "64",
    "options sack and not options ecn": lambda row: "sack" in row["options"].split("|"),
    "cc nonsense": lambda row: False,
}


@pytest.mark.parametrize("text", SELECT)
def test_a_filter_selects_the_rows_that_it_describes(frames, text):
    everything = replay(frames, "-O", "all")
    selected = replay(frames, "-O", "all", "-e", text)
    assert selected.rows == [row for row in everything.rows if SELECT[text](row)]
    counts = [(note["matched"], note["records"]) for note in selected.noted("snapshot")]
    assert counts == [(len(selected.rows) // 3,) * 2] * 3


def test_the_kernel_applies_a_filter_by_address_and_port(loopback):
    client = loopback.clients[3]
    logged = log("-c", 2, "-e", f"port {client.getsockname()[1]} and port {loopback.port}")
    laddr, lport, faddr, fport = ends_of(client)
    for rows in logged.snapshots().values():
        assert set(rows) == {(laddr, lport, faddr, fport), (faddr, fport, laddr, lport)}
    for note in logged.noted("snapshot"):
        assert note["seen"] == note["matched"] == note["records"] == 2, "the kernel returns no others"


def test_a_filter_by_a_statistic_is_applied_to_live_connections(loopback):
    exchange(loopback.clients[3], loopback.servers[3], 5000)
    (rows,) = log("-c", 1, "-e", f"port {loopback.port} and received_bytes = 5000").snapshots().values()
    assert set(rows) == {ends_of(loopback.servers[3])}


# Filters that the Linux kernel applies completely (ALL), or partially or not at all (PART).  A and B are the ports of
# the listeners.
ALL = [
    "lport A",
    "not lport A",
    "fport != A",
    "lport >= A and lport <= B or lport >= B and lport <= A",
    "lport < A or lport > A",
    "state listen and lport A",
    "port A and state established",
    "state time_wait",
    "port A and net 127.0.0.0/8",
    "fnet 127.0.0.1/32 and not fnet 127.0.0.0/32",
    "host != 127.0.0.1 and ip",
    "lport 1 and lport 2",
]
PART = [
    "ip6 and port B",
    "port B and lnet ::/64",
    "host ::1",
    "net ::/1",
    "port A and not (ip and lport A)",
    "port A and (received_bytes < 1 or state listen)",
    "not (port A and received_bytes < 1)",
    "uid 0 or port A",
    "received_bytes < 1",
    "not (not ip6 or state listen)",
]


@pytest.fixture(scope="module")
def mixed():
    """Connections of both families, one of them IPv4 on an IPv6 socket, listeners, and a socket in TIME_WAIT."""
    with Namespace() as namespace:
        with Connections("127.0.0.1", 8, namespace, namespace) as a, Connections("::", 3, namespace, namespace) as b:
            with namespace.inside():
                over = socket.create_connection(("127.0.0.1", b.port))
            b.accept()
            a.clients[0].close()
            a.servers[0].close()
            yield namespace, a.port, b.port
            over.close()


def selected(mixed, text, *source, enter=()):
    """Returns the connections that a filter selects, and the number that the source returned."""
    _, a, b = mixed
    text = text.replace("A", str(a)).replace("B", str(b))
    logged = log("-c", 1, "-e", text, *source, enter=enter)
    (rows,), (note,) = logged.snapshots().values(), logged.noted("snapshot")
    return set(rows), note["seen"]


@pytest.mark.parametrize("text", ALL + PART)
def test_the_kernel_omits_only_connections_that_do_not_match(mixed, text, tmp_path):
    frames = tmp_path / "x.bin"
    run("-F", "bin", "-o", frames, "-c", 1, enter=mixed[0].enter)
    expected, in_all = selected(mixed, text, "-d", frames)
    found, returned = selected(mixed, text, enter=mixed[0].enter)
    assert found == expected
    if text in ALL:
        assert returned == len(found), "the kernel returns no others"
    else:
        assert len(found) <= returned <= in_all
