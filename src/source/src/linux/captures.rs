// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Dumps that were captured from other kernels, compared with what ss(8)
//! printed about the same sockets at the same time: every value must be equal.
//!
//! The captures (`*.pcap` of link type 253, each with the output of `ss -tane
//! -iom` in `*.ss`) are not part of the project.  Without them the test is
//! skipped.  The environment variable `TCPSTATS_NETLINK_CAPTURES` names their
//! directory.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use tcpstats::{Field, Record, SSTHRESH_INFINITE, State, key, mapped_ipv4, name};

use super::inet_diag::{KernelTraits, SOCK_DIAG_BY_FAMILY, fill};
use super::netlink::{Message, NLM_F_REQUEST};

/// Returns the records in a capture by `gencnt`.
fn records(capture: &[u8]) -> HashMap<u64, Record> {
    const FILE_HEADER_LEN: usize = 24;
    const PACKET_HEADER_LEN: usize = 16;
    const COOKED_HEADER_LEN: usize = 16;
    const NETLINK_SOCK_DIAG: u16 = 4;
    assert_eq!(capture[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "a pcap in this machine's byte order");
    let mut found = HashMap::new();
    let mut rest = &capture[FILE_HEADER_LEN..];
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (packet, next) = rest[PACKET_HEADER_LEN..].split_at(len);
        rest = next;
        let (head, mut messages) = packet.split_at(COOKED_HEADER_LEN);
        if head[14..] != NETLINK_SOCK_DIAG.to_be_bytes() {
            continue;
        }
        while !messages.is_empty() {
            let Ok(message) = Message::take(&mut messages) else { panic!("a truncated message") };
            if message.kind == SOCK_DIAG_BY_FAMILY && message.flags & NLM_F_REQUEST == 0 {
                let mut record = Record::new();
                assert!(fill(&mut record, message.payload, None, KernelTraits::of_version(0)).is_ok());
                assert!(found.insert(record.get(key::gencnt).unwrap(), record).is_none());
            }
        }
    }
    found
}

/// Returns the words of each socket.
fn sockets(text: &str) -> Vec<Vec<String>> {
    let mut sockets: Vec<Vec<String>> = Vec::new();
    for line in text.lines().skip(1) {
        let words = line.split_whitespace().map(str::to_owned);
        if line.starts_with(char::is_whitespace) {
            sockets.last_mut().unwrap().extend(words);
        } else {
            sockets.push(words.collect());
        }
    }
    sockets
}

/// Converts milliseconds with decimals to microseconds.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ss prints few digits")]
fn us(text: &str) -> u64 {
    (text.parse::<f64>().unwrap() * 1000.0).round() as u64
}

fn int(text: &str) -> u64 {
    text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16)).unwrap()
}

/// Parses a time as ss prints it: minutes, seconds and milliseconds as in
/// 2min3sec, 4sec or 5.678ms, each of which may be missing.  Returns the time
/// and its resolution in milliseconds.
fn timer(text: &str) -> (u64, u64) {
    let (minutes, rest) = text.split_once("min").unwrap_or(("0", text));
    let (seconds, exact) = match (rest.strip_suffix("sec"), rest.strip_suffix("ms")) {
        (Some(seconds), _) => (int(seconds) * 1000, 1000),
        (_, Some(ms)) => match ms.split_once('.') {
            Some((seconds, ms)) => (int(seconds) * 1000 + int(ms), 1),
            None => (int(ms), 1),
        },
        _ => (0, 60_000),
    };
    (int(minutes) * 60_000 + seconds, exact)
}

/// What ss printed about a socket, as values of fields.
#[derive(Default)]
struct Printed {
    values: HashMap<&'static str, u64>,
    options: u16,
    mss: u64,
}

impl Printed {
    fn set(&mut self, field: &'static str, value: u64) {
        assert!(self.values.insert(field, value).is_none(), "{field} is repeated");
    }

