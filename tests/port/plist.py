# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The files that the port installs, from pkg-plist."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FRAMEWORK = pathlib.Path(__file__).parent / "framework"


def packages(without=()):
    """Returns the files of each package, relative to /, with their modes.  The options in `without` are off."""
    lines = subprocess.run(
        ["bmake", "-m", FRAMEWORK / "Mk", f"PORTSDIR={FRAMEWORK}", "WORK=/nonexistent", f"WITHOUT={' '.join(without)}", "plist"],
        cwd=ROOT, check=True, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    ).stdout.splitlines()
    files = {"siftr_cdev": {}, "siftr_cdev-kmod": {}}
    for line in lines:
        subpackage, line = re.fullmatch(r"(?:@@(\w+)@@)?(.*)", line).groups()
        if line == "@kld /boot/modules":
            continue
        name = line.removeprefix("@sample ")
        assert not name.startswith("@") and "%%" not in name
        name = name[1:] if name.startswith("/") else f"usr/local/{name}"
        files[f"siftr_cdev-{subpackage}" if subpackage else "siftr_cdev"][name] = mode(name)
    return files


def packed(without=()):
    """Returns the files of all packages."""
    return {name: mode for files in packages(without).values() for name, mode in files.items()}


def mode(name):
    """Returns the mode that the framework sets for a file."""
    if name.startswith("usr/local/etc/rc.d/"):
        return 0o755
    if re.match(r"boot/|usr/local/s?bin/", name):
        return 0o555
    return 0o444 if "/share/man/" in name else 0o644
