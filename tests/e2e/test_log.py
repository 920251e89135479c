# SPDX-License-Identifier: BSD-2-Clause
"""What the logger writes of real connections on loopback, read by others' programs."""

import csv
import json
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import time
import zlib

import duckdb
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGGER = os.environ.get("SIFTR_CDEV_LOGGER", str(ROOT / "siftr_cdev_logger"))
TCP_INFO = 11


def run(*arguments):
    """Runs the logger, which must succeed."""
    done = subprocess.run([LOGGER, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refuse(*arguments):
    """Runs the logger, which must fail with one sentence; gives it."""
    done = subprocess.run([LOGGER, *map(str, arguments)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("siftr_cdev_logger: ") and done.stderr.count("\n") == 1
    return done.stderr


def rows(log):
    """The records of a CSV log as dictionaries."""
    lines = [line for line in log.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def notes(log, name):
    """The notes of that name in a CSV log as dictionaries of numbers."""
    found = [line.split()[2:] for line in log.read_text().splitlines() if line.startswith(f"# {name} ")]
    return [dict(pair.split("=") for pair in pairs) for pairs in found]


class Pairs:
    """Connected sockets, and what they were connected by."""

    def __init__(self, family, host, count):
        self.listener = socket.socket(family)
        self.listener.bind((host, 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.clients = []
        self.servers = []
        for _ in range(count):
            self.clients.append(socket.create_connection((host, self.port)))
            self.servers.append(self.listener.accept()[0])

    def all(self):
        return self.clients + self.servers

    def close(self):
        for each in [self.listener, *self.all()]:
            each.close()


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def pairs(request):
    made = Pairs(*request.param, 8)
    yield made
    made.close()


def tcp_info(connection):
    """What the kernel says of a socket, by the layout of linux/tcp.h."""
    raw = connection.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 512)
    names = (
        "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv"
        " last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space"
        " total_retrans"
    ).split()
    return dict(zip(names, struct.unpack_from(f"={len(names)}I", raw, 8)), state=raw[0], options=raw[5])


def tuple_of(connection):
    return (*connection.getsockname()[:2], *connection.getpeername()[:2])


def test_the_log_says_what_the_kernel_says_on_the_socket_itself(pairs, tmp_path):
    for client, server in zip(pairs.clients, pairs.servers):
        client.sendall(b"x" * random.randrange(1, 100_000))
        server.recv(200_000)
        server.sendall(b"y")
        client.recv(1)
    time.sleep(0.3)
    log = tmp_path / "x.csv"
    run("-o", log, "-c", 1, "-O", "all", "-e", f"port {pairs.port}")
    logged = {(row["laddr"], int(row["lport"]), row["faddr"], int(row["fport"])): row for row in rows(log)}
    for connection in pairs.all():
        row, info = logged[tuple_of(connection)], tcp_info(connection)
        assert row["state"] == "ESTABLISHED" and info["state"] == 1
        assert row["ipver"] == ("6" if ":" in row["laddr"] else "4")
        assert int(row["maxseg"]) == info["snd_mss"]
        assert int(row["snd_cwnd"]) == info["snd_cwnd"] * info["snd_mss"]
        assert int(row["srtt"]) == info["rtt"] and int(row["rttvar"]) == info["rttvar"]
        assert int(row["rto"]) == info["rto"]
        assert int(row["rexmit_packs"]) == info["total_retrans"]
        assert row["options"] == "ts|sack|wscale" and info["options"] & 7 == 7
        assert int(row["pmtu"]) == info["pmtu"]
        assert int(row["snd_ssthresh"]) == 1073725440 or info["snd_ssthresh"] < 0x7FFFFFFF
    listener = next(row for row in logged.values() if row["state"] == "LISTEN")
    assert (int(listener["lport"]), listener["qlen"], listener["qlimit"]) == (pairs.port, "0", "64")
    assert len(logged) == len(pairs.all()) + 1


def test_states_appear_by_their_names_once_a_snapshot(tmp_path):
    made = Pairs(socket.AF_INET, "127.0.0.1", 2)
    try:
        made.clients[0].shutdown(socket.SHUT_WR)  # FIN_WAIT_2 here, CLOSE_WAIT there
        made.clients[1].close()
        made.servers[1].recv(1)
        made.servers[1].close()  # TIME_WAIT at the client
        waiting = socket.create_connection(("127.0.0.1", made.port))  # in the listener's queue
        time.sleep(0.3)
        log = tmp_path / "x.csv"
        run("-o", log, "-c", 2, "-O", "all", "-e", f"port {made.port}")
        waiting.close()
    finally:
        made.close()
    for snapshot in ("1", "2"):
        states = sorted(row["state"] for row in rows(log) if row["snapshot"] == snapshot)
        assert states == ["CLOSE_WAIT", "ESTABLISHED", "ESTABLISHED", "FIN_WAIT_2", "LISTEN", "TIME_WAIT"]
    assert {row["qlen"] for row in rows(log) if row["state"] == "LISTEN"} == {"1"}
    assert {row["uid"] for row in rows(log) if row["state"] == "TIME_WAIT"} == {""}


def test_ipv4_on_an_ipv6_socket_is_ipv4(tmp_path):
    listener = socket.socket(socket.AF_INET6)
    listener.bind(("::", 0))
    listener.listen()
    port = listener.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    server = listener.accept()[0]
    log = tmp_path / "x.csv"
    run("-o", log, "-c", 1, "-O", "laddr,faddr,ipver", "-e", f"port {port} and net 127.0.0.0/8")
    assert [(row["laddr"], row["faddr"], row["ipver"]) for row in rows(log)] == [("127.0.0.1", "127.0.0.1", "4")] * 2
    for each in (client, server, listener):
        each.close()


def test_every_tick_is_taken_or_missed_and_every_record_counted(pairs, tmp_path):
    log = tmp_path / "x.csv"
    run("-o", log, "-t", 3)
    (end,) = notes(log, "end")
    assert int(end["snapshots"]) + int(end["missed_ticks"]) == 60
    counts = [int(note["records"]) for note in notes(log, "snapshot")]
    assert len(counts) == int(end["snapshots"])
    assert sum(counts) == int(end["records"]) == len(rows(log))


def test_duckdb_opens_the_csv_as_it_is(pairs, tmp_path):
    log = tmp_path / "x.csv"
    run("-o", log, "-c", 3)
    described = duckdb.sql(f"describe select * from read_csv('{log}')").fetchall()
    types = {row[0]: row[1] for row in described}
    expected = {"time": "DOUBLE", "laddr": "VARCHAR", "lport": "BIGINT", "state": "VARCHAR", "srtt": "BIGINT"}
    assert {name: types.get(name) for name in expected} == expected
    assert duckdb.sql(f"select count(*) from read_csv('{log}')").fetchone()[0] == len(rows(log))


def test_json_has_what_csv_has_of_the_same_frames(pairs, tmp_path):
    frames, text, objects = tmp_path / "x.bin", tmp_path / "x.csv", tmp_path / "x.json"
    run("-o", frames, "-c", 3, "-F", "bin", "-e", f"port {pairs.port}")
    run("-d", frames, "-o", text, "-s", 1000, "-O", "all")
    run("-d", frames, "-o", objects, "-s", 1000, "-O", "all", "-F", "json")
    parsed = [json.loads(line, parse_float=str) for line in objects.read_text().splitlines()]
    records = [each for each in parsed if "note" not in each]
    assert [{key: str(value) for key, value in each.items()} for each in records] == [
        {key: value for key, value in row.items() if value != ""} for row in rows(text)
    ]
    assert len(records) == 3 * 17
    assert [each["note"] for each in parsed if "note" in each] == ["log", *["snapshot"] * 3, "end"]


def test_siftr_is_read_by_a_parser_made_from_its_manual_page(pairs, tmp_path):
    log = tmp_path / "x.siftr"
    run("-o", log, "-c", 2, "-F", "siftr", "-e", f"port {pairs.port}")
    first, *middle, last = log.read_text().splitlines()
    keys = [pair.split("=")[0] for pair in first.split("\t")]
    assert keys == ["enable_time_secs", "enable_time_usecs", "siftrver", "sysname", "sysver", "ipmode"]
    assert first.split("\t")[2:4] == ["siftrver=1.3.0", "sysname=Linux"]
    flows = set()
    for line in middle:
        fields = line.split(",")
        assert len(fields) == 27 and fields[0] == "o"
        assert all(field.isdigit() for field in fields[6:])
        assert fields[13] == "4" and fields[16] == "1"
        flows.add(f"{fields[2]};{fields[3]}-{fields[4]};{fields[5]}")
    end = dict(pair.split("=") for pair in last.split("\t"))
    assert int(end["num_outbound_tcp_pkts"]) == int(end["total_tcp_pkts"]) == len(middle) == 2 * 16
    listed = end["flow_list"].split(",")
    assert listed.pop() == "" and set(listed) == flows and len(listed) == len(flows) == 16


def frames_of(data):
    """The whole frames that bytes begin with; every CRC must fit."""
    found = []
    while len(data) >= 112:
        assert data[:4] == b"TCPS"
        version, kind, header, record = struct.unpack_from("=HHII", data, 4)
        (payload,) = struct.unpack_from("=Q", data, 16)
        length = header + payload
        if length > len(data):
            break
        (crc,) = struct.unpack_from("=I", data, 104)
        assert zlib.crc32(data[:104] + bytes(4) + data[108:length]) == crc
        assert version == 1 and (kind == 2 or payload % record == 0)
        found.append(data[:length])
        data = data[length:]
    return found


def test_bin_cut_anywhere_holds_its_whole_frames_and_can_be_continued(pairs, tmp_path):
    log = tmp_path / "x.bin"
    run("-o", log, "-c", 5, "-F", "bin")
    whole = log.read_bytes()
    frames = frames_of(whole)
    assert b"".join(frames) == whole and len(frames) == 7
    for _ in range(10):
        cut = random.randrange(1, len(whole))
        log.write_bytes(whole[:cut])
        before = frames_of(whole[:cut])
        run("-o", log, "-c", 1, "-F", "bin")
        after = frames_of(log.read_bytes())
        assert b"".join(after) == log.read_bytes() and after[: len(before)] == before
        torn = cut - len(b"".join(before))
        assert (after[len(before)][112:] == b"torn bytes=%d" % torn) == (torn > 0)


def test_wrong_arguments_are_one_sentence_and_write_nothing(tmp_path):
    log = tmp_path / "x.log"
    wrong = {
        ("-s", "0"): "microseconds",
        ("-s", "-5"): "microseconds",
        ("-c", "many"): "snapshots",
        ("-t", "nan"): "seconds",
        ("-F", "xml"): "csv, json, siftr or bin",
        ("-O", "srtt,rtt"): '"rtt"',
        ("-O", "all", "-F", "bin"): "-O goes with csv and json",
        ("-e", "port 443 and"): "at position 13 (the end)",
        ("-e", "srtt > 5k"): "position 9",
        ("-d", "/nonexistent"): "/nonexistent",
        ("-d", "/etc/passwd"): "/etc/passwd",
        ("-q",): "'q'",
        ("stray",): '"stray"',
    }
    for arguments, said in wrong.items():
        assert said in refuse("-o", log, *arguments), arguments
        assert not log.exists(), arguments
    assert str(tmp_path / "no/x.log") in refuse("-o", tmp_path / "no/x.log")


def test_help_and_version_go_to_standard_output():
    assert "usage: siftr_cdev_logger" in run("-h")
    assert run("-V") == "siftr_cdev_logger 2.0.0\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_long_wait_with_a_closing_line(number, tmp_path):
    log = tmp_path / "x.csv"
    process = subprocess.Popen([LOGGER, "-o", log, "-s", "60000000"], stderr=subprocess.PIPE)
    limit = time.monotonic() + 10
    while not (log.exists() and "# snapshot" in log.read_text()):
        assert time.monotonic() < limit, "no snapshot"
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=2) == 0
    assert log.read_text().splitlines()[-1].startswith("# end ")


def test_a_log_is_continued_only_where_it_fits(tmp_path):
    log = tmp_path / "x.csv"
    run("-o", log, "-c", 1)
    run("-o", log, "-c", 1)
    lines = log.read_text().splitlines()
    assert sum(line.startswith("time,snapshot,") for line in lines) == 1
    assert sum(line.startswith("# log ") for line in lines) == 2
    before = log.read_bytes()
    for other in (["-O", "srtt"], ["-F", "json"], ["-F", "bin"], ["-F", "siftr"]):
        assert "something other" in refuse("-o", log, "-c", 1, *other)
        assert log.read_bytes() == before
    log.write_bytes(before + b"1764000000.0,1,torn")
    run("-o", log, "-c", 1)
    assert log.read_bytes().startswith(before + b"# torn bytes=19\n")
    foreign = tmp_path / "foreign"
    foreign.write_text("not a log, and no line break")
    refuse("-o", foreign, "-c", 1)
    assert foreign.read_text() == "not a log, and no line break"
