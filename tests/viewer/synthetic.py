# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""CSV logs as written by the logger, with the values that a test needs."""

START = 1_795_000_000
FLOW = {
    "gencnt": 7, "laddr": "192.0.2.1", "lport": 40000, "faddr": "192.0.2.2", "fport": 5001, "state": "ESTABLISHED",
    "cc": "cubic", "snd_cwnd": 14480, "snd_ssthresh": 1073725440, "snd_wnd": 65535, "maxseg": 1448, "srtt": 20000,
    "inflight": 14000, "snd_cc": 50000, "acked_bytes": 0, "received_bytes": 0, "rexmit_bytes": 0, "rexmit_packs": 0,
}  # fmt: skip


def lines(snapshots, first=1, end="end", host="h", before=0, mono=(), missed=(), interval=1_000_000):
    """Returns the lines of a log. A snapshot is a pair of its time and its records, each a dictionary of differences from FLOW."""
    columns = ",".join(FLOW)
    head = f'version="2.0.0" time={snapshots[0][0]:.9f} host="{host}" system="Linux" source="sock_diag"'
    text = [
        f'# log {head} interval_us={interval} columns="{columns}" filter="" sandbox="off"',
        f"time,snapshot,{columns}",
    ]
    total, ticks = before, 0
    for number, (second, records) in enumerate(snapshots, first):
        for record in records:
            cells = {**FLOW, **record}
            text.append(f"{second:.3f}000100,{number}," + ",".join(str(cells[name]) for name in FLOW))
        total += len(records)
        ticks += missed[number - first] if missed else 0
        counts = f"seen={len(records)} matched={len(records)} records={len(records)} missed=0 missed_ticks={ticks}"
        clock = f" mono={mono[number - first]:.9f}" if mono else ""
        text.append(f"# snapshot snapshot={number} time={second:.9f} walk_us=100 {counts} flags=0{clock}")
    last = first + len(snapshots) - 1
    if end:
        text.append(
            f"# {end} time={snapshots[-1][0]:.3f}500000 snapshots={last} records={total} missed_ticks={ticks} dropped=0"
        )
    return [line + "\n" for line in text]


def write(path, snapshots, **more):
    path.write_text("".join(lines(snapshots, **more)))
    return path


def steady(count=20, rate=1000, start=START, begin=0):
    """Returns snapshots, one per second, of one connection that sends `rate` bytes per second."""
    return [(start + i, [{"acked_bytes": rate * i}]) for i in range(begin, begin + count)]