    fn memory(&mut self, list: &str) {
        const MEMORY: [(&str, &str); 9] = [
            ("rb", "rcv_hiwat"),
            ("tb", "snd_hiwat"),
            ("bl", "backlog"),
            ("r", "rmem_alloc"),
            ("t", "wmem_alloc"),
            ("f", "fwd_alloc"),
            ("w", "wmem_queued"),
            ("o", "optmem"),
            ("d", "drops"),
        ];
        for part in list.trim_matches(['(', ')']).split(',') {
            let (prefix, field) = MEMORY.into_iter().find(|(prefix, _)| part.starts_with(prefix)).unwrap();
            self.set(field, int(&part[prefix.len()..]));
        }
    }

    /// Parses a word of the form `key:value`, and returns whether the key is
    /// known.
    fn pair(&mut self, key: &str, value: &str) -> bool {
        let ms = |text: &str| us(text.split("ms").next().unwrap());
        let field = match key {
            "uid" => ("uid", int(value)),
            "ino" => ("inode", int(value)),
            "fwmark" => ("mark", int(value)),
            "class_id" => ("class_id", int(value)),
            "rto" => ("rto", us(value)),
            "backoff" => ("rxtshift", int(value)),
            "ato" => ("ato", us(value)),
            "mss" => {
                self.mss = int(value);
                ("maxseg", self.mss)
            }
            "pmtu" => ("pmtu", int(value)),
            "rcvmss" => ("rcv_mss", int(value)),
            "advmss" => ("advmss", int(value)),
            "cwnd" => ("snd_cwnd", int(value) * self.mss),
            "ssthresh" => ("snd_ssthresh", int(value) * self.mss),
            "bytes_acked" => ("acked_bytes", int(value)),
            "bytes_received" => ("received_bytes", int(value)),
            "bytes_retrans" => ("rexmit_bytes", int(value)),
            "bytes_sent" => ("bytes_sent", int(value)),
            "segs_out" => ("segs_out", int(value)),
            "segs_in" => ("segs_in", int(value)),
            "data_segs_out" => ("data_segs_out", int(value)),
            "data_segs_in" => ("data_segs_in", int(value)),
            "lastsnd" => ("idle_snd", us(value)),
            "lastrcv" => ("idle_rcv", us(value)),
            "lastack" => ("idle_ack", us(value)),
            "delivered" => ("delivered", int(value)),
            "busy" => ("busy_time", ms(value)),
            "rwnd_limited" => ("rwnd_limited", ms(value)),
            "sndbuf_limited" => ("sndbuf_limited", ms(value)),
            "unacked" => ("unacked", int(value)),
            "lost" => ("lost", int(value)),
            "sacked" => ("sacked", int(value)),
            "dsack_dups" => ("dsack_packs", int(value)),
            "reordering" => ("reordering", int(value)),
            "reord_seen" => ("reord_seen", int(value)),
            "rcv_ooopack" => ("ooo_packs", int(value)),
            "rcv_rtt" => ("rcv_rtt", us(value)),
            "rcv_space" => ("rcv_space", int(value)),
            "rcv_ssthresh" => ("rcv_ssthresh", int(value)),
            "notsent" => ("notsent_bytes", int(value)),
            "minrtt" => ("rttmin", us(value)),
            "snd_wnd" => ("snd_wnd", int(value)),
            "rcv_wnd" => ("rcv_wnd", int(value)),
            "rehash" => ("rehash", int(value)),
            "rtt" => {
                let (srtt, rttvar) = value.split_once('/').unwrap();
                self.set("srtt", us(srtt));
                ("rttvar", us(rttvar))
            }
            "wscale" => {
                let (send, receive) = value.split_once(',').unwrap();
                self.options |= tcpstats::option::WINDOW_SCALE;
                self.set("snd_scale", int(send));
                ("rcv_scale", int(receive))
            }
            "retrans" => {
                let (now, total) = value.split_once('/').unwrap();
                self.set("retrans", int(now));
                ("rexmit_packs", int(total))
            }
            "skmem" => {
                self.memory(value);
                return true;
            }
            // Processes, the name of the control group, and words that are compared elsewhere.
            "users" | "cgroup" | "sk" | "timer" | "v6only" | "tos" | "tclass" => return true,
            _ => return false,
        };
        self.set(field.0, field.1);
        true
    }

