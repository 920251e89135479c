# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The meaning of the options.  Every mistake is reported in one message, and changes no file."""

import subprocess

import pytest
from logger import LOGGER, command, error_message, log, refuse, run

# The mistake, the arguments, and a part of the message: the option, its argument, and what was expected.
WRONG = {
    "an unknown short option": (["-z"], "'z'"),
    "an unknown long option": (["--nonsense"], "'nonsense'"),
    "an argument that is not an option": (["stray"], '"stray": unexpected argument; use -h for help'),
    "an option without its value": (["-s"], "'s' missing"),
    "an option given twice": (["-s", "1000", "-s", "2000"], "'interval' given more than once"),
    "an interval of zero": (["-s", "0"], '-s "0": expected a number of microseconds, from 1'),
    "a negative interval": (["-s", "-5"], '-s "-5": expected a number of microseconds, from 1'),
    "an interval with a fraction": (["-s", "1.5"], '-s "1.5": expected a number of microseconds, from 1'),
    "an interval beyond 64 bits": (["-s", "9" * 30], "expected a number of microseconds, from 1"),
    "an empty interval": (["-s", ""], '-s "": expected a number of microseconds, from 1'),
    "a count of zero": (["-c", "0"], '-c "0": expected a number of snapshots, from 1'),
    "a count that is not a number": (["-c", "many"], '-c "many": expected a number of snapshots, from 1'),
    "a time of zero": (["-t", "0"], '-t "0": expected a number of seconds above 0'),
    "a negative time": (["-t", "-3"], '-t "-3": expected a number of seconds above 0'),
    "a time that is not a number": (["-t", "nan"], '-t "nan": expected a number of seconds above 0'),
    "an infinite time": (["-t", "inf"], '-t "inf": expected a number of seconds above 0'),
    "a time above a year": (["-t", "1e300"], '-t "1e300": expected a number of seconds above 0 and at most 31622400'),
    "a keyframe interval of zero": (["-x", "-k", "0"], '-k "0": expected a number of seconds above 0'),
    "keyframes without -x": (["-k", "5"], "-k requires -x"),
    "a negative sync interval": (["-y", "-1"], '-y "-1": expected a number of seconds above 0'),
    "standard output that is to be synced": (["-y", "1", "-o", "-"], "-y requires a log file"),
    "a queue of zero snapshots": (["-q", "0"], '-q "0": expected a number of snapshots, from 1 to 65536'),
    "a queue that is too long": (["-q", "65537"], '-q "65537": expected a number of snapshots, from 1 to 65536'),
    "an unknown format": (["-F", "xml"], '-F "xml": expected csv, json, siftr or bin'),
    "changes in a format that cannot represent them": (["-F", "siftr", "-x"], "-x requires csv, json or bin"),
    "an unknown column": (["-O", "srtt,rtt"], 'unknown field "rtt"; expected basic, all or a comma-separated list'),
    "a column named twice": (["-O", "srtt,srtt"], '"srtt" is repeated'),
    "no column": (["-O", ""], '-O ""'),
    "columns for bin": (["-F", "bin", "-O", "srtt"], "-O requires csv or json"),
    "columns for siftr": (["-F", "siftr", "-O", "basic"], "-O requires csv or json"),
    "a mode that is not octal": (["-m", "888"], '-m "888": expected an octal mode'),
    "a mode without write permission": (["-m", "0440"], '-m "0440": expected an octal mode of at most 777 that lets'),
    "an unknown facility": (["-l", "local9"], '-l "local9": unknown facility "local9"; expected a name such as'),
    "an unknown level": (["-l", "local0.loud"], '-l "local0.loud": unknown level "loud"; expected emerg, alert'),
    "a syslog host without a name": (["-l", "local0@:514"], '-l "local0@:514": expected @host:port for UDP or @@host'),
    "a syslog port of zero": (["-l", "local0@@h:0"], '-l "local0@@h:0": expected @host:port for UDP or @@host'),
    "a log in syslog and in a file": (["-l", "local0", "-o", "x"], "-o cannot be combined with -l"),
    "a format for syslog": (["-l", "local0", "-F", "json"], "-F cannot be combined with -l, which always sends"),
    "a syslog host without a daemon": (["-l", "local0@@127.0.0.1:1"], "syslog local0@@127.0.0.1:1: Connection refused"),
    "no local syslog daemon": (["-l", "local3"], "syslog local3: no syslog daemon on /dev/log, /var/run/syslog or"),
    "an unknown user": (["-u", "nosuch"], '-u "nosuch": unknown user "nosuch"; expected user or user:group'),
    "an unknown group": (["-u", "nobody:nosuch"], 'unknown group "nosuch"; expected user or user:group'),
    "both more and fewer messages": (["-v", "--quiet"], "-v and --quiet cannot be combined"),
    "a daemon that writes to standard output": (["-b", "-o", "-"], "-b cannot be combined with -o -"),
    "a filter that ends too early": (
        ["-e", "port 443 and"],
        "filter: expected a condition, such as port 443 or srtt > 100ms\n  port 443 and\n              ^",
    ),
    "a filter with an unknown field": (["-e", "nonsense 1"], "\n  nonsense 1\n  ^"),
    "a filter with a wrong unit": (["-e", "srtt > 5k"], "\n  srtt > 5k\n          ^"),
    "a filter with an unknown state": (["-e", "state sleeping"], "\n  state sleeping\n        ^"),
    "a filter with an open parenthesis": (["-e", "(lport 1"], "filter: expected and, or, or )\n  (lport 1\n          ^"),
    "a filter followed by another": (["-e", "lport 1 lport 2"], "\n  lport 1 lport 2\n          ^"),
    "a filter that is too long": (
        ["-e", " or ".join(f"port {number}" for number in range(1, 18))],
        "at most 64 operations, which is about 32 conditions on one end (lport, lnet) or 16 on either end (port, net, host)",
    ),
    "an empty filter": (["-e", ""], "filter: expected a condition, such as port 443 or srtt > 100ms\n  \n  ^"),
    "a missing source": (["-d", "/nonexistent/x.bin"], "source /nonexistent/x.bin: No such file or directory"),
    "a source that is a directory": (["-d", "/"], "source /: "),
    "a source without frames": (["-d", "/etc/passwd"], "source /etc/passwd: expected a file of frames, as written by"),
    "a pidfile in a missing directory": (["-p", "/nonexistent/pid"], "pidfile /nonexistent/pid: No such file or directory"),
    "a log in a missing directory": (["-o", "/nonexistent/x"], "log /nonexistent/x: No such file or directory"),
    "a log that is a directory": (["-o", "/tmp"], "log /tmp: Is a directory"),
    "a log below a file": (["-o", "/etc/passwd/x"], "log /etc/passwd/x: Not a directory"),
}
# With -b, the message is that it cannot be combined with standard output.
ONLY_IN_FOREGROUND = {"standard output that is to be synced", "a daemon that writes to standard output"}


