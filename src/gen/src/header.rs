// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Generates `tcpstats.h`, the frames and ioctls of the device for C, from the table
//! of fields.

use std::fmt::Write;

use tcpstats::filter::{FILTER_LEN, MAX_OPS};
use tcpstats::{FIELDS, Field, Kind, MODULE_RECORD_LEN, PREAMBLE_LEN, Part, State, frame, ioctl};

fn member(field: &Field) -> String {
    let (kind, array) = match field.kind {
        Kind::U8 | Kind::State => ("uint8_t\t", ""),
        Kind::U16 | Kind::Options => ("uint16_t", ""),
        Kind::U32 | Kind::Hex32 => ("uint32_t", ""),
        Kind::U64 => ("uint64_t", ""),
        Kind::Address => ("uint8_t\t", "[16]"),
        Kind::Name16 => ("char\t", "[16]"),
        Kind::Name32 => ("char\t", "[32]"),
        Kind::Name64 => ("char\t", "[64]"),
    };
    let unit = match field.unit.name() {
        "" => String::new(),
        unit => format!(", {unit}"),
    };
    format!("\t{kind}\t{}{array};\t/* {}{unit} */\n", field.name, field.meaning)
}

/// Returns the members of the header of a frame.
fn header_members() -> String {
    frame::HEADER_MEMBERS.iter().fold(String::new(), |mut text, member| {
        _ = writeln!(text, "\tuint{}_t\t{};\t/* {} */", 8 * member.len, member.name, member.meaning);
        text
    })
}

/// Returns the definitions of the bits of the presence mask.
fn bits() -> String {
    FIELDS.iter().fold(String::new(), |mut text, field| {
        _ = writeln!(text, "#define\tTCPSTATS_HAS_{}\t{}", field.name.to_uppercase(), field.bit);
        text
    })
}

