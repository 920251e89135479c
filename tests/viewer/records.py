# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The records of one connection, as read by a CSV reader, converted to curves."""

import itertools

from handmade import UNSET


def seconds(row, first):
    return float(row["time"]) - float(first["time"])


def values(rows, name):
    """Returns a column over time, in pieces separated by absent values."""
    pieces = []
    for period in periods(rows):
        groups = itertools.groupby(period, lambda row: row[name] not in ("", str(UNSET)))
        pieces += [[(seconds(row, rows[0]), float(row[name])) for row in group] for has_value, group in groups if has_value]
    return pieces


def periods(rows):
    """Splits rows at long gaps, which occur if the machine is too busy for the logger."""
    usual = seconds(rows[-1], rows[0]) / (len(rows) - 1)
    found = [[rows[0]]]
    for before, row in itertools.pairwise(rows):
        if seconds(row, before) > 10 * usual:
            found.append([])
        found[-1].append(row)
    return found
