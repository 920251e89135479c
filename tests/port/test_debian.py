# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The Debian package, without building it, which takes minutes: `make deb-test` does."""

import pathlib
import re
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKSPACE = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]


def test_the_version_is_that_of_the_project():
    first = (ROOT / "debian/changelog").read_text().splitlines()[0]
    assert first.startswith(f"siftr-cdev ({WORKSPACE['package']['version']}) ")


def test_the_compiler_is_recent_enough():
    versions = re.findall(r"^ \w+-web \| (?:cargo|rustc) \(>= (.*)\),$", (ROOT / "debian/control").read_text(), re.MULTILINE)
    assert versions == [WORKSPACE["package"]["rust-version"]] * 2


def test_the_copy_of_the_source_is_complete():
    makefile = (ROOT / "GNUmakefile").read_text()
    copied = re.search(r"^DEB_SOURCES := (.*)$", makefile, re.MULTILINE)[1].split()
    needed = {pathlib.Path(member).parts[0] for member in WORKSPACE["members"]}
    needed |= {line.split("/")[0] for name in ["manpages", "docs", "examples"] for line in (ROOT / f"debian/siftr-cdev.{name}").read_text().split()}
    assert needed <= set(copied)
    assert all((ROOT / name).exists() for name in copied)


def test_the_package_contains_the_pages_that_apply_to_linux():
    installed = (ROOT / "debian/siftr-cdev.manpages").read_text().split()
    pages = subprocess.run(["git", "ls-files", "man"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert installed == [page for page in pages if page != "man/siftr_cdev.4"]