    /// Parses the words after the addresses.
    fn read(words: &[String]) -> Self {
        let mut printed = Self::default();
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut rate = |field| printed.set(field, int(words.next().unwrap().strip_suffix("bps").unwrap()) / 8);
            match word {
                "ts" => printed.options |= tcpstats::option::TIMESTAMPS,
                "sack" => printed.options |= tcpstats::option::SACK,
                "ecn" => printed.options |= tcpstats::option::ECN,
                "fastopen" => printed.options |= tcpstats::option::FAST_OPEN,
                "app_limited" => printed.set("app_limited", 1),
                "pacing_rate" => rate("pacing_rate"),
                "delivery_rate" => rate("delivery_rate"),
                // Computed by ss.
                "send" => _ = words.next(),
                // A CE mark was received; the socket is open in both directions.
                "ecnseen" | "<->" => (),
                word => match word.split_once(':') {
                    Some((key, value)) => assert!(printed.pair(key, value), "unknown word {word}"),
                    None => assert!(["cubic", "reno", "bbr", "dctcp"].contains(&word), "unknown word {word}"),
                },
            }
        }
        printed
    }
}

/// Returns an endpoint as ss prints it.
fn end(address: [u8; 16], port: u16, is_inet6: bool) -> String {
    let ip = std::net::Ipv6Addr::from(address);
    let port = if port == 0 { "*".into() } else { port.to_string() };
    match mapped_ipv4(address).filter(|_| !is_inet6) {
        Some(ipv4) => format!("{}:{port}", std::net::Ipv4Addr::from(ipv4)),
        None => format!("[{ip}]:{port}"),
    }
}

/// Compares a record with the words of its socket, and returns the number of
/// values compared.
fn compare(record: &Record, words: &[String]) -> usize {
    let state = record.get(key::state).unwrap();
    let (linux, ours) = match words[0].as_str() {
        "ESTAB" => ("ESTAB", State::ESTABLISHED),
        "UNCONN" => ("UNCONN", State::CLOSED),
        other => (other, State::by_name(other).unwrap()),
    };
    assert_eq!(state, ours, "{linux}");
    // The address `*` is the unspecified address of either family.
    let ends =
        [&words[3], &words[4]].map(|end| end.strip_prefix("*:").map_or(end.clone(), |port| format!("[::]:{port}")));
    let is_inet6 = ends[0].starts_with('[');
    let address = |key, port| end(record.get(key).unwrap(), record.get(port).unwrap(), is_inet6);
    assert_eq!(ends, [address(key::laddr, key::lport), address(key::faddr, key::fport)]);
    let word = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix(':'));
    let mut printed = Printed::read(&words[5..]);
    let (receive, send) = (int(&words[1]), int(&words[2]));
    let is_listener = state == State::LISTEN;
    let fin = u64::from(matches!(state, State::CLOSE_WAIT | State::LAST_ACK | State::CLOSING));
    let flags = u64::from(matches!(state, State::SYN_SENT | State::FIN_WAIT_1 | State::LAST_ACK | State::CLOSING));
    let has_buffers = word("skmem").is_some();
    if is_listener {
        printed.set("qlen", receive);
        printed.set("qlimit", send);
        // A listener has no congestion window.
        printed.values.remove("snd_cwnd");
    } else if has_buffers {
        printed.set("rcv_cc", receive.saturating_sub(fin));
        printed.set("snd_cc", send.saturating_sub(flags));
    }
    if has_buffers {
        // ss omits the uid of root.
        printed.values.entry("uid").or_insert(0);
    }
    // Compare the traffic class of the packets that are sent.
    let is_ipv4 = record.get(key::ipver) == Some(4);
    if let Some(tos) = word(if is_ipv4 { "tos" } else { "tclass" }) {
        printed.set("tos", int(tos));
    }
    if let Some(sent) = printed.values.remove("bytes_sent") {
        printed.set("sent_bytes", sent - printed.values.get("rexmit_bytes").unwrap_or(&0));
    }
    if let Some(timer_text) = word("timer") {
        let (name, rest) = timer_text[1..].split_once(',').unwrap();
        let (ms, exact) = timer(rest.split_once(',').unwrap().0);
        let key = match name {
            "on" => key::tt_rexmt,
            "keepalive" => key::tt_keep,
            "timewait" => key::tt_2msl,
            "persist" => key::tt_persist,
            other => panic!("unknown timer {other}"),
        };
        let left = record.get(key).unwrap() / 1000;
        assert_eq!(left / exact * exact, ms, "{timer_text}");
    }
    if has_buffers {
        let cc = ["cubic", "reno", "bbr", "dctcp"].into_iter().find(|cc| words.iter().any(|word| word == cc));
        assert_eq!(record.get(key::cc), cc.map(|cc| name(cc.as_bytes())));
    }
    if record.get(key::options).is_some() {
        assert_eq!(record.get(key::options), Some(printed.options));
    }
    if record.get(key::snd_ssthresh).is_some() {
        printed.values.entry("snd_ssthresh").or_insert(SSTHRESH_INFINITE.into());
    }
    for (field, value) in &printed.values {
        let number = record.number(Field::by_name(field).unwrap());
        // A value that was not measured is absent in the record, but an initial value in ss.
        let is_absent = match *field {
            "rttvar" | "rto" => printed.values.get("srtt").is_none_or(|srtt| *srtt == 0),
            "idle_snd" => !printed.values.contains_key("data_segs_out"),
            "idle_rcv" => !printed.values.contains_key("data_segs_in"),
            "app_limited" => !printed.values.contains_key("delivery_rate"),
            "snd_wnd" => state == State::SYN_SENT,
            _ => false,
        };
        assert_eq!(number, Some(*value).filter(|_| !is_absent), "{field} of {words:?}");
    }
    // ss omits most zeros, so an omitted value must be zero or absent.
    for field in PRINTED_UNLESS_ZERO {
        if !printed.values.contains_key(field) {
            let number = record.number(Field::by_name(field).unwrap());
            assert_eq!(number.unwrap_or(0), 0, "{field} of {words:?}");
        }
    }
    printed.values.len() + PRINTED_UNLESS_ZERO.len() + 6
}

