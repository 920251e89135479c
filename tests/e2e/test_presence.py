# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The fields that are present in each state.  An unknown value is absent, and never zero."""

import contextlib
import json
import os
import platform
import socket
import time

import pytest
from logger import run, wait_for
from sockets import Connections, Link, Namespace, ends_of, exchange
from test_states import connecting

# A column for each state.  The states with two columns are:
#   new    ESTABLISHED before data       data   ESTABLISHED after data in both directions
#   fw2    FIN_WAIT_2 with a socket      mini   FIN_WAIT_2 after its process has closed the socket
COLUMNS = "LISTEN SYN_SENT SYN_RCVD new data FIN_WAIT_1 fw2 mini CLOSE_WAIT LAST_ACK CLOSING TIME_WAIT".split()

# x: present, .: absent, ?: either, depending on when the segments of the peer arrive.
TABLE = """
                                  LISTEN SYN_SENT SYN_RCVD new data FIN_WAIT_1 fw2 mini CLOSE_WAIT LAST_ACK CLOSING TIME_WAIT
gencnt laddr lport faddr fport       x      x        x      x   x       x       x   x       x         x        x       x
ipver state mark                     x      x        x      x   x       x       x   x       x         x        x       x

uid inode                            x      x        .      x   x       x       x   .       x         x        x       .
cc tos cgroup class_id sockopt       x      x        .      x   x       x       x   .       x         x        x       .
shutdown                             x      x        .      x   x       x       x   .       x         x        x       .
snd_hiwat rcv_hiwat                  x      x        .      x   x       x       x   .       x         x        x       .
rmem_alloc wmem_alloc wmem_queued    x      x        .      x   x       x       x   .       x         x        x       .
fwd_alloc optmem backlog drops       x      x        .      x   x       x       x   .       x         x        x       .

qlen qlimit                          x      .        .      .   .       .       .   .       .         .        .       .
snd_cc rcv_cc inflight pipe          .      x        .      x   x       x       x   .       x         x        x       .
notsent_bytes                        .      x        .      x   x       x       x   .       x         x        x       .

snd_cwnd snd_ssthresh maxseg         .      x        .      x   x       x       x   .       x         x        x       .
rcv_wnd rcv_ssthresh advmss          .      x        .      x   x       x       x   .       x         x        x       .
rcv_mss pmtu reordering              .      x        .      x   x       x       x   .       x         x        x       .
snd_wnd rcv_space pacing_rate        .      .        .      x   x       x       x   .       x         x        x       .
options snd_scale rcv_scale          .      .        .      x   x       x       x   .       x         x        x       .

srtt rttvar rttmin rto               .      .        .      x   x       x       x   .       x         x        x       .
idle_ack                             .      .        .      x   x       x       x   .       x         x        x       .
idle_snd                             .      .        .      .   x       x       x   .       x         x        x       .
idle_rcv delivery_rate app_limited   .      .        .      .   x       .       x   .       x         x        x       .
ato                                  .      .        .      .   x       .       x   .       x         x        x       .
rcv_rtt                              .      .        .      .   ?       .       ?   .       ?         ?        ?       .

sent_bytes acked_bytes               .      x        .      x   x       x       x   .       x         x        x       .
received_bytes rexmit_bytes          .      x        .      x   x       x       x   .       x         x        x       .
rexmit_packs ooo_packs dsack_packs   .      x        .      x   x       x       x   .       x         x        x       .
segs_out segs_in data_segs_out       .      x        .      x   x       x       x   .       x         x        x       .
data_segs_in delivered reord_seen    .      x        .      x   x       x       x   .       x         x        x       .
unacked sacked lost retrans rehash   .      x        .      x   x       x       x   .       x         x        x       .
total_rto total_rto_recoveries       .      x        .      x   x       x       x   .       x         x        x       .
total_rto_time busy_time             .      x        .      x   x       x       x   .       x         x        x       .
rwnd_limited sndbuf_limited          .      x        .      x   x       x       x   .       x         x        x       .
received_ce received_e1_bytes        .      x        .      x   x       x       x   .       x         x        x       .
received_e0_bytes received_ce_bytes  .      x        .      x   x       x       x   .       x         x        x       .
ca_state probes rxtshift             .      x        .      x   x       x       x   .       x         x        x       .
fastopen_client_fail                 .      x        .      x   x       x       x   .       x         x        x       .
retransmits                          .      x        x      x   x       x       x   .       x         x        x       .

tt_rexmt                             .      x        x      .   .       x       .   .       .         x        x       .
tt_2msl                              .      .        .      .   .       .       .   x       .         .        .       x
"""

