#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""licences.py FOLDER...: fails when the licence of a dependency there is not on the list, or has none."""

import json
import re
import subprocess
import sys

# Licences that may be linked with BSD-2-Clause code and shipped as a package.
ALLOWED = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
}


def acceptable(expression):
    """Whether a choice that the SPDX expression offers is allowed whole."""
    flat = expression.replace("(", " ").replace(")", " ")
    alternatives = re.split(r" OR |/", flat)
    if "(" in expression:
        # "(A OR B) AND C": every part counts, whichever is chosen.
        return all(part.strip() in ALLOWED for part in re.split(r" OR | AND |/", flat))
    return any(all(part.strip() in ALLOWED for part in choice.split(" AND ")) for choice in alternatives)


def packages_of(folder):
    """What the Cargo.lock of that folder names."""
    command = ["cargo", "metadata", "--format-version=1", "--locked"]
    return json.loads(subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout)["packages"]


def main():
    packages = [package for folder in sys.argv[1:] for package in packages_of(folder)]
    wrong = [
        f"{package['name']} {package['version']}: {package['license'] or 'no licence'}"
        for package in packages
        if not package["license"] or not acceptable(package["license"])
    ]
    if wrong:
        print("licences that are not on the list of tests/licences.py:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    print(f"licences: {len(packages)} packages, all on the list")
    return 0


if __name__ == "__main__":
    sys.exit(main())