@pytest.mark.parametrize(
    "case, background",
    [(case, background) for case in WRONG for background in ([], ["-b"])[: 1 if case in ONLY_IN_FOREGROUND else 2]],
    ids=lambda value: value if isinstance(value, str) else "".join(value),
)
def test_a_mistake_is_reported_in_one_message_and_no_log_is_created_or_changed(tmp_path, case, background):
    arguments, expected = WRONG[case]
    assert expected in refuse(*background, *arguments, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "tcpstats.log"
    run("-o", path, "-c", 1)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert expected in refuse(*background, *arguments, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_only_root_can_switch_to_another_user():
    nobody = ["setpriv", "--reuid=65534", "--clear-groups"]
    assert refuse("-u", "daemon", enter=nobody) == '-u "daemon": only root can switch to another user'


def test_the_log_is_tcpstats_log_in_the_working_directory_unless_named(tmp_path):
    refuse("-s", "0", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
    subprocess.run([LOGGER, "-c", "1"], cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["tcpstats.log"]


def test_help_and_version_are_printed():
    for flag in "-h", "--help":
        assert run(flag).startswith("usage: siftr_cdev_logger [-")
    for flag in "-V", "--version":
        assert run(flag) == "siftr_cdev_logger 2.0.0\n"


def test_an_error_of_standard_output_is_reported():
    for arguments in ["-h"], ["-V"], ["-o", "-", "-c", "1"]:
        with open("/dev/full", "w") as full:
            done = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
        assert "No space left on device" in error_message(done.returncode, done.stderr)


def test_long_options_mean_the_same_as_short_options():
    long = "--output=- --interval=10000 --count=2 --format=csv --columns=laddr,lport --source=sock_diag".split()
    text = run(*long, "--filter=state listen")
    assert text.count("\n# snapshot ") == 2
    assert "\ntime,snapshot,laddr,lport\n" in text
    (end,) = log("--interval=100000", "--time=0.25").noted("end")
    assert end["snapshots"] + end["missed_ticks"] == 3


def test_an_interval_of_one_microsecond_is_allowed():
    assert len(log("-s", 1, "-c", 3).noted("snapshot")) == 3
