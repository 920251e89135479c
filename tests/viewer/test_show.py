# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""show, compared with other programs."""

import json
import re
import subprocess

import logger
import pytest
from handmade import CHANGES_ONLY, ENDS, CsvLog
from sockets import Connections, exchange, tcp_info
from viewer import TCPSTATS, refuse, run, start


@pytest.fixture(scope="module", params=["127.0.0.1", "::1"], ids=["IPv4", "IPv6"])
def connections(request):
    """Connections that have exchanged data; one has unread data."""
    with Connections(request.param, 3) as opened:
        for client, server in zip(opened.clients, opened.servers, strict=True):
            exchange(client, server, 50_000)
        opened.clients[0].sendall(bytes(1234))
        logger.wait_for(lambda: tcp_info(opened.clients[0])["unacked"] == 0, "all is acknowledged")
        yield opened


def table(*arguments):
    """Returns the output of show as dictionaries."""
    header, *lines = run("show", *arguments).decode().splitlines()
    names = header.split()
    return [dict(zip(names, line.split(), strict=True)) for line in lines]


def ss(port):
    """Returns the output of ss(8) for the sockets of a port."""
    line = ["ss", "-tanH", f"( sport = :{port} or dport = :{port} )"]
    states = {"ESTAB": "ESTABLISHED"}
    found = set()
    for row in subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines():
        state, received, to_send, local, foreign = row.split()[:5]
        ends = [end.rpartition(":") for end in (local, foreign)]
        (laddr, _, lport), (faddr, _, fport) = ends
        if state == "LISTEN":
            # Its queues contain connections, not bytes.
            received = to_send = "-"
        found.add((states.get(state, state), laddr.strip("[]"), lport, faddr.strip("[]"), fport.replace("*", "0"), received, to_send))
    return found


def test_every_socket_agrees_with_ss(connections):
    rows = table("-n", "-e", f"port {connections.port}")
    names = "state laddr lport faddr fport rcv_cc snd_cc".split()
    assert len(rows) == 7
    assert {tuple(row[name] for name in names) for row in rows} == ss(connections.port)
    assert [row for row in rows if row["rcv_cc"] == "1234"]
    assert [row["state"] for row in rows] == ["LISTEN"] + ["ESTABLISHED"] * 6, "sorted by state"
    ports = [int(row["lport"]) for row in rows[1:]]
    assert ports == sorted(ports)


def test_numbers_agree_with_the_kernel(connections):
    client = connections.clients[1]
    only = ["-e", f"lport {client.getsockname()[1]}", "-o", "srtt,rto,snd_cwnd,maxseg,snd_ssthresh"]
    ((exact), (readable)) = table("-n", *only)[0], table(*only)[0]
    info = tcp_info(client)
    assert int(exact["srtt"]) == info["rtt"] and int(exact["rto"]) == info["rto"]
    assert int(exact["snd_cwnd"]) == info["snd_cwnd"] * info["snd_mss"]
    for name, units in [("srtt", {"us": 1, "ms": 1e3}), ("rto", {"ms": 1e3}), ("snd_cwnd", {"k": 1024, "M": 1 << 20})]:
        number, unit = re.fullmatch(r"([\d.]+)([a-zA-Z]+)", readable[name]).groups()
        assert abs(float(number) * units[unit] - int(exact[name])) <= 0.006 * int(exact[name]) + 0.5
    assert readable["snd_ssthresh"] == "inf" and exact["snd_ssthresh"] == "1073725440"


def test_json_has_an_object_for_each_connection_with_all_known_fields(connections):
    text = run("show", "--json", "-e", f"fport {connections.port}")
    objects = [json.loads(line) for line in text.splitlines()]
    assert {each["lport"] for each in objects} == {client.getsockname()[1] for client in connections.clients}
    assert all(each["state"] == "ESTABLISHED" and each["received_bytes"] == 999 for each in objects)
    jq = ["jq", "-s", "map(.acked_bytes) | add"]
    total = subprocess.run(jq, input=text, check=True, capture_output=True).stdout
    assert int(total) == sum(tcp_info(client)["bytes_acked"] for client in connections.clients)
    (few,) = {tuple(json.loads(line)) for line in run("show", "--json", "-o", "srtt,cc", "-e", f"fport {connections.port}").splitlines()}
    assert few == ("time", "snapshot", "srtt", "cc")