/// Returns the text of the header.
#[allow(clippy::too_many_lines, reason = "it is one text")]
pub fn text() -> String {
    let sent: Vec<_> = FIELDS.iter().filter(|field| field.part == Part::Module).collect();
    let members: String = sent.iter().map(|field| member(field)).collect();
    let end = sent.last().map_or(0, |field| PREAMBLE_LEN + field.offset + field.kind.size());
    let padding = match MODULE_RECORD_LEN - end {
        0 => String::new(),
        bytes => format!("\tuint8_t\t\tzero[{bytes}];\n"),
    };
    format!(
        "\
/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * The device /dev/tcpstats, see siftr_cdev(4).  Generated from the table of
 * fields in src/tcpstats/src/table.rs; do not edit.
 *
 * Later versions append to structures: use header_len to find the first record
 * and record_len to find the next one.  A field is present if its bit is set in
 * present[] of the record.
 */
#ifndef _NETINET_TCPSTATS_H_
#define\t_NETINET_TCPSTATS_H_

#include <sys/types.h>
#include <sys/ioccom.h>

#define\tTCPSTATS_MAGIC\t\t0x{magic:08x}\t/* \"TCPS\" on a little-endian machine */
#define\tTCPSTATS_VERSION\t{version}

/* The header of a frame; {header_len} bytes. */
struct tcpstats_header {{
{header_members}}};
#define\tTCPSTATS_TRUNCATED\t0x{truncated:x}\t/* in flags: missed is not 0 */
#define\tTCPSTATS_ALL_VNETS\t0x{all_vnets:x}\t/* in flags: all network stacks */
#define\tTCPSTATS_CHANGES\t0x{changes:x}\t/* in flags: only changes */
#define\tTCPSTATS_LEDGER\t0x{ledger:x}\t/* in flags: with final records */
#define\tTCPSTATS_ENDED\t{ended}\t/* the state of a final record */

/* A record; {record_len} bytes. */
struct tcpstats_record {{
\tuint64_t\tat_ns;\t/* time since the start of the walk, signed */
\tuint64_t\tpresent[{words}];
{members}{padding}}};

/* Bits of present[]: bit n is present[n / 64] >> n % 64 & 1. */
{bits}
/* A compiled filter. */
struct tcpstats_filter {{
\tuint16_t\tversion;\t/* 1 */
\tuint16_t\tcount;\t\t/* operations, 1 to {max_ops} */
\tuint32_t\tzero;
\tuint8_t\t\tops[{max_ops}][{op_len}];
}};

/* The columns of text: basic, all, or a comma-separated list of fields. */
struct tcpstats_columns {{
\tchar\t\tlist[{columns_len}];
}};

struct tcpstats_info {{
\tuint32_t\tversion;\t/* TCPSTATS_VERSION */
\tuint32_t\theader_len;
\tuint32_t\trecord_len;
\tuint32_t\tfilter_len;
\tuint32_t\tfields;\t\t/* number of fields in the table */
\tuint32_t\tfilter_ops;\t/* maximum number of operations in a filter */
\tuint32_t\tzero[2];
\tchar\t\tmodule[32];\t/* version of the module */
}};

/* A field. */
struct tcpstats_field {{
\tuint32_t\tindex;\t\t/* in the table; set by the caller */
\tuint32_t\tbit;\t\t/* number of the bit in present[] */
\tuint32_t\toffset;\t\t/* in a record; record_len or more if not sent */
\tuint32_t\tlen;
\tuint8_t\t\tkind;
\tuint8_t\t\tunit;
\tuint8_t\t\tbasic;\t\t/* 1 if text contains it by default */
\tuint8_t\t\tfilled;\t\t/* 1 if the module sends it */
\tchar\t\tname[{name_len}];
\tchar\t\tmeaning[{meaning_len}];
\tuint8_t\t\tzero[{field_rest}];
}};
/* Kinds: 1 to 4, integers of 1, 2, 4, 8 bytes; 5, flags; 6, an IPv6 or
   IPv4-mapped IPv6 address; 7, a state, TCPS_* of netinet/tcp_fsm.h; 8, options,
   bits 0 to 6: ts, sack, wscale, ecn, accecn, tfo, toe; 9, 10, 11, names of 16,
   32, 64 bytes, padded with NULs.
   Units: 0, none; 1, bytes; 2, bytes per second; 3, a count; 4, microseconds. */

#define\tTCPSTATS_SET_FORMAT\t_IOW('T', 1, uint32_t)
#define\t\tTCPSTATS_TEXT\t{text_format}
#define\t\tTCPSTATS_BINARY\t{binary_format}
#define\tTCPSTATS_SET_FILTER\t_IOW('T', 2, struct tcpstats_filter)
#define\tTCPSTATS_CLEAR_FILTER\t_IO('T', 3)
#define\tTCPSTATS_SET_ALL_VNETS\t_IOW('T', 4, uint32_t)
#define\tTCPSTATS_SET_COLUMNS\t_IOW('T', 5, struct tcpstats_columns)
#define\tTCPSTATS_GET_INFO\t_IOR('T', 6, struct tcpstats_info)
#define\tTCPSTATS_GET_FIELD\t_IOWR('T', 7, struct tcpstats_field)
#define\tTCPSTATS_SET_LEDGER\t_IOW('T', 8, uint32_t)
#define\tTCPSTATS_SET_CHANGES\t_IOW('T', 9, uint32_t)

#endif
",
        magic = frame::MAGIC,
        version = frame::VERSION,
        header_members = header_members(),
        header_len = frame::HEADER_LEN,
        truncated = frame::flag::TRUNCATED,
        all_vnets = frame::flag::ALL_VNETS,
        changes = frame::flag::CHANGED_ONLY,
        ledger = frame::flag::LEDGER,
        ended = State::ENDED.0,
        record_len = MODULE_RECORD_LEN,
        words = (PREAMBLE_LEN - 8) / 8,
        bits = bits(),
        max_ops = MAX_OPS,
        op_len = (FILTER_LEN - 8) / MAX_OPS,
        columns_len = ioctl::COLUMNS_LEN,
        name_len = ioctl::NAME_LEN,
        meaning_len = ioctl::MEANING_LEN,
        field_rest = ioctl::FIELD_LEN - 20 - ioctl::NAME_LEN - ioctl::MEANING_LEN,
        text_format = ioctl::TEXT,
        binary_format = ioctl::BINARY,
    )
}
