# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The manual pages: clean mdoc, complete in both directions, and examples that work."""

import pathlib
import re
import shutil
import subprocess
import textwrap

import duckdb
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "man").iterdir())
MODULE = "".join(source.read_text() for source in sorted((ROOT / "src/kmod").glob("*.c")))
GOLDEN = ROOT / "src/tcpstats/tests/golden"


def section(page, title):
    """The mdoc source of a section or subsection, up to the next heading."""
    text = (ROOT / "man" / page).read_text()
    return re.search(rf"^\.S[hs] {title}\n(.*?)(?=^\.S[hs] |\Z)", text, re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_clean_mdoc(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "style", page], capture_output=True, text=True)
    # Which other pages are installed depends on the machine.
    elsewhere = ("referenced manual not found", "mandoc.db", ".../share/man")
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if not any(each in line for each in elsewhere)] == []
    assert f".Dt {page.stem.upper()} {page.suffix[1:]}\n" in page.read_text()


def test_the_pages_refer_only_to_pages_that_exist():
    ours = {f"{page.stem} {page.suffix[1:]}" for page in PAGES}
    assert {"siftr_cdev 4", "siftr_cdev_logger 8", "tcpstats 5"} <= ours
    named = {name for page in PAGES for name in re.findall(r"^\.Xr ((?:siftr_|tcpstats)\w* \d)", page.read_text(), re.MULTILINE)}
    assert len(named) >= 3 and named <= ours


def variables(title):
    """The variables that a subsection of siftr_cdev(4) documents."""
    items = re.findall(r"^\.It (Va .*)$", section("siftr_cdev.4", title), re.MULTILINE)
    return [name for line in items for name in re.findall(r"\bVa (\w+)", line)]


def test_the_documented_sysctls_are_those_that_exist():
    defined = set(re.findall(r"^SYSCTL_\w+\(_net_inet_siftr_cdev, OID_AUTO, (\w+),", MODULE, re.MULTILINE))
    defined |= set(re.findall(r"^(?:COUNTER|BYTES|PER_USER)\((\w+),", MODULE, re.MULTILINE))
    assert len(defined) >= 16
    assert sorted(variables("Loader tunables") + variables("Sysctl variables")) == sorted(defined)


def test_the_documented_tunables_are_those_that_exist():
    tunable = re.findall(r"OID_AUTO, (\w+), CTLFLAG_\w+TUN,", MODULE)
    # BYTES and PER_USER define tunables, COUNTER does not.
    assert len(re.findall(r"^\tSYSCTL_U\w+\(.*\\\n\t    CTLFLAG_RWTUN,", MODULE, re.MULTILINE)) == 2
    tunable += re.findall(r"^(?:BYTES|PER_USER)\((\w+),", MODULE, re.MULTILINE)
    assert len(tunable) == 11
    assert sorted(variables("Loader tunables")) == sorted(tunable)


def test_the_documented_ioctls_are_those_that_exist(tmp_path):
    header = tmp_path / "tcpstats.h"
    subprocess.run([ROOT / "target/debug/siftr_cdev_gen", "header", header], check=True)
    defined = dict(re.findall(r"^#define\t(TCPSTATS_\w+)\t_IO[WR]*\('T', \d+(?:, ([\w ]+))?\)$", header.read_text(), re.MULTILINE))
    items = re.findall(r"^\.It Dv (TCPSTATS_\w+)(?: Pq Vt (.*))?$", section("siftr_cdev.4", "Ioctls"), re.MULTILINE)
    assert len(defined) == 9
    assert dict(items) == defined


def test_the_documented_probes_are_those_that_exist():
    defined = {name.replace("__", "-"): int(count) for count, name in re.findall(r"^SDT_PROBE_DEFINE(\d)\(siftr_cdev, , , (\w+),", MODULE, re.MULTILINE)}
    items = re.findall(r"^\.It Fn siftr_cdev:::(\S+) (.*)$", section("siftr_cdev.4", "DTrace probes"), re.MULTILINE)
    assert len(defined) == 4
    assert {name: len(re.findall(r'"[^"]+"', arguments)) for name, arguments in items} == defined


def test_the_documented_messages_are_those_that_the_module_prints():
    sources = "".join(file.read_text() for file in sorted((ROOT / "src/kmod").glob("*.c")))
    printed = re.findall(r'printf\("(siftr_cdev: (?:[^"]|"\s*")*)\\n"', sources)
    printed = {re.sub(r'"\s*"', "", message) for message in printed}
    documented = set(re.findall(r'^\.It "(.*)"$', section("siftr_cdev.4", "DIAGNOSTICS"), re.MULTILINE))
    assert len(documented) >= 3
    assert documented == printed


def examples(page):
    """The literal blocks of the examples."""
    return re.findall(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed$", section(page, "EXAMPLES"), re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_formats_work_when_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sql, jq, convert = examples("tcpstats.5")
    shutil.copy(GOLDEN / "v2-basic.csv", "tcpstats.log")
    rows = duckdb.sql(sql.strip().rstrip(";")).fetchall()
    assert rows[0] == ("203.0.113.9", 12, 24.024) or rows[0] == ("198.51.100.7", 443, 16.0), rows
    assert len(rows) == 3
    shutil.copy(GOLDEN / "v2.json", "tcpstats.log")
    lines = subprocess.run(jq, shell=True, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line.split("\t")[1:] for line in lines] == [["50000", "14480"], ["6", "19019"]]
    pathlib.Path("tcpstats.log").unlink()
    shutil.copy(GOLDEN / "v2.bin", "tcpstats.bin")
    subprocess.run(convert.replace("siftr_cdev_logger", str(ROOT / "siftr_cdev_logger"), 1), shell=True, check=True)
    rows = [line for line in pathlib.Path("tcpstats.log").read_text().splitlines() if not line.startswith("#")]
    assert rows == (GOLDEN / "v2-all.csv").read_text().splitlines()[: len(rows)] and len(rows) == 4


def test_the_log_in_the_page_is_as_the_library_writes_it():
    block = textwrap.dedent(re.search(r"^time,snapshot,.*?(?=^\.Ed)", (ROOT / "man/tcpstats.5").read_text(), re.MULTILINE | re.DOTALL)[0])
    header, *rows, note = block.splitlines()
    golden = [line.split(",") for line in (GOLDEN / "v2-basic.csv").read_text().splitlines()]
    columns = [golden[0].index(name) for name in header.split(",")]
    assert rows == [",".join(row[column] for column in columns) for row in golden[1:3]]
    # The numbers are those of the two records that are shown.
    assert re.sub(r"\d+", "0", note) == re.sub(r"\d+", "0", (GOLDEN / "v2-basic.csv").read_text().splitlines()[-1])
