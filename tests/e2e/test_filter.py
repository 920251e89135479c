# SPDX-License-Identifier: BSD-2-Clause
"""-e logs what it selects and nothing else."""

import pytest
from logger import log, replay
from sockets import ends_of, exchange

# Filters, and what they say of a row.
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
    whole = replay(frames, "-O", "all")
    selected = replay(frames, "-O", "all", "-e", text)
    assert selected.rows == [row for row in whole.rows if SELECT[text](row)]
    counts = [(note["matched"], note["records"]) for note in selected.noted("snapshot")]
    assert counts == [(len(selected.rows) // 3,) * 2] * 3


def test_a_filter_by_identity_selects_while_the_kernel_is_asked(loopback):
    client = loopback.clients[3]
    logged = log("-c", 2, "-e", f"port {client.getsockname()[1]} and port {loopback.port}")
    laddr, lport, faddr, fport = ends_of(client)
    for rows in logged.snapshots().values():
        assert set(rows) == {(laddr, lport, faddr, fport), (faddr, fport, laddr, lport)}
    for note in logged.noted("snapshot"):
        assert note["matched"] == note["records"] == 2
        assert note["seen"] >= len(loopback.all()) + 1


def test_a_filter_by_a_statistic_selects_while_the_kernel_is_asked(loopback):
    exchange(loopback.clients[3], loopback.servers[3], 5000)
    (rows,) = log("-c", 1, "-e", f"port {loopback.port} and received_bytes = 5000").snapshots().values()
    assert set(rows) == {ends_of(loopback.servers[3])}
