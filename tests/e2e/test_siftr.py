# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""A siftr log can be parsed by a parser that was written only from siftr(4) of FreeBSD 14."""

import re

import logger
from logger import replay

ENABLE = "enable_time_secs enable_time_usecs siftrver sysname sysver ipmode".split()
DISABLE = """disable_time_secs disable_time_usecs num_inbound_tcp_pkts num_outbound_tcp_pkts total_tcp_pkts
    num_inbound_skipped_pkts_malloc num_outbound_skipped_pkts_malloc
    num_inbound_skipped_pkts_tcpcb num_outbound_skipped_pkts_tcpcb
    num_inbound_skipped_pkts_inpcb num_outbound_skipped_pkts_inpcb total_skipped_tcp_pkts flow_list""".split()
FIELDS = """direction time laddr lport faddr fport ssthresh cwnd flags2 snd_wnd rcv_wnd snd_scale rcv_scale state mss
    srtt sack flags rto snd_buf_hiwat snd_buf_cc rcv_buf_hiwat rcv_buf_cc inflight reass_qlen flowid flowtype""".split()


def pairs(line, keys):
    """Returns the pairs of a line, which must have these keys in order."""
    cells = dict(cell.split("=", 1) for cell in line.split("\t"))
    assert list(cells) == keys
    return cells


class SiftrLog:
    """A log from enabling siftr to disabling it."""

    def __init__(self, text):
        assert text.endswith("\n")
        first, *rows, last = text.splitlines()
        self.enable, self.disable = pairs(first, ENABLE), pairs(last, DISABLE)
        self.rows = [dict(zip(FIELDS, row.split(","), strict=True)) for row in rows]
        for row in self.rows:
            assert row["direction"] in ("i", "o")
            assert re.fullmatch(r"\d+\.\d{6}", row["time"])
            for name in ["lport", "fport", *FIELDS[6:]]:
                assert row[name].isdigit(), name
        *flows, nothing = self.disable["flow_list"].split(",")
        assert nothing == "", "every flow ends with a comma"
        self.flows = [re.fullmatch(r"([0-9a-f.:]+);(\d+)-([0-9a-f.:]+);(\d+)", flow).groups() for flow in flows]


def siftr(*arguments):
    return SiftrLog(logger.run("-o", "-", "-F", "siftr", *arguments))


def test_a_siftr_log_has_the_lines_of_siftr_and_each_flow_once(loopback):
    log = siftr("-c", 2, "-e", f"port {loopback.port}")
    assert (log.enable["siftrver"], log.enable["sysname"], log.enable["ipmode"]) == ("1.3.0", "Linux", "6")
    assert log.enable["sysver"].isdigit()
    for line, which in (log.enable, "enable"), (log.disable, "disable"):
        assert re.fullmatch(r"\d{10}", line[f"{which}_time_secs"])
        assert re.fullmatch(r"\d{6}", line[f"{which}_time_usecs"])
    assert len(log.rows) == 2 * len(loopback.all()), "siftr(4) logs no listener"
    assert int(log.disable["num_outbound_tcp_pkts"]) == int(log.disable["total_tcp_pkts"]) == len(log.rows)
    assert log.disable["num_inbound_tcp_pkts"] == log.disable["total_skipped_tcp_pkts"] == "0"
    logged = {(row["laddr"], row["lport"], row["faddr"], row["fport"]) for row in log.rows}
    assert sorted(log.flows) == sorted(logged) and len(logged) == len(loopback.all())


# The fields that correspond to a column of CSV.
SAME = dict(
    laddr="laddr", lport="lport", faddr="faddr", fport="fport", ssthresh="snd_ssthresh", cwnd="snd_cwnd",
    snd_wnd="snd_wnd", rcv_wnd="rcv_wnd", snd_scale="snd_scale", rcv_scale="rcv_scale", mss="maxseg", srtt="srtt",
    rto="rto", snd_buf_hiwat="snd_hiwat", snd_buf_cc="snd_cc", rcv_buf_hiwat="rcv_hiwat", rcv_buf_cc="rcv_cc",
    inflight="inflight",
)  # fmt: skip


def test_a_siftr_log_has_the_same_values_as_csv(frames):
    log = siftr("-d", frames, "-s", 1000)
    rows = [row for row in replay(frames, "-O", "all").rows if row["state"] == "ESTABLISHED"]
    assert len(rows) == 3 * 20
    for got, row in zip(log.rows, rows, strict=True):
        assert {name: got[name] for name in SAME} == {name: row[column] for name, column in SAME.items()}
        assert got["state"] == "4", "ESTABLISHED in netinet/tcp_fsm.h"
        assert got["sack"] == str(int("sack" in row["options"].split("|")))
        assert got["time"] == row["time"][:-3]
        for absent_on_linux in "flags", "flags2", "flowid", "flowtype", "reass_qlen":
            assert got[absent_on_linux] == "0"
