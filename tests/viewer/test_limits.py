# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The memory limits in the manual, and its example queries."""

import json
import random
import re
import subprocess
import sys

import duckdb
import logger
import pytest
from synthetic import FLOW, START, lines
from viewer import TCPSTATS, run, start

MAN = logger.ROOT / "man"
PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def peak(*arguments):
    """Returns the peak memory of the viewer in bytes."""
    line = [sys.executable, "-c", PEAK, TCPSTATS, *map(str, arguments)]
    status, memory = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    assert status == "0"
    return int(memory)


def log_of(path, count, srtts):
    """Writes a log of `count` connections, with a snapshot for each list of round-trip times."""
    with path.open("w") as file:
        for number, times in enumerate(srtts):
            records = [
                {"gencnt": 1 + i, "lport": 1024 + i % 60000, "acked_bytes": 1000 * number, "srtt": times[i % len(times)]}
                for i in range(count)
            ]
            text = lines([(START + number, records)], first=1 + number, before=number * count, end="")
            file.write("".join(text if number == 0 else text[2:]))
        file.write(f"# end time={START + 1}.5 snapshots={len(srtts)} records={len(srtts) * count} missed_ticks=0 dropped=0\n")
    return path


def documented():
    """Returns the memory for a connection according to the manual, in bytes."""
    page = " ".join((MAN / "tcpstats.1").read_text().split())
    found = re.search(
        r"([\d.]+) kB for a connection with a steady round-trip time, ([\d.]+) kB if it varies by half, and "
        r"([\d.]+) kB if it varies by a factor of ten thousand",
        page,
    )
    return [1000 * float(number) for number in found.groups()]


def test_the_memory_of_summary_is_as_documented(tmp_path):
    random.seed(7)
    few = peak("summary", log_of(tmp_path / "few.csv", 1, [[20000]]))
    shapes = [
        (40_000, [[20000]]),
        (8_000, [[random.randint(20000, 30000) for _ in range(97)] for _ in range(24)]),
        (4_000, [[round(10 ** random.uniform(2, 6)) for _ in range(97)] for _ in range(24)]),
    ]
    for number, ((count, srtts), limit) in enumerate(zip(shapes, documented(), strict=True)):
        log = log_of(tmp_path / f"{number}.csv", count, srtts)
        for line in ["summary"], ["summary", "--json"], ["summary", "--by", "port"]:
            each = (peak(*line, log) - few) / count
            # A figure that is much too high would mislead.
            assert 0.4 * limit < each < 1.1 * limit, (line, each, limit)


def snapshot_of(path, count):
    """Writes a log with one snapshot of `count` connections and few columns."""
    head = f'# log version="2.0.0" time={START}.000000000 host="h" system="Linux" interval_us=1000000 columns="gencnt,lport"\n'
    with path.open("w") as file:
        file.write(head + "time,snapshot,gencnt,lport\n")
        file.writelines(f"{START}.000000100,1,{i + 1},{i % 9}\n" for i in range(count))
        counts = f"seen={count} matched={count} records={count} missed=0 missed_ticks=0 flags=0"
        file.write(f"# snapshot snapshot=1 time={START}.000000000 walk_us=1 {counts}\n")
        file.write(f"# end time={START}.5 snapshots=1 records={count} missed_ticks=0 dropped=0\n")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return snapshot_of(tmp_path_factory.mktemp("large") / "log.csv", 600_000)


def test_show_reports_a_snapshot_that_is_too_large(large):
    page = " ".join((MAN / "tcpstats.1").read_text().split())
    limit = int(re.search(r"At most ([\d,]+) records of a snapshot in a log are kept in memory", page)[1].replace(",", ""))
    for line in ["show", "-d", large], ["show", "--json", "-d", large], ["top", "-d", large]:
        done = start(*line)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.decode() == (
            f"tcpstats: {large}: line 600003: snapshot 1 has more than {limit} records to show; select some of them "
            "with -e\n"
        )
    rows = run("show", "--json", "-d", large, "-e", "lport 5").splitlines()
    assert len(rows) == 66_667 and json.loads(rows[0])["lport"] == 5


def test_memory_of_show_and_check_is_bounded(large):
    assert peak("show", "-o", "gencnt", "-d", large, "-e", "lport < 7") < 1_200_000_000
    assert peak("check", large) < 100_000_000


def query(page, start):
    """Returns the example of a page that starts with this text."""
    text = (MAN / page).read_text()
    return re.search(rf"^{start}.*?(?=^\.Ed)", text, re.MULTILINE | re.DOTALL)[0]


def test_the_duckdb_query_in_the_manual_is_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listener = {name: "" for name in FLOW} | {"laddr": "0.0.0.0", "faddr": "0.0.0.0", "fport": 0, "state": "LISTEN"}
    snapshots = [(START + i, [{**listener, "gencnt": n, "lport": 1000 + n} for n in range(100)]) for i in range(220)]
    snapshots += [(START + 300, [{"srtt": 9000}]), (START + 301, [{"srtt": 120_000, "faddr": "192.0.2.3"}])]
    (tmp_path / "tcpstats.log").write_text("".join(lines(snapshots)))
    rows = duckdb.sql(query("tcpstats.5", "SELECT faddr")).fetchall()
    found = [row for row in rows if row[-1] is not None]
    assert found == [("192.0.2.3", 5001, 120.0), ("192.0.2.2", 5001, 9.0)]


def test_the_jq_query_in_the_manual_is_right(tmp_path):
    (tmp_path / "log.csv").write_text("".join(lines([(START, [{}, {"gencnt": 8, "snd_cwnd": ""}, {"lport": 9}])])))
    run("convert", tmp_path / "log.csv", tmp_path / "log.json")
    (tmp_path / "tcpstats.log").write_bytes((tmp_path / "log.json").read_bytes())
    text = query("tcpstats.5", "jq -r")
    done = subprocess.run(["sh", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.split("\t")[1:] for line in done.stdout.splitlines()] == [["40000", "14480"], ["9", "14480"]]
