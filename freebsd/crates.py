#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the port's Makefile.crates and distinfo from Cargo.lock.

  crates.py [OUT]

OUT is a folder, the tree's top by default.  The crates' sizes are those of the
files in cargo's cache, where cargo fetch puts them.  The date of the tree's
distinfo stays while nothing else of it changes.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import time
import tomllib

TOP = pathlib.Path(__file__).resolve().parents[1]
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
CACHE = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry/cache"


def crates(lock):
    """The crates from crates.io that Cargo.lock names, with their checksums."""
    named = {}
    for package in tomllib.loads(lock)["package"]:
        source = package.get("source")
        if source is None:
            continue
        if source != REGISTRY:
            sys.exit(f"crates.py: {package['name']} in Cargo.lock comes from {source}: expected {REGISTRY}")
        named[f"{package['name']}-{package['version']}"] = package["checksum"]
    return dict(sorted(named.items()))


def size(crate, checksum):
    """The bytes of a crate's file, which has the checksum of Cargo.lock."""
    for path in CACHE.glob(f"*/{crate}.crate"):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == checksum:
            return len(content)
    sys.exit(f"crates.py: {crate}.crate with the checksum of Cargo.lock is not in {CACHE}: expected cargo fetch to put it there")


def makefile(named):
    """Makefile.crates, as cargo.mk of the ports framework includes it."""
    return "# SPDX-License-Identifier: BSD-2-Clause\n#\n# Written by freebsd/crates.py.\n\nCARGO_CRATES=\t" + " \\\n\t\t".join(named) + "\n"


def distinfo(named, old):
    """distinfo, with the date of the old one if the rest is the same."""
    lines = ""
    for crate, checksum in named.items():
        file = f"rust/crates/{crate}.crate"
        lines += f"SHA256 ({file}) = {checksum}\nSIZE ({file}) = {size(crate, checksum)}\n"
    date, _, rest = old.partition("\n")
    return old if date and rest == lines else f"TIMESTAMP = {int(time.time())}\n{lines}"


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else TOP
    if status := subprocess.run(["cargo", "fetch", "--locked", "--quiet", "--manifest-path", TOP / "Cargo.toml"]).returncode:
        sys.exit(status)
    named = crates((TOP / "Cargo.lock").read_text())
    old = TOP / "distinfo"
    (out / "distinfo").write_text(distinfo(named, old.read_text() if old.exists() else ""))
    (out / "Makefile.crates").write_text(makefile(named))


if __name__ == "__main__":
    main()
