# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""top in a real terminal: its screen, its keys, and its exit."""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import threading
import time

import pytest
from handmade import ENDS, CsvLog
from logger import ROOT, wait_for
from sockets import Connections, exchange
from terminal import PROMPT, Terminal, normalised
from viewer import TCPSTATS


@pytest.fixture(scope="module")
def connections():
    """Three connections over IPv4 that have exchanged data."""
    with Connections("127.0.0.1", 3) as opened:
        for client, server in zip(opened.clients, opened.servers, strict=True):
            exchange(client, server, 100_000)
        yield opened


@pytest.fixture
def terminal():
    with Terminal() as one:
        yield one


def top_of(connections, terminal, *arguments):
    """Starts top for these connections only; returns its screen once it has rates."""
    terminal.top("-s", "200000", "-e", f"port {connections.port}", *arguments)
    return terminal.wait_for(lambda screen: re.search(r"ESTAB +0 +0 +0", screen), "rates")


def rows(screen):
    """Returns the cells of the list."""
    return [line.split() for line in screen.splitlines() if re.match(r" *\S+ +\S+:\d+ ", line)]


def local_ports(screen):
    return [int(row[0]) for row in rows(screen)]


def process_of(terminal):
    """Returns the process ID of top in a terminal."""
    shell = terminal.tmux("display-message", "-p", "#{pane_pid}").strip()
    children = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", shell], capture_output=True, text=True).stdout
    (line,) = [line for line in children.splitlines() if f"{TCPSTATS} top" in line]
    return int(line.split()[0])


def test_the_screen_on_eighty_columns(connections, terminal):
    screen = top_of(connections, terminal)
    assert all(len(line) <= 80 for line in screen.splitlines())
    assert normalised(screen).rstrip() == normalised(
        """\
tcpstats HOST 1:1:1 UTC every 200ms walk 1us missed 0
9 connections, 7 match 1 LISTEN 6 ESTABLISHED
send 0bit/s receive 0bit/s retransmit 0/s by send b/s, descending
filter: port 9
lport foreign state send b/s recv b/s rexm/s srtt snd_cwnd
1 127.0.0.1:1 ESTAB 0 0 0 1us 1
1 127.0.0.1:1 ESTAB 0 0 0 1us 1
1 127.0.0.1:1 ESTAB 0 0 0 1us 1
1 127.0.0.1:1 ESTAB 0 0 0 1us 1
1 127.0.0.1:1 ESTAB 0 0 0 1us 1
1 127.0.0.1:1 ESTAB 0 0 0 1us 1
1 0.0.0.0:1 LISTEN - - - - -
"""
        + "\n" * 11
        + "q quit ? help / filter < > sort r reverse p pause Enter details"
    )
    mine = {each.getsockname()[1] for each in connections.clients}
    assert set(local_ports(screen)) == mine | {connections.port}


def test_rates_agree_with_the_bytes_sent(connections, terminal):
    client, server = connections.clients[0], connections.servers[0]
    is_over = threading.Event()
    began = time.monotonic()
    sent = 0

    def send():
        nonlocal sent
        while not is_over.wait(0.02):
            client.sendall(bytes(20_000))
            server.recv(20_000, 0x100)  # MSG_WAITALL
            sent += 20_000

    sender = threading.Thread(target=send)
    sender.start()
    try:
        here, there = client.getsockname()[1], connections.port
        either = f"lport {here} and fport {there} or lport {there} and fport {here}"
        terminal.top("-s", "1000000", "-e", either)
        terminal.wait_for(lambda screen: re.search(r"ESTAB +\d.*M +0 ", screen), "a rate of sending")
        screen = terminal.screen()
        rate = 8 * sent / (time.monotonic() - began)
    finally:
        is_over.set()
        sender.join()
    (sending, receiving) = rows(screen)
    assert int(sending[0]) == client.getsockname()[1] and int(receiving[0]) == connections.port
    for shown in sending[3], receiving[4]:
        assert shown.endswith("M") and abs(float(shown[:-1]) * 1e6 - rate) < 0.3 * rate, (shown, rate)


