# SPDX-License-Identifier: BSD-2-Clause
"""The records of one connection as a CSV reader gives them, as curves."""

import itertools

from handmade import UNSET


def seconds(row, first):
    return float(row["time"]) - float(first["time"])


def values(rows, name):
    """A column over time, in the pieces between which it has no value."""
    pieces = []
    for stretch in stretches(rows):
        groups = itertools.groupby(stretch, lambda row: row[name] not in ("", str(UNSET)))
        pieces += [[(seconds(row, rows[0]), float(row[name])) for row in group] for there, group in groups if there]
    return pieces


def stretches(rows):
    """Rows without a long time between, as there is one when the machine was too busy for the logger."""
    usual = seconds(rows[-1], rows[0]) / (len(rows) - 1)
    found = [[rows[0]]]
    for before, row in itertools.pairwise(rows):
        if seconds(row, before) > 10 * usual:
            found.append([])
        found[-1].append(row)
    return found
