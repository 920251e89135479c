# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Attributes that the kernel sends in addition to tcp_info, compared with the values set by setsockopt(2)."""

import re
import socket
import struct
import subprocess
import threading

import pytest
from logger import log, wait_for
from sockets import Connections, ThisNamespace, Link, ends_of, exchange, ip, receive
from test_presence import rows_of

SO_PRIORITY, SO_MARK, IP_BIND_ADDRESS_NO_PORT, IPV6_TCLASS = 12, 36, 24, 67
IPPROTO_MPTCP = 262


@pytest.mark.parametrize("host", [Link.far4, Link.far6])
def test_traffic_class_priority_mark_and_options_are_those_of_the_socket(link, host):
    with Connections(host, 2, *link.sides) as connections:
        client, plain = connections.clients
        if ":" in host:
            client.setsockopt(socket.IPPROTO_IPV6, IPV6_TCLASS, 0x48)
            # Applies to IPv4 packets, which this socket does not send.
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
        else:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x48)
        client.setsockopt(socket.SOL_SOCKET, SO_PRIORITY, 0x12)
        client.setsockopt(socket.SOL_SOCKET, SO_MARK, 0x77)
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        rows = rows_of(link.near)
        row, plain_row = rows[ends_of(client)], rows[ends_of(plain)]
        # The logger requests an attribute if the columns or the filter need it.
        for column in "tos", "class_id":
            (one,) = log("-c", 1, "-O", column, "-e", f"lport {ends_of(client)[1]}", enter=link.near.enter).rows
            assert one[column] == str(row[column])
        for condition in "tos 0x48", "tos > 0", "class_id 0x12", "port 1 or not class_id != 0x12":
            (rows,) = log("-c", 1, "-e", f"state established and ({condition})", enter=link.near.enter).snapshots().values()
            assert set(rows) == {ends_of(client)}, condition
    assert [row[field] for field in ("tos", "class_id", "mark")] == [0x48, "0x00000012", "0x00000077"]
    assert (plain_row["tos"], plain_row["class_id"], plain_row["shutdown"]) == (0, "0x00000000", 0)
    # is_icsk is set for every TCP socket, and bind_address_no_port is the first bit of the second byte.
    changed = int(row["sockopt"], 16) ^ int(plain_row["sockopt"], 16)
    assert changed == 0x100 and int(plain_row["sockopt"], 16) & 2


def test_ipv4_on_an_ipv6_socket_has_its_type_of_service():
    with Connections("::ffff:127.0.0.1", 1) as mapped:
        client = mapped.clients[0]
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x20)
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_TCLASS, 0x40)
        rows = rows_of(ThisNamespace, "-e", f"port {mapped.port}")
        assert rows[ends_of(client)]["tos"] == 0x20


def test_bbr_reports_its_estimate_of_the_bottleneck(link):
    link.bottleneck()
    with Connections(link.far4, 1, *link.sides) as connections:
        client, server = connections.clients[0], connections.servers[0]
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
        receiver = threading.Thread(target=receive, args=[server, 3_000_000])
        receiver.start()
        client.sendall(bytes(3_000_000))

        def estimated():
            # 10 Mbit/s.  The first packets are sent faster, from the buffers of the link.
            row = rows_of(link.near)[ends_of(client)]
            return row if 1_000_000 < row.get("bbr_bw", 0) < 2_000_000 else None

        row = wait_for(estimated, "the estimate", 20)
        assert log("-c", 1, "-O", "bbr_bw", "-e", "cc bbr", enter=link.near.enter).rows[0]["bbr_bw"] != ""
        assert len(log("-c", 1, "-e", "bbr_bw > 1", enter=link.near.enter).rows) == 1
        receiver.join()
    assert row["cc"] == "bbr"
    assert row["rttmin"] / 2 <= row["bbr_min_rtt"] <= 200_000
    assert 64 <= row["bbr_pacing_gain"] <= 739 and 256 <= row["bbr_cwnd_gain"] <= 739


def test_other_algorithms_report_no_statistics_of_their_own(link):
    with Connections(link.far4, 1, *link.sides) as connections:
        client, server = connections.clients[0], connections.servers[0]
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        exchange(client, server, 3000)
        row = rows_of(link.near)[ends_of(client)]
    assert row["cc"] == "reno"
    assert [name for name in row if name.startswith(("bbr_", "dctcp_", "vegas_"))] == []


def test_the_protocol_above_tcp_is_named(link):
    with link.far.inside():
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    with listener:
        listener.bind((link.far4, 0))
        listener.listen()
        with link.near.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
        with client:
            client.connect(listener.getsockname())
            rows = rows_of(link.near)
            assert rows[(*client.getsockname(), *client.getpeername())]["ulp"] == "mptcp"
    with Connections(link.far4, 1, *link.sides) as connections:
        assert "ulp" not in rows_of(link.near)[ends_of(connections.clients[0])]


