# SPDX-License-Identifier: BSD-2-Clause
"""What the port installs, by pkg-plist."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FRAMEWORK = pathlib.Path(__file__).parent / "framework"


def packed(without=()):
    """The files of the package, from /, with their modes; without says which options are off."""
    lines = subprocess.run(
        ["bmake", "-m", FRAMEWORK / "Mk", f"PORTSDIR={FRAMEWORK}", "WORK=/nonexistent", f"WITHOUT={' '.join(without)}", "plist"],
        cwd=ROOT, check=True, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    ).stdout.splitlines()
    names = [line.removeprefix("@sample ") for line in lines]
    assert not any(name.startswith("@") or "%%" in name for name in names)
    return {name: mode(name) for name in (name[1:] if name.startswith("/") else f"usr/local/{name}" for name in names)}


def mode(name):
    """What the framework gives each kind of file."""
    if re.match(r"boot/|usr/local/s?bin/|usr/local/etc/rc\.d/", name):
        return 0o555
    return 0o444 if "/share/man/" in name else 0o644