def test_the_list_can_be_sorted_by_any_column_in_both_directions(connections, terminal):
    screen = top_of(connections, terminal)
    assert "by send b/s, descending" in screen
    terminal.press("<", "<", "<")
    screen = terminal.wait_for(lambda screen: "by local, ascending" in screen, "by the local port")
    assert local_ports(screen) == sorted(local_ports(screen)) and len(rows(screen)) == 7
    terminal.press("r")
    screen = terminal.wait_for(lambda screen: "by local, descending" in screen, "the reverse order")
    assert local_ports(screen) == sorted(local_ports(screen), reverse=True)
    # This column does not fit on the screen, but is shown because the list is sorted by it.
    terminal.press(*[">"] * 14)
    screen = terminal.wait_for(lambda screen: "by rcv_cc" in screen, "by a column on the right")
    assert "rcv_cc" in screen.splitlines()[4]


def test_a_filter_applies_while_it_is_typed(connections, terminal):
    port = connections.clients[0].getsockname()[1]
    top_of(connections, terminal)
    terminal.press("/")
    terminal.type(f" and lport {port}")
    screen = terminal.wait_for(lambda screen: ", 1 match" in screen, "one connection")
    assert local_ports(screen) == [port]
    terminal.press("Enter")
    terminal.wait_for(lambda screen: "q quit" in screen, "the keys of the list")
    # The letter q is no longer part of the filter.
    terminal.press("q")
    terminal.wait_for(lambda screen: PROMPT in screen, "the shell")


def test_a_mistake_in_a_filter_is_marked_and_escape_restores_the_filter(connections, terminal):
    top_of(connections, terminal)
    terminal.press("/", "C-u")
    terminal.type("port 443 and srtt > fast or")
    screen = terminal.wait_for(lambda screen: "expected a time" in screen, "the mistake")
    lines = screen.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("filter: "))
    assert lines[at] == "filter: port 443 and srtt > fast or"
    assert lines[at + 1].index("^") == lines[at].index("fast") and lines[at + 1].strip() == "^"
    assert lines[at + 2] == "expected a time for srtt, in microseconds or with the suffix us, ms or s"
    wait_for(lambda: terminal.state() == ("1", "1"), "the cursor")
    terminal.press("Enter")
    terminal.press("Escape")
    screen = terminal.wait_for(lambda screen: f"filter: port {connections.port}" in screen, "the previous filter")
    assert "expected" not in screen
    wait_for(lambda: terminal.state() == ("1", "0"), "no cursor")


def test_the_details_of_a_connection(connections, terminal):
    top_of(connections, terminal)
    terminal.press("<", "<", "<", "Down", "Down", "Enter")
    screen = terminal.wait_for(lambda screen: "━ srtt" in screen, "the details")
    lines = screen.splitlines()
    ends = re.match(r"ESTABLISHED  127\.0\.0\.1:(\d+) → 127\.0\.0\.1:(\d+)  \w+", lines[4])
    assert ends and str(connections.port) in ends.groups()
    assert normalised(lines[6]) == normalised("━ cwnd 1k - ssthresh - • inflight 0 ━ srtt 1us")
    assert normalised(lines[13 + 2]).startswith("-Ns now") or "now" in screen
    assert any(re.search(r"[⠀-⣿]", line) for line in lines), "a curve is drawn"
    assert "gencnt" in screen and "snd_cwnd" in screen
    terminal.press("PgDn")
    terminal.wait_for(lambda screen: "gencnt" not in screen, "the fields further down")
    terminal.press("Escape")
    terminal.wait_for(lambda screen: "lport foreign" in screen, "the list")


