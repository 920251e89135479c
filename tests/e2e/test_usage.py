# SPDX-License-Identifier: BSD-2-Clause
"""Bad command lines: each is one sentence that says what is wrong and what was expected, and exit status 1."""

import os
import pathlib
import re
import signal
import subprocess
import textwrap

import pytest
from running import LOGGER, wait_for_snapshots

# Arguments, and what the sentence must say: the option, what was given, what was expected.
WRONG = [
    ("-z", ["'z'", "-h"]),
    ("--loud", ["'loud'", "-h"]),
    ("-o", ["'o'", "missing"]),
    ("-s 1000 -s 2000", ["'interval'", "more than once"]),
    ("stray", ['"stray"', "no other argument is expected"]),
    ("-s 0", ['-s "0"', "a number of microseconds, from 1"]),
    ("-s 1.5", ['-s "1.5"', "a number of microseconds, from 1"]),
    ("-c many", ['-c "many"', "a number of snapshots, from 1"]),
    ("-t nan", ['-t "nan"', "a number of seconds above 0"]),
    ("-t 1e300", ['-t "1e300"', "at most 31622400"]),
    ("-k 0 -x", ['-k "0"', "a number of seconds above 0"]),
    ("-k 5", ["-k goes with -x"]),
    ("-y -1", ['-y "-1"', "a number of seconds above 0"]),
    ("-y 1 -o -", ["-y goes with a log in a file"]),
    ("-q 0", ['-q "0"', "a number of snapshots, from 1 to 65536"]),
    ("-q 65537", ['-q "65537"', "from 1 to 65536"]),
    ("-F xml", ['-F "xml"', "csv, json, siftr or bin"]),
    ("-F siftr -x", ["-x goes with csv, json and bin"]),
    ("-O srtt,rtt", ['"rtt"', "basic, all, or field names"]),
    ("-O all -F bin", ["-O goes with csv and json"]),
    ("-m 888", ['-m "888"', "an octal mode", "0640"]),
    ("-m 0440", ['-m "0440"', "the owner can read and write"]),
    ("-l local9", ['-l "local9"', 'no facility "local9"', "local0"]),
    ("-l local0.loud", ['-l "local0.loud"', 'no level "loud"', "emerg, alert, crit, err"]),
    ("-l local0@:514", ['-l "local0@:514"', "@host:port for UDP or @@host:port for TCP"]),
    ("-l local0@@host:0", ['-l "local0@@host:0"', "@host:port for UDP or @@host:port for TCP"]),
    ("-l local0 -o x.log", ["-o goes with a log in a file", "-l"]),
    ("-l local0 -F json", ["-F goes with a log in a file", "key=value"]),
    ("-l local0@@127.0.0.1:1", ["syslog local0@@127.0.0.1:1", "Connection refused"]),
    ("-u nosuchuser", ['-u "nosuchuser"', 'no user "nosuchuser"', "user or user:group"]),
    ("-u nobody:nosuchgroup", ['no group "nosuchgroup"', "user or user:group"]),
    ("-v --quiet", ["-v and --quiet contradict each other"]),
    ("-b -o -", ["-b leaves the terminal", "name a file"]),
    ("-p /nonexistent/pid", ["pidfile /nonexistent/pid", "No such file or directory"]),
    ("-o /nonexistent/x.log", ["log /nonexistent/x.log", "No such file or directory"]),
    ("-o /", ["log /", "directory"]),
    ("-d /nonexistent", ["source /nonexistent", "No such file or directory"]),
    ("-d /etc/passwd", ["source /etc/passwd", "-F bin"]),
]


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "-b"])
@pytest.mark.parametrize(("line", "said"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_command_line_is_one_sentence_and_leaves_nothing(line, said, background, tmp_path):
    arguments = [*(["-b"] if background and "-b" not in line else []), *line.split()]
    done = subprocess.run([LOGGER, *arguments], capture_output=True, text=True, timeout=20, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    if background and line in ("-y 1 -o -",):
        return
    assert done.stderr.startswith("siftr_cdev_logger: ") and done.stderr.count("\n") == 1, done.stderr
    for part in said:
        assert part in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("port 443 and", "at position 13 (the end)"), ("srtt > 5k", "position 9"), ("portt 1", "position 1")],
)
def test_a_wrong_filter_is_told_with_its_place(text, said, tmp_path):
    done = subprocess.run([LOGGER, "-b", "-e", text], capture_output=True, text=True, timeout=20, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f'filter "{text}"' in done.stderr and said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_only_root_can_become_another_user(tmp_path):
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", LOGGER, "-u", "daemon"], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    assert done.stderr == 'siftr_cdev_logger: -u "daemon": only root can become another user\n'


ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "man/siftr_cdev_logger.8"


def test_every_option_is_in_the_help_and_in_the_manual():
    shown = subprocess.run([LOGGER, "-h"], capture_output=True, text=True, check=True).stdout
    options = [line.split()[:2] for line in shown.splitlines() if line.strip().startswith("-")]
    names = [name.strip(",") for pair in options for name in pair if name.startswith("-")]
    assert len(options) == 22 and {"-b", "--no-sandbox", "--quiet", "-y", "--sync"} < set(names)
    described = re.findall(r"^\.It (Fl .*)$", PAGE.read_text(), re.MULTILINE)
    told = {name.replace("\\", "") for line in described for name in re.findall(r"Fl (\S+)", line)}
    assert told == {name[1:] for name in names}


def test_the_manual_is_clean_mdoc():
    done = subprocess.run(["mandoc", "-T", "lint", PAGE], capture_output=True, text=True)
    # Which other pages there are depends on the machine.
    elsewhere = ("referenced manual not found", "mandoc.db", ".../share/man")
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if not any(each in line for each in elsewhere)] == []


def test_the_manual_tells_every_line_of_the_log_and_every_field_that_is_no_change():
    text = PAGE.read_text()
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs") if "tests" not in path.parts)
    names = set(re.findall(r'Note \{\s*name: "(\w+)"', sources)) | {"rotated", "end", "open", "close"}
    described = " ".join(re.findall(r"^\.It Cm (.*)$", text, re.MULTILINE)).replace(",", "").split()
    assert {"log", "snapshot", "gap", "torn", "missed", "source_lost"} <= names and names == set(described)
    change = (ROOT / "src/tcpstats/src/change.rs").read_text()
    moving = re.findall(r'"(\w+)"', re.search(r"ALWAYS_MOVING: \[&str; \d+\] =(.*?);", change, re.DOTALL)[1])
    assert len(moving) == 9 and all(f".Cm {name} " in text for name in moving)


def test_the_examples_of_the_manual_work_when_pasted(tmp_path):
    """Run as they stand, with /var moved into the test's directory."""
    page = subprocess.run(["mandoc", "-T", "utf8", PAGE], capture_output=True, text=True, check=True).stdout
    plain = re.sub(".\b", "", page)
    part = plain[plain.index("\nEXAMPLES\n") : plain.index("\nSEE ALSO\n")]
    blocks = [textwrap.dedent(block) for block in re.split(r"\n(?= {5}\S)", part)]
    commands = [block.split("\n\n", 1)[1] for block in blocks if "siftr_cdev_logger -" in block or "mv /var" in block]
    assert len(commands) == 5
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "var/run").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/siftr_cdev_logger").symlink_to(LOGGER)
    for each in (tmp_path, *tmp_path.parents):
        if str(each).startswith("/tmp/pytest"):
            each.chmod(0o755)
    log, old = tmp_path / "var/log/tcpstats/tcpstats.log", tmp_path / "var/log/tcpstats/tcpstats.log.0"
    try:
        for command in commands:
            command = textwrap.dedent(command).replace("/var/", f"{tmp_path}/var/").replace("-t 60", "-t 0.1")
            # What would go on for ever is ended.
            shell = f"timeout --preserve-status -s INT 1 {command}" if "-s 1000000" in command else command
            done = subprocess.run(
                ["sh", "-ec", shell], cwd=tmp_path, capture_output=True, text=True, timeout=20,
                env={"PATH": f"{tmp_path}/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            )
            assert (done.returncode, done.stderr) == (0, ""), command
        wait_for_snapshots(log, 2)
        assert old.exists() and "keyframe_us=60000000" in log.read_text()
    finally:
        for pidfile in tmp_path.glob("var/run/*.pid"):
            os.kill(int(pidfile.read_text()), signal.SIGTERM)