def test_the_last_snapshot_of_a_log_is_shown_in_any_format(connections, tmp_path):
    columns = "state,laddr,lport,faddr,fport,srtt"
    filtered = ["-e", f"port {connections.port}"]
    live = run("show", "-n", "-o", columns, *filtered)
    for form in "csv", "json", "bin":
        log = tmp_path / f"log.{form}"
        columns_of_log = [] if form == "bin" else ["-O", "all"]
        logger.run("-F", form, "-o", log, "-c", 3, "-s", 1000, *columns_of_log, *filtered)
        assert run("show", "-n", "-o", columns, "-d", log) == live
        assert run("show", "-n", "-o", columns, "-d", "-", input=log.read_bytes()) == live
        assert run("show", "-n", "-o", columns, "-d", log, "-e", "state listen").count(b"\n") == 2


def test_the_last_snapshot_of_a_siftr_log_is_shown(connections, tmp_path):
    log = tmp_path / "log.siftr"
    filtered = ["-e", f"fport {connections.port}"]
    logger.run("-F", "siftr", "-o", log, "-c", 3, "-s", 1000, *filtered)
    columns = ["-n", "-o", "laddr,lport,faddr,fport,snd_cwnd,srtt"]
    assert table(*columns, "-d", log) == table(*columns, *filtered)


def test_a_log_of_changes_is_shown_completely(tmp_path):
    log = CsvLog("gencnt,laddr,lport,faddr,fport,state,snd_cwnd")
    one, two, three = ({**ENDS, "gencnt": number, "lport": 50000 + number, "snd_cwnd": 1000} for number in (1, 2, 3))
    log.snapshot(one, two)
    log.snapshot({**one, "snd_cwnd": 2000}, flags=CHANGES_ONLY)
    closed = "close time=1.5 gencnt=2 laddr=192.0.2.1 lport=50002 faddr=198.51.100.7 fport=443 state=ESTABLISHED uid=0 jid=0"
    log.snapshot(three, flags=CHANGES_ONLY, notes=[closed])
    log.snapshot(flags=CHANGES_ONLY)
    path = log.write(tmp_path / "x.csv")
    columns = ["-n", "-o", "gencnt,lport,snd_cwnd"]
    shown = run("show", *columns, "-d", path).decode().split()
    assert shown == "gencnt lport snd_cwnd 1 50001 2000 3 50003 1000".split()
    assert len(table(*columns, "-e", "snd_cwnd < 1500", "-d", path)) == 1, "a connection that no longer matches is omitted"
    del log.lines[1:4]
    *_, last = run("show", "-d", log.write(path)).decode().splitlines()
    assert last == "missing: connections that did not change, which this log does not repeat in every snapshot"


def test_an_empty_column_is_omitted_unless_it_is_named(connections):
    filtered = ["-e", f"port {connections.port} and state listen"]
    assert "srtt" not in table(*filtered)[0] and "t_flags" not in table("-o", "all", *filtered)[0]
    assert table("-o", "lport,srtt,t_flags", *filtered) == [{"lport": str(connections.port), "srtt": "-", "t_flags": "-"}]


def test_an_incomplete_snapshot_causes_a_warning(tmp_path):
    golden = logger.ROOT / "src/tcpstats/tests/golden/v1.bin"
    *_, last = run("show", "-d", golden).decode().splitlines()
    assert last == "missing: 1 of 4 matching connections (10 seen), because of a limit or a lack of memory"
    done = start("show", "--json", "-d", golden)
    assert done.returncode == 0 and done.stderr.decode() == f"tcpstats: {last}\n"
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 3


def test_a_mistake_in_a_filter_is_marked_with_a_caret():
    done = start("show", "-e", "port 22 and srtt > fast")
    assert (done.returncode, done.stdout) == (1, b"")
    message, text, caret = done.stderr.decode().splitlines()
    assert message.startswith("tcpstats: filter: expected a time for srtt, in microseconds")
    assert text == "  port 22 and srtt > fast" and caret.index("^") == text.index("fast") and caret.strip() == "^"


def test_errors_are_one_line():
    assert refuse("show", "-o", "srt").startswith('-o "srt": unknown field "srt"')
    assert refuse("show", "-d", "/nowhere") == "source /nowhere: No such file or directory"
    assert refuse("show", "-d", "/etc/passwd").startswith("/etc/passwd: not a tcpstats log ")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TCPSTATS, "show"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "tcpstats: standard output: No space left on device\n")


def test_a_usage_error_causes_exit_status_1():
    for arguments in ["show", "--bogus"], ["bogus"], [], ["show", "-n", "--json"]:
        done = start(*arguments)
        assert done.returncode == 1 and b"Usage: tcpstats" in done.stderr and done.stdout == b"", arguments


def test_a_reader_that_closes_the_pipe_early_causes_no_error(connections):
    shell = f"set -o pipefail; {TCPSTATS} show -o all --json | head -c 10"
    done = subprocess.run(["bash", "-c", shell], capture_output=True)
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, b"", 10)