def test_a_closed_connection_is_marked(terminal):
    with Connections("127.0.0.1", 1) as connections:
        terminal.top("-s", "100000", "-e", f"fport {connections.port}")
        terminal.press("Enter")
        terminal.wait_for(lambda screen: "ESTABLISHED  127" in screen, "the details")
        connections.servers[0].setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: reset
        connections.servers[0].close()
        terminal.wait_for(lambda screen: "ESTABLISHED, closed" in screen, "the closed connection")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10), (20, 4), (3, 2)])
def test_the_screen_is_redrawn_at_any_size(connections, terminal, size):
    width, height = size
    top_of(connections, terminal)
    terminal.resize(100, 30)
    terminal.resize(width, height)

    def is_drawn(screen):
        lines = screen.splitlines()
        return (
            len(lines) == height
            and (height < 3 or lines[0].startswith("tcpstats ") and lines[-1].startswith("q quit  ? help  / f"[:width]))
            and (width < 40 or len(rows(screen)) == min(7, height - (6 if height >= 14 else 4)))
            and ("local " in screen) == (width >= 104)
        )

    screen = terminal.wait_for(is_drawn, "a screen of this size")
    assert all(len(line) <= width for line in screen.splitlines())
    terminal.press("Enter")
    terminal.press("?")
    terminal.press("q")
    terminal.resize(80, 24)
    terminal.wait_for(lambda screen: PROMPT in screen, "the shell")


def test_the_screen_does_not_change_while_paused(connections, terminal):
    def clock(screen):
        return re.search(r"\d\d:\d\d:\d\d", screen)[0]

    top_of(connections, terminal)
    terminal.press("p")
    paused = terminal.wait_for(lambda screen: "PAUSED" in screen, "the pause")
    time.sleep(1.5)
    assert terminal.screen() == paused
    terminal.press("p")
    terminal.wait_for(lambda screen: clock(screen) != clock(paused) and "PAUSED" not in screen, "the time")


def test_the_help_and_the_manual_list_every_key(connections, terminal):
    top_of(connections, terminal)
    terminal.press("?")
    screen = terminal.wait_for(lambda screen: "^C" in screen, "the help")
    page = (ROOT / "man/tcpstats.1").read_text()
    (section,) = re.findall(r"^\.Ss Keys of top\n(.*?)^\.S[hs] ", page, re.MULTILINE | re.DOTALL)
    documented = [set(line.replace("\\&", "").replace(",", "").split()) for line in re.findall(r"^\.It (.*)$", section, re.MULTILINE)]
    helped = [re.match(r" (\S+(?: \S+)*)  ", line) for line in screen.splitlines()[1:]]
    assert [set(match[1].split()) for match in helped if match][: len(documented)] == documented and len(documented) == 13
    terminal.press("?")
    terminal.wait_for(lambda screen: "lport foreign" in screen, "the list")


def test_quitting_restores_the_terminal(connections, terminal):
    before = terminal.settings()
    terminal.run("echo earlier output")
    for key in "q", "C-c":
        top_of(connections, terminal)
        assert terminal.state() == ("1", "0")
        terminal.press(key)
        screen = terminal.wait_for(lambda screen: "earlier output" in screen, "the shell")
        assert "ESTAB" not in screen and terminal.state() == ("0", "1")
        assert "\nstatus=0\n" in terminal.run("echo status=$?")
        terminal.run("clear; echo earlier output")
    assert terminal.settings() == before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_restores_the_terminal_and_ends_top(connections, terminal, name):
    before = terminal.settings()
    top_of(connections, terminal)
    number = getattr(signal, name)
    os.kill(process_of(terminal), number)
    terminal.wait_for(lambda screen: PROMPT in screen.splitlines()[-1] or "tcpstats top" in screen, "the shell")
    assert terminal.state() == ("0", "1")
    assert f"status={128 + number}" in terminal.run("echo status=$?")
    assert terminal.settings() == before


def test_top_exits_when_its_terminal_is_closed(connections):
    with Terminal() as terminal:
        top_of(connections, terminal)
        process = process_of(terminal)
    wait_for(lambda: not os.path.exists(f"/proc/{process}"), "the end of top")


