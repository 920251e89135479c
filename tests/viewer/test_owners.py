# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The owners of sockets in logs, in summary, show and top."""

import collections
import csv
import io
import json
import os
import pathlib
import socket
import struct
import subprocess
import time

import duckdb
import logger
import pytest
from handmade import ENDS, CsvLog
from logs import frames, real  # noqa: F401
from sockets import Connections, listen
from terminal import Terminal
from viewer import TCPSTATS, refuse, run

FIELDS = ["pid", "processes", "command", "container", "jail", "netns"]
TOTALS = ["connections", "sent_bytes", "received_bytes", "rexmit_bytes", "rexmit_packs"]
WWW, OTHER_WWW, SHELL = (
    {"pid": "812", "processes": "3", "command": "nginx", "container": "0123456789ab", "netns": "blue"},
    {"pid": "813", "processes": "1", "command": "nginx", "container": "0123456789ab", "netns": "4026531840"},
    {"pid": "70001", "processes": "1", "command": "sshd", "jail": "www.example"},
)


@pytest.fixture(scope="module")
def owned(real, tmp_path_factory):  # noqa: F811
    """A directory with the same log in each format. Its connections, one of which is of an unknown process, have owners."""
    folder = tmp_path_factory.mktemp("owned")
    owners = {}
    lines = []
    for line in (real / "all.csv").read_text().splitlines():
        cells = line.split(",")
        if line.startswith("time,"):
            names = cells
        elif not line.startswith("#"):
            row = dict(zip(names, cells, strict=True))
            owner = owners.setdefault(row["gencnt"], [WWW, {}, OTHER_WWW, WWW, SHELL][len(owners) % 5])
            line = ",".join(owner.get(name, cell) if name in FIELDS else cell for name, cell in row.items())
        lines.append(line)
    (folder / "all.csv").write_text("\n".join(lines) + "\n")
    for form in "json", "bin", "parquet":
        run("convert", folder / "all.csv", folder / f"all.{form}")
    return folder


def records(path):
    """Returns the records of a csv log as dictionaries."""
    return list(csv.DictReader(line for line in path.read_text().splitlines() if not line.startswith("#")))


def objects(*arguments):
    return [json.loads(line) for line in run(*arguments).splitlines()]


def summary(log, *arguments):
    return objects("summary", "--json", *arguments, log)


def record_lengths(path):
    """Returns the lengths of records in the frames of a log."""
    data, lengths = path.read_bytes(), set()
    while data:
        kind, header_len, record_len, payload_len = struct.unpack_from("=HIIQ", data, 6)
        lengths |= {record_len} if kind == 1 else set()
        data = data[header_len + payload_len :]
    return lengths


def test_every_format_contains_the_owners(owned, tmp_path):
    original = [line for line in (owned / "all.csv").read_text().splitlines() if not line.startswith("#")]
    for form in "json", "bin", "parquet":
        back = tmp_path / f"{form}.csv"
        run("convert", "-O", "all", owned / f"all.{form}", back)
        assert [line for line in back.read_text().splitlines() if not line.startswith("#")] == original
    table = duckdb.sql(f"select distinct pid, processes, command, container, jail, netns from '{owned / 'all.parquet'}'")
    assert (812, 3, "nginx", "0123456789ab", None, "blue") in table.fetchall()


def test_records_without_owners_are_shorter(owned, real, tmp_path):  # noqa: F811
    (without,), (with_owners,) = record_lengths(real / "all.bin"), record_lengths(owned / "all.bin")
    assert without < with_owners
    run("convert", "-e", "not pid > 0 and not jail www.example", owned / "all.bin", tmp_path / "rest.bin")
    assert record_lengths(tmp_path / "rest.bin") == {without}


@pytest.mark.parametrize("form", ["csv", "json", "bin", "parquet"])
def test_a_filter_selects_by_owner(owned, tmp_path, form):
    rows = records(owned / "all.csv")
    for text, holds in [
        ("pid 812", lambda row: row["pid"] == "812"),
        ("processes > 1", lambda row: row["processes"] == "3"),
        ("command nginx and pid != 812", lambda row: row["pid"] == "813"),
        ("not command nginx", lambda row: row["command"] != "nginx"),
        ("container 0123456789ab", lambda row: row["container"] == "0123456789ab"),
        ("jail www.example", lambda row: row["jail"] == "www.example"),
        ("netns != blue", lambda row: row["netns"] not in ("", "blue")),
    ]:
        out = tmp_path / "out.csv"
        run("convert", "-f", "-O", "gencnt,pid", "-e", text, owned / f"all.{form}", out)
        found = collections.Counter(row["gencnt"] for row in records(out))
        assert found == collections.Counter(row["gencnt"] for row in rows if holds(row)) and found, text


