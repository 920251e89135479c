# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Scale of the benchmarks: BENCH=full takes a long time; BENCH=smoke only checks that they work."""

import os
import sys

NAMES = ("smoke", "usual", "full")


def scale(smoke, usual, full):
    """Returns the value that BENCH selects."""
    name = os.environ.get("BENCH", "usual")
    if name not in NAMES:
        sys.exit(f"BENCH={name}: expected one of {', '.join(NAMES)}")
    return (smoke, usual, full)[NAMES.index(name)]