def test_a_panic_restores_the_terminal_and_prints_its_message(terminal):
    """Runs a unit test that panics, because nothing in the released program does."""
    build = ["cargo", "test", "--locked", "--no-run", "--message-format=json", "-p", "tcpstats_viewer"]
    built = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    (tests,) = {
        message["executable"]
        for message in map(json.loads, built.splitlines())
        if message.get("executable") and message["target"]["name"] == "tcpstats_viewer"
    }
    before = terminal.settings()
    test = "cli::top::screen::tests::a_panic_restores_the_terminal"
    screen = terminal.run(f"RUST_BACKTRACE=0 {tests} --ignored --nocapture --exact {test}")
    assert "test result: FAILED. 0 passed; 1 failed" in screen
    # The terminal wraps the line.
    assert "panickedat" in "".join(screen.split()) and "on purpose" in screen
    assert terminal.state() == ("0", "1")
    assert terminal.settings() == before


def test_the_shell_can_suspend_and_resume_top(connections, terminal):
    before = terminal.settings()
    top_of(connections, terminal)
    for stop in lambda: terminal.press("C-z"), lambda: os.kill(process_of(terminal), signal.SIGTSTP):
        stop()
        terminal.wait_for(lambda screen: "Stopped" in screen, "the suspended job")
        assert terminal.state() == ("0", "1")
        assert terminal.settings() == before
        terminal.run("clear")
        terminal.type("fg")
        terminal.press("Enter")
        terminal.wait_for(lambda screen: len(rows(screen)) == 7 and "q quit" in screen, "the list")
        assert terminal.state() == ("1", "0")
    # SIGSTOP cannot be caught, but top takes over the terminal again afterwards.
    os.kill(process_of(terminal), signal.SIGSTOP)
    terminal.wait_for(lambda screen: "Stopped" in screen, "the suspended job")
    terminal.type("fg")
    terminal.press("Enter")
    terminal.wait_for(lambda screen: len(rows(screen)) == 7 and "q quit" in screen and "Stopped" not in screen, "the list")
    terminal.press("q")
    terminal.wait_for(lambda screen: PROMPT in screen, "the shell")
    assert terminal.settings() == before


def test_without_colour_and_without_unicode(connections):
    with Terminal(NO_COLOR="1", LANG="C") as terminal:
        top_of(connections, terminal)
        assert not re.search(r"\x1b\[[0-9;]*[34]8;|\x1b\[(3[0-7]|9[0-7])m", terminal.styled())
        assert "\x1b[7m" in terminal.styled(), "reverse video is used instead"
        terminal.press("Enter")
        terminal.wait_for(lambda screen: "* cwnd" in screen, "the details")
        assert terminal.screen().isascii()
    with Terminal() as terminal:
        top_of(connections, terminal)
        colours = {int(number) for number in re.findall(r"\x1b\[(?:\d+;)*38;5;(\d+)", terminal.styled())}
        colours |= {int(number) - 30 for number in re.findall(r"\x1b\[(?:\d+;)*(3[0-7])m", terminal.styled())}
        assert colours and max(colours) < 16


@pytest.mark.parametrize("command", ["{} top -e 'port {}' | cat", "TERM=dumb {} top -e 'port {}'"])
def test_a_snapshot_is_printed_without_a_screen(connections, terminal, command):
    screen = terminal.run(command.format(TCPSTATS, connections.port))
    assert re.search(r"^state +laddr +lport", screen, re.MULTILINE) and "ESTABLISHED  127.0.0.1" in screen
    assert terminal.state() == ("0", "1")


def test_top_exits_after_the_requested_number_of_samples(connections, terminal):
    terminal.type(f"{TCPSTATS} top -s 100000 -c 5; echo status=$?")
    began = time.monotonic()
    terminal.press("Enter")
    terminal.wait_for(lambda screen: "status=0" in screen, "the end")
    assert 0.4 <= time.monotonic() - began < 10