@pytest.mark.parametrize("by", ["process", "container", "jail", "netns"])
def test_groups_have_the_totals_of_their_connections(owned, by):
    names = {"process": ["command", "pid"]}.get(by, [by])
    owners = {int(row["gencnt"]): tuple(row[name] for name in names) for row in records(owned / "all.csv")}
    expected = collections.defaultdict(collections.Counter)
    for row in summary(owned / "all.csv"):
        expected[owners[row["gencnt"]]].update({name: row.get(name, 0) for name in TOTALS})
    found = summary(owned / "all.csv", "--by", by)
    assert {tuple(str(row.get(name, "")) for name in names): {name: row[name] for name in TOTALS} for row in found} == expected
    assert len(found) > 1
    sizes = [row["sent_bytes"] + row["received_bytes"] for row in found]
    assert sizes == sorted(sizes, reverse=True)
    for form in "json", "bin", "parquet":
        assert summary(owned / f"all.{form}", "--by", by) == found
    cells = list(csv.DictReader(io.StringIO(run("summary", "--csv", "--by", by, owned / "all.csv").decode())))
    assert [[row[name] for name in names] for row in cells] == [[str(row.get(name, "")) for name in names] for row in found]


def test_the_table_has_a_row_for_each_process_and_one_for_unknown_processes(owned):
    head, _, titles, *lines = run("summary", "--by", "process", owned / "all.csv").decode().splitlines()
    assert head.startswith("4 processes, ") and titles.split()[:2] == ["PROCESS", "CONNS"]
    assert {line.split()[0] for line in lines[:4]} == {"nginx/812", "nginx/813", "sshd/70001", "-"}
    most = run("summary", "--by", "netns", "-n", 1, owned / "all.csv").decode().splitlines()
    assert most[0].endswith("; the 1 worst by bytes") and most[2].split()[0] == "NETNS"


def test_a_connection_counts_for_its_last_known_owner(tmp_path):
    log = CsvLog("gencnt,laddr,lport,faddr,fport,state,sent_bytes,acked_bytes,pid,command")
    for number, owner in enumerate([{"pid": 7, "command": "inetd"}, {"pid": 8, "command": "ftpd"}, {}]):
        log.snapshot({**ENDS, "gencnt": 5, "sent_bytes": 100 * number, "acked_bytes": 100 * number, **owner})
    (row,) = summary(log.write(tmp_path / "x.csv"), "--by", "process")
    assert (row["command"], row["pid"], row["connections"], row["sent_bytes"]) == ("ftpd", 8, 1, 200)


def test_a_log_without_owners_has_a_single_group(real):  # noqa: F811
    (row,) = summary(real / "all.csv", "--by", "container")
    assert row["connections"] == len(summary(real / "all.csv")) and "container" not in row


def test_show_has_a_column_for_the_process_if_the_source_has_owners(owned, real):  # noqa: F811
    titles, *lines = run("show", "-d", owned / "all.bin").decode().splitlines()
    assert titles.split()[-1] == "process"
    assert {"nginx/812+2", "nginx/813"} <= {line.split()[-1] for line in lines}
    assert b"process" not in run("show", "-d", real / "all.bin").decode().split()
    titles, *lines = run("show", "-d", owned / "all.bin", "-o", "process,jail,netns", "-e", "command sshd").decode().splitlines()
    assert titles.split() == ["process", "jail", "netns"] and lines[0].split() == ["sshd/70001", "www.example", "-"]
    row = objects("show", "--json", "-o", "lport,process", "-d", owned / "all.bin", "-e", "pid 812")[0]
    assert row.keys() - {"time", "snapshot"} == {"lport", "pid", "processes", "command"}
    assert 'unknown field "processs"' in refuse("show", "-o", "processs", "-d", owned / "all.bin")