def link_local(namespace):
    """Returns the link-local address in a namespace, and the index of its interface."""
    shown = subprocess.run(
        ["ip", "-n", namespace.name, "-6", "-o", "address", "show", "dev", "veth0", "scope", "link"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    index = int(re.match(r"(\d+):", shown)[1])
    return re.search(r"inet6 (fe80:\S+)/64", shown)[1], index


def test_a_link_local_address_has_the_zone_of_its_interface_and_others_have_none(link):
    """On both ends, for listener and client.  The interface to which a socket is bound is not a zone."""
    for side in link.sides:
        wait_for(lambda side=side: "tentative" not in subprocess.run(
            ["ip", "-n", side.name, "-6", "address", "show", "dev", "veth0"], capture_output=True, text=True
        ).stdout, "an address")  # fmt: skip
    (near_address, near_index), (far_address, far_index) = map(link_local, link.sides)
    with link.far.inside():
        listener = socket.socket(socket.AF_INET6)
    with link.near.inside():
        client, bound = socket.socket(socket.AF_INET6), socket.socket()
    with listener, client, bound:
        listener.bind((far_address, 0, 0, far_index))
        listener.listen()
        port = listener.getsockname()[1]
        client.connect((far_address, port, 0, near_index))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"veth0")
        bound.bind((link.near4, 0))
        bound.listen()
        near, far = (list(rows_of(side).values()) for side in link.sides)

        def count(zone):
            return len(rows_of(link.near, "-e", f"host {far_address}{zone}"))

        # The interface 1 is loopback.
        assert [count(zone) for zone in ("", "%veth0", f"%{near_index}", "%lo", "%1")] == [1, 1, 1, 0, 0]
    (one,) = [row for row in near if row["state"] == "ESTABLISHED"]
    assert (one["laddr"].split("%")[0], one["faddr"].split("%")[0], one["zone"]) == (near_address, far_address, near_index)
    (other,) = [row for row in near if row["state"] == "LISTEN"]
    assert (other["laddr"], other["ifindex"], "zone" in other) == (link.near4, near_index, False)
    assert {row["state"]: row["zone"] for row in far} == {"LISTEN": far_index, "ESTABLISHED": far_index}


TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21
CONGESTION_EXPERIENCED = 3


def next_numbers(connection):
    """Returns the next sequence number that the socket sends, and the next that it expects."""
    numbers = []
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    for queue in 2, 1:
        connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
        numbers.append(connection.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xFFFFFFFF)
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
    return numbers


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send_marked(namespace, connection, payload):
    """Sends a segment of the connection with a CE mark, so that its peer accepts the segment."""
    (source, source_port), (to, port) = connection.getsockname(), connection.getpeername()
    sequence, acknowledged = next_numbers(connection)
    ends = socket.inet_aton(source) + socket.inet_aton(to)

    def segment(check):
        return struct.pack("!HHIIBBHHH", source_port, port, sequence, acknowledged, 0x50, 0x10, 500, check, 0) + payload

    check = checksum(ends + struct.pack("!HH", socket.IPPROTO_TCP, len(segment(0))) + segment(0))
    head = struct.pack("!BBHHHBBH", 0x45, CONGESTION_EXPERIENCED, 20 + len(segment(0)), 0, 0, 64, socket.IPPROTO_TCP, 0)
    with namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(head + ends + segment(check), (to, 0))


@pytest.mark.parametrize("mode", [0, 1])
def test_ce_marks_are_counted_by_the_receiver_and_absent_on_the_sender(link, mode):
    """Without ECN, and with ECN as in RFC 3168, the peer does not report their number."""
    for side in link.sides:
        subprocess.run([*side.enter, "sh", "-c", f"echo {mode} > /proc/sys/net/ipv4/tcp_ecn"], check=True)
    with Connections(link.far4, 1, *link.sides) as connections:
        client, server = connections.clients[0], connections.servers[0]
        exchange(client, server, 5000)
        wait_for(lambda: rows_of(link.near)[ends_of(client)]["snd_cc"] == 0, "acknowledgements")
        for _ in range(6):
            send_marked(link.near, client, b"")
        send_marked(link.near, client, bytes(100))
        row = wait_for(
            lambda: (row := rows_of(link.far)[ends_of(server)])["received_ce"] == 7 and row, "the marks"
        )
        near = rows_of(link.near)[ends_of(client)]
    assert ("ecn" in near["options"], "accecn" in near["options"]) == (mode == 1, False)
    assert (row["received_ce_bytes"], row["received_e0_bytes"]) == (100, 5000 * mode)
    assert near["received_ce"] == 0
    for each in near, row:
        assert [name for name in each if name.startswith("delivered_") and name != "delivery_rate"] == []