const PRINTED_UNLESS_ZERO: [&str; 24] = [
    "rexmit_packs",
    "rexmit_bytes",
    "retrans",
    "unacked",
    "lost",
    "sacked",
    "dsack_packs",
    "reord_seen",
    "ooo_packs",
    "notsent_bytes",
    "rehash",
    "rxtshift",
    "rcv_rtt",
    "delivery_rate",
    "app_limited",
    "busy_time",
    "rwnd_limited",
    "sndbuf_limited",
    "data_segs_in",
    "data_segs_out",
    "inode",
    "delivered_ce",
    "snd_scale",
    "rcv_scale",
];

fn is_capture(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "pcap")
}

#[test]
fn captures_of_other_kernels_decode_to_the_values_that_ss_printed() {
    let Some(folder) = std::env::var_os("TCPSTATS_NETLINK_CAPTURES") else {
        eprintln!("skipped: TCPSTATS_NETLINK_CAPTURES is not set");
        return;
    };
    let entries = fs::read_dir(&folder).unwrap();
    let mut compared = 0;
    for capture in entries.map(|entry| entry.unwrap().path()).filter(|path| is_capture(path)) {
        let mut records = records(&fs::read(&capture).unwrap());
        let text = fs::read_to_string(capture.with_extension("ss")).unwrap();
        for words in sockets(&text) {
            let cookie = words.iter().find_map(|word| word.strip_prefix("sk:")).unwrap();
            let record = records.remove(&u64::from_str_radix(cookie, 16).unwrap());
            compared += compare(&record.expect("the socket is in the capture"), &words);
        }
        assert!(records.is_empty(), "{} sockets that ss did not print", records.len());
    }
    assert!(compared > 0, "no captures in {}", folder.display());
    eprintln!("{compared} values are equal");
}