ALGORITHMS = "bbr_", "dctcp_", "vegas_"


def table():
    """Returns for each column the fields that are present, and those that may be."""
    present, either = ({column: set() for column in COLUMNS} for _ in range(2))
    header, *lines = [line.split() for line in TABLE.splitlines() if line.strip()]
    assert header == COLUMNS
    for line in lines:
        names, marks = line[: -len(COLUMNS)], line[-len(COLUMNS) :]
        for column, mark in zip(COLUMNS, marks, strict=True):
            assert mark in "x.?", line
            if mark != ".":
                (present if mark == "x" else either)[column].update(names)
    return present, either


def rows_of(namespace, *arguments):
    """Returns the rows of one snapshot by their ends, without absent fields."""
    lines = run("-c", 1, "-O", "all", "-F", "json", "-o", "-", *arguments, enter=namespace.enter).splitlines()
    rows = [row for row in map(json.loads, lines) if "note" not in row]
    return {(row["laddr"], row["lport"], row["faddr"], row["fport"]): row for row in rows}


def becomes(namespace, ends, state):
    return wait_for(
        lambda: (row := rows_of(namespace).get(ends)) and row["state"] == state and row, what=f"{ends} is {state}"
    )


@pytest.fixture(scope="module")
def rows():
    """A row for each column of the table."""
    with Namespace() as near, Namespace() as far:
        yield made(Link(near, far))


def made(link):
    near, far = link.sides
    found = {}
    with Connections(link.cut4, 6, *link.sides, backlog=7) as connections:
        clients, servers = connections.clients, connections.servers
        data, new, mini, closing, last_ack, fin_wait_1 = clients
        at = {client: ends_of(client) for client in clients}
        found["LISTEN"] = rows_of(far)[link.cut4, connections.port, "0.0.0.0", 0]
        found["new"] = rows_of(near)[at[new]]
        for each in 0, 3, 4:
            exchange(clients[each], servers[each], 3000)
        time.sleep(0.3)
        found["data"] = rows_of(near)[at[data]]
        data.shutdown(socket.SHUT_WR)
        found["fw2"] = becomes(near, at[data], "FIN_WAIT_2")
        servers[4].sendall(bytes(50))
        servers[4].shutdown(socket.SHUT_WR)
        found["CLOSE_WAIT"] = becomes(near, at[last_ack], "CLOSE_WAIT")
        mini.close()
        found["mini"] = becomes(near, at[mini], "FIN_WAIT_2")
        servers[2].close()
        found["TIME_WAIT"] = becomes(near, at[mini], "TIME_WAIT")
        link.cut()
        servers[3].sendall(bytes(70))
        for each in fin_wait_1, last_ack, closing:
            each.sendall(bytes(700))
            each.shutdown(socket.SHUT_WR)
        servers[3].shutdown(socket.SHUT_WR)
        found["CLOSING"] = becomes(near, at[closing], "CLOSING")
        found["LAST_ACK"] = becomes(near, at[last_ack], "LAST_ACK")
        found["FIN_WAIT_1"] = becomes(near, at[fin_wait_1], "FIN_WAIT_1")
        with connecting(near, (link.cut4, 9)):
            (found["SYN_SENT"],) = [row for row in rows_of(near).values() if row["state"] == "SYN_SENT"]
        with Connections(link.near4, 0, far, near) as other, connecting(far, (link.near4, other.port), link.cut4) as client:
            found["SYN_RCVD"] = becomes(near, (link.near4, other.port, *client.getsockname()), "SYN_RCVD")
    return found


