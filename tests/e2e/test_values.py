# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Logged values are those that getsockopt(TCP_INFO) returns for the socket itself."""

import collections
import socket
import threading
import time

from logger import log, wait_for
from sockets import Connections, ends_of, exchange, tcp_info

STATES = {1: "ESTABLISHED", 4: "FIN_WAIT_1", 5: "FIN_WAIT_2", 8: "CLOSE_WAIT"}
OPTIONS = [(1, "ts"), (2, "sack"), (4, "wscale"), (8, "ecn"), (32, "tfo")]

# Each column, and its value as a function of a struct tcp_info.
VALUES = {
    "state": lambda i: STATES[i["state"]],
    "options": lambda i: "|".join(name for bit, name in OPTIONS if i["options"] & bit) or "none",
    "snd_scale": lambda i: i["snd_wscale"],
    "rcv_scale": lambda i: i["rcv_wscale"],
    "snd_cwnd": lambda i: i["snd_cwnd"] * i["snd_mss"],
    # The first value means that no loss has set the threshold yet.
    "snd_ssthresh": lambda i: 1073725440 if i["snd_ssthresh"] == 2**31 - 1 else i["snd_ssthresh"] * i["snd_mss"],
    "snd_wnd": lambda i: i["snd_wnd"],
    "rcv_wnd": lambda i: i["rcv_wnd"],
    "maxseg": lambda i: i["snd_mss"],
    "srtt": lambda i: i["rtt"],
    "rttvar": lambda i: i["rttvar"],
    "rttmin": lambda i: i["min_rtt"],
    "rto": lambda i: i["rto"],
    "pipe": lambda i: (i["unacked"] - i["sacked"] - i["lost"] + i["retrans"]) * i["snd_mss"],
    "sent_bytes": lambda i: i["bytes_sent"] - i["bytes_retrans"],
    "acked_bytes": lambda i: i["bytes_acked"],
    "received_bytes": lambda i: i["bytes_received"],
    "rexmit_bytes": lambda i: i["bytes_retrans"],
    "rexmit_packs": lambda i: i["total_retrans"],
    "ooo_packs": lambda i: i["rcv_ooopack"],
    "dsack_packs": lambda i: i["dsack_dups"],
    # Known only with accurate ECN.
    "delivered_ce": lambda i: "",
    "rxtshift": lambda i: i["backoff"],
    # Zero means that nothing was measured.
    "delivery_rate": lambda i: i["delivery_rate"] or "",
    "pacing_rate": lambda i: i["pacing_rate"],
    # The maximum value means that there is no limit.
    "max_pacing_rate": lambda i: "" if i["max_pacing_rate"] == 2**64 - 1 else i["max_pacing_rate"],
    "busy_time": lambda i: i["busy_time"],
    "rwnd_limited": lambda i: i["rwnd_limited"],
    "sndbuf_limited": lambda i: i["sndbuf_limited"],
    "segs_out": lambda i: i["segs_out"],
    "segs_in": lambda i: i["segs_in"],
    "data_segs_out": lambda i: i["data_segs_out"],
    "data_segs_in": lambda i: i["data_segs_in"],
    "delivered": lambda i: i["delivered"],
    "notsent_bytes": lambda i: i["notsent_bytes"],
    "unacked": lambda i: i["unacked"],
    "sacked": lambda i: i["sacked"],
    "lost": lambda i: i["lost"],
    "retrans": lambda i: i["retrans"],
    "reordering": lambda i: i["reordering"],
    "reord_seen": lambda i: i["reord_seen"],
    "advmss": lambda i: i["advmss"],
    "rcv_mss": lambda i: i["rcv_mss"],
    "pmtu": lambda i: i["pmtu"],
    "rcv_rtt": lambda i: i["rcv_rtt"] or "",
    "rcv_ssthresh": lambda i: i["rcv_ssthresh"],
    "rcv_space": lambda i: i["rcv_space"] or "",
    "ato": lambda i: i["ato"] or "",
    "ca_state": lambda i: i["ca_state"],
    "retransmits": lambda i: i["retransmits"],
    "probes": lambda i: i["probes"],
    "app_limited": lambda i: i["limited"] & 1 if i["delivery_rate"] else "",
    "fastopen_client_fail": lambda i: i["limited"] >> 1 & 3,
}

# GROWING never decrease during a connection, and FIXED do not change after the handshake.
GROWING = """sent_bytes acked_bytes received_bytes rexmit_bytes rexmit_packs ooo_packs segs_out segs_in data_segs_out
    data_segs_in delivered busy_time""".split()
FIXED = "state options snd_scale rcv_scale maxseg advmss pmtu".split()


def values_of(connections):
    """Returns every column's value as text, for each connection by its ends."""
    infos = {ends_of(connection): tcp_info(connection) for connection in connections}
    return {ends: {column: str(value(info)) for column, value in VALUES.items()} for ends, info in infos.items()}


