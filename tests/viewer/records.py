# SPDX-License-Identifier: BSD-2-Clause
"""The records of one connection as a CSV reader gives them, as curves."""

import itertools

from handmade import UNSET


def seconds(row, first):
    return float(row["time"]) - float(first["time"])


def values(rows, name):
    """A column over time, in the pieces between which it has no value."""
    groups = itertools.groupby(rows, lambda row: row[name] not in ("", str(UNSET)))
    return [[(seconds(row, rows[0]), float(row[name])) for row in group] for there, group in groups if there]