@pytest.mark.parametrize("column", COLUMNS)
def test_in_each_state_exactly_the_fields_that_are_known_are_present(rows, column):
    present, either = table()
    # The statistics of the congestion control depend on the algorithm.
    fields = {name for name in rows[column] if not name.startswith(ALGORITHMS)} - {"time", "snapshot"}
    assert fields - either[column] == present[column], f"of {rows[column]}"


def test_every_field_is_in_the_table_or_has_its_own_test():
    """A new field cannot be forgotten."""
    lines = run("-c", 1, "-O", "all", "-o", "-", "-e", "port 1").splitlines()
    names = set(lines[1].split(",")[2:])
    # Fields of FreeBSD, of final records, of accurate ECN, of an algorithm, of an interface, of owners, and timers that no state of the
    # table has.
    module = "fib jid vnet flowid flowtype stack t_flags t_flags2 age snd_una snd_nxt snd_max rcv_nxt rcv_adv segq_len"
    module += " dsack_bytes tlp_bytes zerowin dupacks sack_blocks tlp_packs tt_delack iss irs max_sndwnd softerror"
    module += " incqlen encaps_port log_id ending"
    ecn = "delivered_ce delivered_e1_bytes delivered_e0_bytes delivered_ce_bytes"
    algorithms = [name for name in names if name.startswith(ALGORITHMS)]
    owners = "pid processes command container jail netns"
    others = "zone ifindex ulp max_pacing_rate tt_keep tt_persist duration"
    elsewhere = {*algorithms, *" ".join([module, ecn, owners, others]).split()}
    present, either = table()
    listed = set().union(*present.values(), *either.values())
    assert listed & elsewhere == set() and names == listed | elsewhere


# Values that follow from how the test created the connections.
VALUES = {
    "LISTEN": {"qlen": 0, "qlimit": 7, "shutdown": 0},
    "SYN_SENT": {"snd_cc": 0, "rcv_cc": 0, "inflight": 0, "pipe": 0, "notsent_bytes": 0, "sent_bytes": 0, "unacked": 1},
    "SYN_RCVD": {"retransmits": 0},
    "new": {"snd_cc": 0, "rcv_cc": 0, "inflight": 0, "sent_bytes": 0, "received_bytes": 0, "segs_out": 2, "shutdown": 0},
    "data": {"snd_cc": 0, "rcv_cc": 0, "inflight": 0, "sent_bytes": 3000, "received_bytes": 999},
    "fw2": {"snd_cc": 0, "rcv_cc": 0, "inflight": 0, "sent_bytes": 3000, "shutdown": 2},
    "CLOSE_WAIT": {"snd_cc": 0, "rcv_cc": 50, "inflight": 0, "sent_bytes": 3000, "shutdown": 1},
    "FIN_WAIT_1": {"snd_cc": 700, "rcv_cc": 0, "inflight": 700, "notsent_bytes": 0, "shutdown": 2},
    "LAST_ACK": {"snd_cc": 700, "rcv_cc": 50, "inflight": 700, "notsent_bytes": 0, "shutdown": 3},
    "CLOSING": {"snd_cc": 700, "rcv_cc": 70, "inflight": 700, "notsent_bytes": 0, "shutdown": 3},
}


@pytest.mark.parametrize("column", VALUES)
def test_queues_contain_data_and_neither_syn_nor_fin(rows, column):
    assert {field: rows[column].get(field) for field in VALUES[column]} == VALUES[column]


@pytest.fixture
def pair(link):
    with Connections(link.cut4, 1, *link.sides) as connections:
        yield link, connections.clients[0], connections.servers[0]


