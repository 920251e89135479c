# SPDX-License-Identifier: BSD-2-Clause
"""What the options mean; of what is wrong one sentence tells, and nothing is touched."""

import re
import subprocess

import pytest
from logger import LOGGER, command, log, refuse, run, sentence

# What is wrong, its arguments, and what the sentence must say.
WRONG = {
    "an unknown short option": (["-Z"], "'Z'"),
    "an unknown long option": (["--nonsense"], "'nonsense'"),
    "an argument that is no option": (["stray"], '"stray"'),
    "an option without its value": (["-s"], "'s'"),
    "an option given twice": (["-s", "1000", "-s", "2000"], "more than once"),
    "an interval of zero": (["-s", "0"], '-s "0": expected a number of microseconds'),
    "a negative interval": (["-s", "-5"], '-s "-5": expected a number of microseconds'),
    "an interval with a fraction": (["-s", "1.5"], '-s "1.5": expected a number of microseconds'),
    "an interval beyond 64 bits": (["-s", "9" * 30], "expected a number of microseconds"),
    "an empty interval": (["-s", ""], '-s ""'),
    "a count of zero": (["-c", "0"], '-c "0": expected a number of snapshots'),
    "a count that is no number": (["-c", "many"], '-c "many": expected a number of snapshots'),
    "a time of zero": (["-t", "0"], '-t "0": expected a number of seconds'),
    "a negative time": (["-t", "-3"], '-t "-3": expected a number of seconds'),
    "a time that is no number": (["-t", "nan"], '-t "nan": expected a number of seconds'),
    "an endless time": (["-t", "inf"], '-t "inf": expected a number of seconds'),
    "an unknown format": (["-F", "xml"], '-F "xml": expected csv, json, siftr or bin'),
    "an unknown column": (["-O", "srtt,rtt"], 'no field is named "rtt"'),
    "a column named twice": (["-O", "srtt,srtt"], '"srtt" is named twice'),
    "no column": (["-O", ""], '-O ""'),
    "columns for bin": (["-F", "bin", "-O", "srtt"], "-O goes with csv and json"),
    "columns for siftr": (["-F", "siftr", "-O", "basic"], "-O goes with csv and json"),
    "a filter that ends early": (["-e", "port 443 and"], "at position 13 (the end)"),
    "a filter with an unknown field": (["-e", "nonsense 1"], "position 1"),
    "a filter with a wrong unit": (["-e", "srtt > 5k"], "position 9"),
    "a filter with an unknown state": (["-e", "state sleeping"], "position 7"),
    "a filter with an open parenthesis": (["-e", "(lport 1"], "at position 9 (the end)"),
    "a filter with something behind it": (["-e", "lport 1 lport 2"], "position 9"),
    "an empty filter": (["-e", ""], "position 1"),
    "a missing source": (["-d", "/nonexistent/x.bin"], "source /nonexistent/x.bin: No such file or directory"),
    "a source that is a directory": (["-d", "/"], "directory"),
    "a source that holds no frames": (["-d", "/etc/passwd"], "source /etc/passwd: expected a file of frames"),
}


@pytest.mark.parametrize("case", WRONG)
def test_of_what_is_wrong_one_sentence_tells_and_no_log_is_made_or_changed(tmp_path, case):
    arguments, said = WRONG[case]
    missing, existing = tmp_path / "missing.csv", tmp_path / "existing.csv"
    run("-o", existing, "-c", 1)
    before = existing.read_bytes(), existing.stat().st_mtime_ns
    for path in missing, existing:
        assert said in refuse("-o", path, *arguments)
    assert not missing.exists()
    assert (existing.read_bytes(), existing.stat().st_mtime_ns) == before


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in tmp_path / "no/such/x.csv", tmp_path, tmp_path / "file/x.csv":
        assert f"log {path}: " in refuse("-o", path, "-c", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_log_is_tcpstats_log_in_the_working_directory_unless_named(tmp_path):
    refuse("-s", "0", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
    subprocess.run([LOGGER, "-c", "1"], cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["tcpstats.log"]


def test_help_names_every_option_and_version_the_version():
    long = "output interval count time format columns source filter help version".split()
    for flag in "-h", "--help":
        told = re.findall(r"^ +-(\w), --(\w+)", run(flag), re.MULTILINE)
        assert told == list(zip("osctFOdehV", long, strict=True))
    for flag in "-V", "--version":
        assert run(flag) == "siftr_cdev_logger 2.0.0\n"


def test_what_cannot_be_printed_is_an_error():
    for arguments in ["-h"], ["-V"], ["-o", "-", "-c", "1"]:
        with open("/dev/full", "w") as full:
            done = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
        assert "No space left on device" in sentence(done.returncode, done.stderr)


def test_long_options_mean_what_the_short_ones_mean():
    long = "--output=- --interval=10000 --count=2 --format=csv --columns=laddr,lport --source=sock_diag".split()
    text = run(*long, "--filter=state listen")
    assert text.count("\n# snapshot ") == 2
    assert "\ntime,snapshot,laddr,lport\n" in text
    (end,) = log("--interval=100000", "--time=0.25").noted("end")
    assert end["snapshots"] + end["missed_ticks"] == 3


def test_an_interval_of_one_microsecond_is_allowed():
    assert len(log("-s", 1, "-c", 3).noted("snapshot")) == 3