def test_a_quiet_connection_is_logged_with_exactly_the_values_of_tcp_info(link):
    sizes = {link.far4: 3000, link.far6: 70_000}
    with Connections(link.far4, 4, *link.sides) as four, Connections(link.far6, 4, *link.sides) as six:
        for connections in (four, six):
            for client, server in zip(connections.clients, connections.servers, strict=True):
                exchange(client, server, sizes[connections.host])
        for namespace, sockets in (link.near, four.clients + six.clients), (link.far, four.servers + six.servers):

            def quiet():
                before = values_of(sockets)
                time.sleep(0.3)
                return before if values_of(sockets) == before else None

            before = wait_for(quiet, what="the last acknowledgements")
            snapshots = log("-c", 3, "-O", "all", "-e", "state established", enter=namespace.enter).snapshots()
            assert values_of(sockets) == before, "nothing changed while it was logged"
            assert sorted(snapshots) == [1, 2, 3]
            for rows in snapshots.values():
                assert {ends: {column: row[column] for column in VALUES} for ends, row in rows.items()} == before
                for row in rows.values():
                    assert row["ipver"] == ("6" if ":" in row["laddr"] else "4")
                    assert (row["uid"], row["inflight"]) == ("0", "0")


class Traffic:
    """Sends continuously on the first connection of each group, and meanwhile queries the kernel about all of them."""

    def __init__(self, *groups):
        self.stop = threading.Event()
        self.clients = [client for group in groups for client in group.clients]
        self.ends = {client: ends_of(client) for client in self.clients}
        self.bulk = {self.ends[group.clients[0]] for group in groups}
        self.samples = collections.defaultdict(list)
        servers = [server for group in groups for server in group.servers]
        self.receivers = [threading.Thread(target=self.receive, args=[server]) for server in servers]
        self.queries = [threading.Thread(target=self.query)]
        self.senders = [threading.Thread(target=self.send, args=[group.clients[0]]) for group in groups]

    def send(self, client):
        while not self.stop.is_set():
            client.sendall(bytes(20_000))

    def receive(self, server):
        while server.recv(65536):
            pass

    def query(self):
        """Records for each connection the times before and after the query, and the answer."""
        while not self.stop.wait(0.002):
            for client in self.clients:
                asked = time.time()
                info = tcp_info(client)
                self.samples[self.ends[client]].append((asked, time.time(), info))

    def __enter__(self):
        for thread in self.receivers + self.queries + self.senders:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.queries + self.senders:
            thread.join()
        for client in self.clients:
            client.shutdown(socket.SHUT_WR)
        for thread in self.receivers:
            thread.join()

    def around(self, ends, begin, end):
        """Returns the last answer before `begin`, the first after `end`, and all within half a second of them."""
        samples = self.samples[ends]
        before = [info for _, answered, info in samples if answered < begin]
        after = [info for asked, _, info in samples if asked > end]
        around = [info for asked, answered, info in samples if answered > begin - 0.5 and asked < end + 0.5]
        return before[-1], after[0], [before[-1], *around, after[0]]


def test_with_a_bottleneck_every_value_is_between_those_before_and_after(link):
    link.bottleneck()
    with Connections(link.far4, 5, *link.sides) as four, Connections(link.far6, 5, *link.sides) as six:
        with Traffic(four, six) as traffic:

            def lost():
                return all(
                    any(info["total_retrans"] > 0 for _, _, info in traffic.samples[ends]) for ends in traffic.bulk
                )

            wait_for(lost, what="a lost segment of both senders")
            logged = log("-t", 2, "-O", "all", enter=link.near.enter)
            answered = {ends: len(samples) for ends, samples in traffic.samples.items()}
            wait_for(
                lambda: all(len(traffic.samples[ends]) > count + 1 for ends, count in answered.items()),
                what="another answer of the kernel",
            )
    walks = {note["snapshot"]: note for note in logged.noted("snapshot")}
    (end,) = logged.noted("end")
    assert end["snapshots"] + end["missed_ticks"] == 40
    for snapshot, rows in logged.snapshots().items():
        assert set(rows) == set(traffic.samples), "every connection is in every snapshot"
        begin = walks[snapshot]["time"]
        for ends, row in rows.items():
            before, after, around = traffic.around(ends, begin, begin + walks[snapshot]["walk_us"] / 1e6 + 1e-5)
            for column in GROWING:
                assert VALUES[column](before) <= int(row[column]) <= VALUES[column](after), column
            for column in FIXED:
                assert row[column] == str(VALUES[column](before)), column
            # These go up and down, and may have been beyond every answer between two queries.
            for column in "srtt", "rttvar", "rto", "snd_cwnd":
                answers = [VALUES[column](info) for info in around]
                assert min(answers) / 2 <= int(row[column]) <= max(answers) * 2, column
            assert int(row["snd_cwnd"]) % int(row["maxseg"]) == 0
    bulk = [row for rows in logged.snapshots().values() for ends, row in rows.items() if ends in traffic.bulk]
    assert max(int(row["inflight"]) for row in bulk) > 10_000
    assert max(int(row["pipe"]) for row in bulk) > 10_000
    assert max(int(row["srtt"]) for row in bulk) > 5000, "the queue of the bottleneck is visible"
    assert min(int(row["rexmit_packs"]) for row in bulk) > 0


def test_ipv4_on_an_ipv6_socket_is_ipv4():
    with Connections("::ffff:127.0.0.1", 1) as mapped:
        (rows,) = log("-c", 1, "-O", "all", "-e", f"port {mapped.port}").snapshots().values()
        assert {ends_of(connection) for connection in mapped.all()} < set(rows)
    assert len(rows) == 3
    assert {(row["laddr"], row["ipver"]) for row in rows.values()} == {("127.0.0.1", "4")}