def test_errors_are_printed_before_the_screen_is_used(terminal):
    for arguments, message in [
        ("-e 'port x'", "filter: expected a number"),
        ("-o srt", 'unknown field "srt"'),
        ("-d /nowhere", "source /nowhere: No such file or directory"),
        ("-s 0", "0 is not in 1.."),
    ]:
        screen = terminal.run(f"clear; {TCPSTATS} top {arguments}")
        assert message in screen.replace("\n", "")
        assert terminal.state() == ("0", "1")
        assert "status=1" in terminal.run("echo status=$?")


@pytest.mark.parametrize("form", ["csv", "json", "siftr", "bin"])
def test_a_log_is_replayed_to_its_end(terminal, tmp_path, form):
    log = tmp_path / f"x.{form}"
    with Connections("127.0.0.1", 2) as connections:
        client, server = connections.clients[0], connections.servers[0]
        _, port = client.getsockname()
        logger = os.environ.get("SIFTR_CDEV_LOGGER", str(ROOT / "siftr_cdev_logger"))
        filtered = ["-e", f"fport {connections.port}"]
        columns = ["-O", "all"] if form in ("csv", "json") else []
        logging = subprocess.Popen([logger, "-F", form, "-o", log, "-c", "20", "-s", "20000", *columns, *filtered])
        try:
            while logging.poll() is None:
                client.sendall(bytes(1000))
                server.recv(1000)
        finally:
            logging.kill()
        assert logging.returncode == 0
    terminal.top("-d", log, "-s", "100000")
    terminal.wait_for(lambda screen: len(rows(screen)) == 2, "both connections")
    if form != "siftr":
        sends = lambda screen: [row[3] for row in rows(screen) if row[0] == str(port)]
        terminal.wait_for(lambda screen: sends(screen)[0].endswith(("k", "M", "G")), "the rate of sending")
    screen = terminal.wait_for(lambda screen: "the source has no more snapshots" in screen, "the end of the log")
    assert len(rows(screen)) == 2
    terminal.press("q")


def test_a_log_is_replayed_from_a_pipe_and_past_damage(terminal, tmp_path):
    log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd")
    for window in range(1, 31):
        log.snapshot({**ENDS, "snd_cwnd": 1000 * window}, {**ENDS, "lport": 50001, "snd_cwnd": 1})
        if window == 10:
            log.lines[-2] += ",7"
            damaged = len(log.lines) - 1
    path = log.write(tmp_path / "x.csv")
    terminal.type(f"cat {path} | {TCPSTATS} top -d - -s 100000")
    terminal.press("Enter")
    terminal.wait_for(lambda screen: f"standard input: line {damaged}: " in screen, "the error")
    screen = terminal.wait_for(lambda screen: "the source has no more snapshots" in screen, "the end of the log")
    assert len(rows(screen)) == 2 and "29.3k" in screen
    terminal.press("q")
    terminal.wait_for(lambda screen: screen.rstrip().splitlines()[-1].startswith(PROMPT), "the shell")


@contextlib.contextmanager
def crowd(count):
    """Opens `count` connections, and raises the limit of open files if necessary."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * count + 500)), hard))
    try:
        with Connections("127.0.0.1", count) as connections:
            yield connections
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_keys_are_handled_quickly_with_thousands_of_connections(terminal):
    with crowd(3000):
        terminal.top("-s", "200000")
        terminal.wait_for(lambda screen: re.search(r"[6-9]\d\d\d ESTABLISHED", screen), "all connections")
        took = []
        for key, column in [(">", "recv b/s"), (">", "rexm/s"), ("<", "recv b/s"), ("<", "send b/s")] * 3:
            began = time.monotonic()
            terminal.press(key)
            wait_for(lambda wanted=f"by {column}": wanted in terminal.screen(), "the response to a key")
            took.append(time.monotonic() - began)
        assert sorted(took)[len(took) // 2] < 0.25, took
