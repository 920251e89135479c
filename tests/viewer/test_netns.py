# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""show and top of several network namespaces."""

import contextlib
import json
import os
import threading
import time

import logger
import pytest
from sockets import Connections, Namespace
from terminal import Terminal
from viewer import refuse, run


@pytest.fixture
def namespaces():
    with Namespace() as one, Namespace() as other:
        yield one, other


def test_show_has_a_column_of_namespaces(namespaces):
    names = [each.name for each in namespaces]
    with contextlib.ExitStack() as stack:
        for each in namespaces:
            stack.enter_context(Connections("127.0.0.1", 2, each, each))
        header, *lines = run("show", "--netns", ",".join(names)).decode().splitlines()
        assert header.split()[:2] == ["netns", "state"]
        assert sorted(line.split()[0] for line in lines) == sorted(5 * names)
        out = run("show", "--netns", "all", "--json", "-e", f"netns {names[0]} and state established").decode()
        rows = [json.loads(line) for line in out.splitlines()]
        assert [row["netns"] for row in rows] == 4 * names[:1]


def test_show_prints_final_records_with_their_namespaces(namespaces):
    opened = [Connections("127.0.0.1", 1, each, each) for each in namespaces]

    def close():
        time.sleep(0.4)
        for each in opened:
            each.__exit__()

    thread = threading.Thread(target=close)
    thread.start()
    names = [each.name for each in namespaces]
    _, *lines = run("show", "--ended", "--netns", ",".join(names)).decode().splitlines()
    thread.join()
    assert sorted(line.split()[0] for line in lines) == sorted(2 * names)


def test_top_shows_a_namespace_that_appears(namespaces):
    with Terminal() as terminal, Connections("127.0.0.1", 1, namespaces[0], namespaces[0]):
        name = f"e2e-{os.getpid()}-{Namespace.created + 1}"
        terminal.top("-s", "200000", "--netns", "all", "-o", "netns", "-e", f"netns {name} and state established")
        terminal.wait_for(lambda screen: "connections, 0 match" in screen, "the first snapshot")
        with Namespace() as late, Connections("127.0.0.1", 1, late, late):
            screen = terminal.wait_for(lambda screen: "connections, 2 match" in screen, "the connections of the new one")
            assert late.name == name and screen.count(name[:6]) == 2 + 1, "in two rows, and in the filter"


def test_a_log_has_the_namespaces_that_were_logged(tmp_path):
    log = tmp_path / "x.csv"
    logger.run("-c", 1, "-o", log)
    assert refuse("show", "-d", log, "--netns", "all") == (
        "--netns: for live statistics only; select connections of a log with -e"
    )
    assert refuse("show", "--all-vnets") == "--all-vnets: available on FreeBSD only; use --netns all"
