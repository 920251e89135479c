# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Writes a log of many short connections whose prefixes change every hour.

    churn.py SECONDS ENDED OPEN

In each of SECONDS snapshots, one per second, ENDED connections have ended that are in no snapshot, and OPEN connections
are open, each for a minute."""

import sys

from handmade import LEDGER, START

COLUMNS = "gencnt,laddr,lport,faddr,fport,state,srtt,acked_bytes,sent_bytes,received_bytes,rexmit_bytes,rexmit_packs,duration"
LIFE = 60
# Every hour, 8 of the 48 prefixes that have connections are replaced by others; all of them return twice a day.
PREFIXES, AT_A_TIME, REPLACED = 96, 48, 8


def prefix(second, number):
    """Returns the third byte of the foreign address of a connection that began at a second."""
    return (second // 3600 * REPLACED + (second + number * 11) % AT_A_TIME) % PREFIXES


def size(third):
    """Returns the bytes per second of a connection to a prefix.  Some prefixes have more traffic than others."""
    return 100 * (1 + third * 7 % 31)


def log(seconds, ended, open_count):
    """Returns the lines of the log, as one text for each snapshot."""
    yield f"time,snapshot,{COLUMNS}\n"
    for second in range(1, seconds + 1):
        head = f"{START + second}.000000000,{second},"
        rows = []
        for number in range(open_count):
            # The connections of a minute; each of them begins at another second.
            life, age = divmod(second + number * 7, LIFE)
            began = second - age
            third = prefix(began, number)
            ends = f"{1 + number + open_count * life},192.0.2.1,443,10.0.{third}.1,{1024 + number}"
            sent = size(third) * (age + 1)
            rows.append(f"{head}{ends},ESTABLISHED,{1000 + number * 37},{sent},{sent},{100 * age},0,{age // 10},\n")
            if age == 0 and second > LIFE:
                third = prefix(second - LIFE, number)
                ends = f"{1 + number + open_count * (life - 1)},192.0.2.1,443,10.0.{third}.1,{1024 + number}"
                sent = size(third) * LIFE
                rows.append(f"{head}{ends},ENDED,900,{sent},{sent},{100 * LIFE},0,{LIFE // 10},{LIFE * 1_000_000}\n")
        for number in range(ended):
            third = prefix(second, number)
            ends = f"{second * ended + number + (1 << 40)},192.0.2.1,443,10.0.{third}.1,{30000 + number}"
            rows.append(f"{head}{ends},ENDED,{500 + number},{size(third)},{size(third)},300,0,0,{1000 * (number + 1)}\n")
        gone = sum(",ENDED," in row for row in rows)
        live = len(rows) - gone
        counts = f"walk_us=9 seen={live} matched={live} records={len(rows)} missed=0 missed_ticks=0 flags={LEDGER}"
        note = f"# snapshot snapshot={second} time={START + second}.000000000 {counts}"
        yield "".join(rows) + f"{note} mono={second}.000000000 ended={gone} ended_lost=0\n"


if __name__ == "__main__":
    for text in log(*map(int, sys.argv[1:])):
        sys.stdout.write(text)
