# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Files in the tree that are generated from others: `siftr_cdev_gen check` names those that are out of date."""

import os
import re
import shutil
import subprocess

import pytest

from plist import ROOT

GEN = ROOT / "target/debug/siftr_cdev_gen"
FILES = [
    "Cargo.lock", "Makefile.crates", "distinfo", "examples/prometheus/dashboard.json", "man/tcpstats.1", "man/tcpstats.5",
    "src/kmod/members.h",
]

# Prints what the examples of the viewer print.
CARGO = """\
#!/bin/sh
case $* in run*=manual) cat "$PARTS" ;; run*=metrics) cat "$METRICS" ;; fetch*) exit "${FETCH:-0}" ;; esac
"""


@pytest.fixture(scope="module")
def metrics():
    """The metrics of the viewer."""
    done = subprocess.run(
        ["cargo", "run", "--locked", "--quiet", "--package=tcpstats_viewer", "--example=metrics"], cwd=ROOT, check=True, capture_output=True
    )
    return done.stdout


@pytest.fixture
def tree(tmp_path, metrics):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    parts = re.findall(r'^\.\\" Start of the .*?^\.\\" End of the .*?\n', (ROOT / "man/tcpstats.1").read_text(), re.M | re.S)
    assert len(parts) == 3
    (tmp_path / "parts").write_text("".join(parts))
    (tmp_path / "metrics").write_bytes(metrics)
    (tmp_path / "cargo").write_text(CARGO)
    (tmp_path / "cargo").chmod(0o755)
    return tmp_path


def generator(tree, *arguments, **environment):
    environment = {**os.environ, "CARGO": tree / "cargo", "PARTS": tree / "parts", "METRICS": tree / "metrics", **environment}
    return subprocess.run([GEN, *arguments], cwd=tree, env=environment, capture_output=True, text=True)


def test_a_tree_that_is_up_to_date_passes(tree):
    done = generator(tree, "check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


STALE = [
    ("man/tcpstats.1", ".Cm top\n", "", "man"),
    ("man/tcpstats.5", ".It Va srtt Pq u32", ".It Va srtt Pq u16", "man"),
    ("examples/prometheus/dashboard.json", '"tcpstats"', '"tcpstat"', "dashboard"),
    ("src/kmod/members.h", "MEMBER(tcpcb, iss)\n", "", "members"),
    ("Makefile.crates", "adler2-", "adler3-", "crates"),
    ("distinfo", "SIZE (rust/crates/adler2", "SIZE (rust/crates/adler3", "crates"),
]


@pytest.mark.parametrize(("name", "old", "new", "target"), STALE, ids=lambda value: str(value).split(" ")[0])
def test_a_file_that_is_out_of_date_is_named_and_regenerated(tree, name, old, new, target):
    text = (tree / name).read_text()
    assert old in text
    (tree / name).write_text(text.replace(old, new, 1))
    done = generator(tree, "check")
    assert (done.returncode, done.stderr) == (1, f"siftr_cdev_gen: {name}: out of date; run make {target}\n")
    commands = {
        "examples/prometheus/dashboard.json": "dashboard", "man/tcpstats.1": "options", "man/tcpstats.5": "fields",
        "src/kmod/members.h": "members",
    }
    command = [commands[name], name] if name in commands else ["crates", "."]
    assert generator(tree, *command).returncode == 0
    restored = (tree / name).read_text()
    # A distinfo that changes gets a new date.
    assert restored.partition("\n")[2] == text.partition("\n")[2] and (name == "distinfo" or restored == text)


def test_every_file_that_is_out_of_date_is_named(tree):
    for name, old, new, _ in STALE:
        (tree / name).write_text((tree / name).read_text().replace(old, new, 1))
    done = generator(tree, "check")
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [name for name, *_ in STALE]


def test_a_crate_from_elsewhere_is_an_error(tree):
    lock = (tree / "Cargo.lock").read_text()
    (tree / "Cargo.lock").write_text(lock.replace("registry+https://github.com/rust-lang/crates.io-index", "git+https://example.org/x", 1))
    done = generator(tree, "crates", ".")
    assert done.returncode == 1 and re.search(r"Cargo.lock: adler2-\S+: source is git\+https://example.org/x; expected registry", done.stderr)
    assert (tree / "distinfo").read_bytes() == (ROOT / "distinfo").read_bytes()


def test_a_failure_of_cargo_is_an_error(tree):
    done = generator(tree, "crates", ".", FETCH="101")
    assert done.returncode == 1 and "cargo fetch: exit status: 101" in done.stderr
