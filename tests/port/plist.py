# SPDX-License-Identifier: BSD-2-Clause
"""The files that the port installs, from pkg-plist."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FRAMEWORK = pathlib.Path(__file__).parent / "framework"


def packed(without=()):
    """Returns the files of the package, relative to /, with their modes.  The options in `without` are off."""
    lines = subprocess.run(
        ["bmake", "-m", FRAMEWORK / "Mk", f"PORTSDIR={FRAMEWORK}", "WORK=/nonexistent", f"WITHOUT={' '.join(without)}", "plist"],
        cwd=ROOT, check=True, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    ).stdout.splitlines()
    names = [line.removeprefix("@sample ") for line in lines]
    assert not any(name.startswith("@") or "%%" in name for name in names)
    return {name: mode(name) for name in (name[1:] if name.startswith("/") else f"usr/local/{name}" for name in names)}


def mode(name):
    """Returns the mode that the framework sets for a file."""
    if re.match(r"boot/|usr/local/s?bin/|usr/local/etc/rc\.d/", name):
        return 0o555
    return 0o444 if "/share/man/" in name else 0o644