def test_top_shows_the_process_on_a_wide_terminal(owned):
    with Terminal(width=120) as terminal:
        terminal.top("-d", owned / "all.bin", "-s", "100000")
        screen = terminal.wait_for(lambda screen: "no more snapshots" in screen, "the end of the log")
        titles = next(line for line in screen.splitlines() if " foreign " in line).split()
        assert titles.index("process") == titles.index("srtt") + 1
        assert "nginx/812+2" in screen and "sshd/70001" in screen
        terminal.press("/")
        terminal.type("command nginx and pid > 812")
        terminal.press("Enter")
        screen = terminal.wait_for(lambda screen: "sshd" not in screen, "the filter")
        assert "nginx/813" in screen and "nginx/812" not in screen
        terminal.press("q")
    with Terminal(width=80) as terminal:
        terminal.top("-d", owned / "all.bin", "-s", "100000", "-o", "container,process")
        screen = terminal.wait_for(lambda screen: "no more snapshots" in screen, "the end of the log")
        assert " process" not in screen, "there is no room"
        terminal.press(">", ">", ">", ">", ">")
        screen = terminal.wait_for(lambda screen: "by process, ascending" in screen, "the order")
        found = [line.split()[-1] for line in screen.splitlines() if ":" in line and "ESTAB" in line]
        assert found[0].startswith("nginx/812") and "nginx/813" in found
        terminal.press("q")


def test_a_log_of_changes_has_a_record_when_the_owner_changes(tmp_path):
    log = CsvLog("gencnt,laddr,lport,faddr,fport,state,pid,processes,command,container,jail,netns")
    owners = [{"pid": 7, "command": "inetd"}, {"pid": 7, "command": "inetd"}, {"pid": 8, "command": "ftpd"}, {}, {"jail": "a"}]
    for owner in owners:
        log.snapshot({**ENDS, "gencnt": 5, **owner}, {**ENDS, "gencnt": 6, "lport": 9})
    frames = tmp_path / "frames.bin"  # noqa: F811
    run("convert", log.write(tmp_path / "x.csv"), frames)
    for form in "csv", "bin":
        changes = tmp_path / f"changes.{form}"
        logger.run("-d", frames, "-s", 1000, "-x", "-F", form, "-o", changes, *(["-O", "all"] if form == "csv" else []))
        run("convert", "-f", "-O", "gencnt,pid,command,jail", changes, tmp_path / "found.csv")
        found = [[row[name] for name in ("gencnt", "pid", "command", "jail")] for row in records(tmp_path / "found.csv")]
        assert sorted(found) == sorted([
            ["5", "7", "inetd", ""], ["6", "", "", ""], ["5", "8", "ftpd", ""], ["5", "", "", ""], ["5", "", "", "a"],
        ])  # fmt: skip


def test_a_kernel_decides_nothing_about_owners():
    with Connections("127.0.0.1", 1) as connections:
        ports = f"port {connections.port}"
        everything = len(objects("show", "--json", "-d", "sock_diag", "-e", ports))
        assert everything == 3
        count = lambda text: len(objects("show", "--json", "-d", "sock_diag", "-e", f"{ports} and {text}"))  # noqa: E731
        assert count("not netns nowhere") == count("not (jail nowhere or uid 4000000000)") == everything
        assert count("jail nowhere") == 0


OWN = pathlib.Path("/proc/self/comm").read_text().strip()


def test_live_connections_have_the_owners_that_ss_shows():
    with listen("127.0.0.1") as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            line = subprocess.run(["ss", "-tnHp", f"sport = {port}"], capture_output=True, text=True, check=True).stdout
            assert f'"{OWN}",pid={os.getpid()},' in line
            shown = run("show", "-e", f"port {port} and pid {os.getpid()}", "-o", "state,process")
            words = sorted(line.split() for line in shown.decode().splitlines()[1:])
            assert words == [[state, f"{OWN}/{os.getpid()}"] for state in ["ESTABLISHED", "ESTABLISHED", "LISTEN"]]
            (one,) = objects("show", "--json", "-e", f"lport {port} and state listen")
            assert (one["pid"], one["processes"], one["command"]) == (os.getpid(), 1, OWN)
            assert b"process" not in run("show", "--no-owners", "-e", f"port {port}")
            assert run("show", "-e", f"port {port} and pid 1", "-o", "lport").splitlines()[1:] == []
    assert refuse("show", "--no-owners", "-e", "pid 1") == "--no-owners cannot be combined with a filter that compares owners"


def test_live_connections_that_end_have_their_last_owner():
    with listen("127.0.0.1") as server:
        port = server.getsockname()[1]
        client, accepted = socket.create_connection(("127.0.0.1", port)), server.accept()[0]
        line = [TCPSTATS, "show", "--ended", "-e", f"port {port}", "-o", "lport,process"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as viewer:
            # In the second between its two snapshots.
            time.sleep(0.5)
            client.close()
            accepted.close()
            output = viewer.stdout.read()
    assert [line.split()[1] for line in output.splitlines()[1:]] == [f"{OWN}/{os.getpid()}"] * 2
