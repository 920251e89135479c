# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The systemd unit of tcpstats serve.  tests/deb runs it under systemd."""

import pathlib
import re
import shlex
import subprocess

import pytest
from logger import ROOT
from serving import Serving
from sockets import Namespace
from test_daemon import calls_in
from viewer import TCPSTATS

UNIT = (ROOT / "files/tcpstats_serve.service").read_text()
# What the manual page says about --by process and --netns, by their options.
PAGE = (ROOT / "man/tcpstats.1").read_text()


def allowed(text):
    return calls_in(" ".join(re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE)).split())


def of_manual(option):
    """Returns what the manual page adds to the unit for an option."""
    return re.search(rf"{option}.*?^SystemCallFilter=.*?$", PAGE[PAGE.index(".Ss Operation of serve"):], re.MULTILINE | re.DOTALL)[0]


def test_the_unit_is_accepted_by_systemd(tmp_path):
    command = shlex.split(re.search(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)[1])
    assert command == ["/usr/local/bin/tcpstats", "serve"]
    copy = tmp_path / "tcpstats_serve.service"
    copy.write_text(UNIT.replace(command[0], str(pathlib.Path(TCPSTATS).resolve())))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_has_no_capabilities_and_accepts_only_local_clients():
    lines = UNIT.splitlines()
    assert {"CapabilityBoundingSet=", "IPAddressDeny=any", "IPAddressAllow=localhost", "DynamicUser=yes"} <= set(lines)


@pytest.mark.parametrize(
    ("options", "more"), [((), ""), (("--by", "process"), "--by process"), (("--netns", "all"), r"\.Fl \\-netns")], ids=["", "process", "netns"]
)
def test_the_unit_allows_every_system_call(tmp_path, options, more):
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-o", trace]
    with Namespace(), Serving(tmp_path, "-s", 20_000, *options, wrap=strace) as served:
        served.wait_for_snapshots(10)
        assert served.get(headers={"Accept-Encoding": "gzip"}).status == 200
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"openat", "socket", "accept4"} <= made and bool(options) != ("landlock_restrict_self" in made)
    assert made - allowed(UNIT + (of_manual(more) if more else "")) == set()
