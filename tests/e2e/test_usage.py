# SPDX-License-Identifier: BSD-2-Clause
"""Bad command lines: each is one sentence that says what is wrong and what was expected, and exit status 1."""

import pathlib
import subprocess

import pytest
from running import LOGGER

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


def test_every_option_is_in_the_help_and_in_the_manual():
    shown = subprocess.run([LOGGER, "-h"], capture_output=True, text=True, check=True).stdout
    options = [line.split()[:2] for line in shown.splitlines() if line.strip().startswith("-")]
    names = [name.strip(",") for pair in options for name in pair if name.startswith("-")]
    assert len(options) == 22 and {"-b", "--no-sandbox", "--quiet", "-y", "--sync"} < set(names)
    page = (pathlib.Path(__file__).resolve().parents[2] / "man/siftr_cdev_logger.8").read_text()
    for name in names:
        assert f"Fl {name[1:].replace('-', chr(92) + '-')}" in page, name
