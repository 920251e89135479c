# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The manual page and the help are complete, and the examples work."""

import os
import re
import signal
import subprocess
import textwrap

from logger import LOGGER, ROOT, run
from running import wait_for_snapshots

PAGE = ROOT / "man/siftr_cdev_logger.8"


def test_every_option_is_in_the_help_and_in_the_manual():
    lines = [line.split()[:2] for line in run("-h").splitlines() if line.strip().startswith("-")]
    names = {word.strip(",") for line in lines for word in line if word.startswith("-")}
    assert len(lines) == 26
    assert {name[1] for name in names if name[1] != "-"} == set("oscFOdtePxkqymlbpuvhV")
    described = re.findall(r"^\.It (Fl .*)$", PAGE.read_text(), re.MULTILINE)
    documented = {name.replace("\\", "") for line in described for name in re.findall(r"Fl (\S+)", line)}
    assert documented == {name[1:] for name in names}


def test_mandoc_has_no_complaints_about_the_manual():
    done = subprocess.run(["mandoc", "-T", "lint", PAGE], capture_output=True, text=True)
    # Warnings about other pages depend on the machine.
    elsewhere = ("referenced manual not found", "mandoc.db", ".../share/man")
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if not any(each in line for each in elsewhere)] == []


def test_the_manual_documents_every_note_and_every_field_that_does_not_count_as_a_change():
    text = PAGE.read_text()
    every = re.findall(r'^pub const \w+: &str = "(\w+)";', (ROOT / "src/log/src/note/name.rs").read_text(), re.MULTILINE)
    # The logger does not write the others.
    names = set(every) - {"converted", "header", "siftr_enable", "siftr_disable"}
    described = " ".join(re.findall(r"^\.It Cm (.*)$", text, re.MULTILINE)).replace(",", "").split()
    assert {"log", "snapshot", "gap", "torn", "missed", "source_lost"} <= names and names == set(described)
    change = (ROOT / "src/tcpstats/src/change.rs").read_text()
    moving = re.findall(r'"(\w+)"', re.search(r"ALWAYS_MOVING: \[&str; \d+\] =(.*?);", change, re.DOTALL)[1])
    assert len(moving) == 9 and all(f".Cm {name} " in text for name in moving)


def test_the_examples_of_the_manual_work_when_pasted(reachable):
    """They run unchanged, except that /var is in the directory of the test."""
    page = subprocess.run(["mandoc", "-T", "utf8", PAGE], capture_output=True, text=True, check=True).stdout
    plain = re.sub(".\b", "", page)
    part = plain[plain.index("\nEXAMPLES\n") : plain.index("\nSEE ALSO\n")]
    blocks = [textwrap.dedent(block) for block in re.split(r"\n(?= {5}\S)", part)]
    commands = [block.split("\n\n", 1)[1] for block in blocks if "siftr_cdev_logger -" in block or "mv /var" in block]
    assert len(commands) == 7
    (reachable / "var/log").mkdir(parents=True)
    (reachable / "var/run").mkdir()
    (reachable / "bin").mkdir()
    (reachable / "bin/siftr_cdev_logger").symlink_to(LOGGER)
    log, old = reachable / "var/log/tcpstats/tcpstats.log", reachable / "var/log/tcpstats/tcpstats.log.0"
    try:
        for command in commands:
            command = textwrap.dedent(command).replace("/var/", f"{reachable}/var/").replace("-t 60", "-t 0.1")
            # Stop a command that would run forever.
            ends = any(word in command for word in (" -b ", " -c ", " -t ", "mv "))
            shell = command if ends else f"timeout --preserve-status -s INT 1 {command}"
            done = subprocess.run(
                ["sh", "-ec", shell], cwd=reachable, capture_output=True, text=True, timeout=20,
                env={"PATH": f"{reachable}/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            )
            assert (done.returncode, done.stderr) == (0, ""), command
        wait_for_snapshots(log, 2)
        assert old.exists() and "keyframe_us=60000000" in log.read_text()
    finally:
        for pidfile in reachable.glob("var/run/*.pid"):
            os.kill(int(pidfile.read_text()), signal.SIGTERM)
