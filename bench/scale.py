# SPDX-License-Identifier: BSD-2-Clause
"""How much is measured: BENCH=full takes its time, BENCH=smoke sees only that it works."""

import os
import sys

NAMES = ("smoke", "usual", "full")


def scale(smoke, usual, full):
    """That of the three which BENCH asks for."""
    name = os.environ.get("BENCH", "usual")
    if name not in NAMES:
        sys.exit(f"BENCH={name}: expected one of {', '.join(NAMES)}")
    return (smoke, usual, full)[NAMES.index(name)]