def test_a_fin_without_data_does_not_count_as_data(pair):
    link, client, server = pair
    server.shutdown(socket.SHUT_WR)
    row = becomes(link.near, ends_of(client), "CLOSE_WAIT")
    assert (row["rcv_cc"], row["rmem_alloc"] > 0) == (0, True), "the FIN has not been read"
    assert client.recv(1) == b""
    assert becomes(link.near, ends_of(client), "CLOSE_WAIT")["rcv_cc"] == 0
    link.cut()
    client.shutdown(socket.SHUT_WR)
    row = becomes(link.near, ends_of(client), "LAST_ACK")
    assert [row[field] for field in ("snd_cc", "inflight", "pipe", "notsent_bytes", "unacked")] == [0, 0, 0, 0, 1]


def test_a_fin_that_a_closed_window_delays_is_not_counted_as_sent(pair):
    link, client, server = pair
    client.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.send(bytes(65536))
    # The window is closed when the queue no longer changes.
    wait_for(lambda: (before := rows_of(link.near)[ends_of(client)]) and time.sleep(0.3) is None
             and rows_of(link.near)[ends_of(client)]["snd_cc"] == before["snd_cc"], "a closed window")  # fmt: skip
    before = rows_of(link.near)[ends_of(client)]
    assert before["notsent_bytes"] > 0 and before["snd_cc"] == before["inflight"] + before["notsent_bytes"]
    client.shutdown(socket.SHUT_WR)
    row = becomes(link.near, ends_of(client), "FIN_WAIT_1")
    assert row["snd_cc"] == row["inflight"] + row["notsent_bytes"] == before["snd_cc"]
    assert row["notsent_bytes"] == before["notsent_bytes"]
    assert row["sent_bytes"] + row["notsent_bytes"] == sent


def test_every_byte_in_the_receive_queue_is_counted(pair):
    link, client, server = pair
    server.sendall(bytes(1234))
    wait_for(lambda: rows_of(link.near)[ends_of(client)]["rcv_cc"] == 1234, "the data")
    server.shutdown(socket.SHUT_WR)
    assert becomes(link.near, ends_of(client), "CLOSE_WAIT")["rcv_cc"] == 1234
    client.recv(1000)
    assert becomes(link.near, ends_of(client), "CLOSE_WAIT")["rcv_cc"] == 234


NOBODY = 65534
KEEPS_OWNER = tuple(map(int, platform.release().split(".")[:2])) >= (6, 17)


@contextlib.contextmanager
def as_nobody():
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_a_socket_that_no_process_has_open_has_the_owner_that_the_kernel_reports(link, uid):
    """Before accept(2) and after close(2).  Kernels before 6.17 then send UID 0, which is ignored."""
    with Connections(link.cut4, 0, *link.sides) as connections:
        link_user = contextlib.nullcontext() if uid == 0 else as_nobody()
        with link.near.inside(), link_user:
            client = socket.create_connection((link.cut4, connections.port))
        connections.clients.append(client)
        ends = ends_of(client)
        assert rows_of(link.near)[ends]["uid"] == uid
        waiting = rows_of(link.far)[*ends[2:], *ends[:2]]
        connections.accept()
        link.cut()
        client.sendall(bytes(9))
        client.close()
        orphan = becomes(link.near, ends, "FIN_WAIT_1")
    for row, owner in (waiting, 0), (orphan, uid):
        assert "inode" not in row and row.get("uid") == (owner if KEEPS_OWNER else None)


def test_no_condition_matches_an_absent_owner(link):
    with Connections(link.far4, 1, *link.sides) as connections:
        ends = ends_of(connections.clients[0])
        connections.clients[0].close()
        becomes(link.near, ends, "FIN_WAIT_2")
        for condition in "uid 0", "uid != 0", "inode 0", "snd_cc 0", "rcv_cc 0":
            assert ends not in rows_of(link.near, "-e", condition), condition
