// SPDX-License-Identifier: BSD-2-Clause

//! Models and actions for the tests of top.

use std::time::Duration;

use proptest::prelude::*;
use tcpstats::{Header, Record, State, ipv4, key, name};
use tcpstats_log::{Boot, Snapshot};

use super::action::Action;
use super::filter_line::FilterLine;
use super::model::Model;
use crate::list::tracker::Tracker;

/// Returns a snapshot of `count` connections, ordered by the bytes they sent.
pub fn snapshot(second: u64, count: u16) -> Snapshot {
    let record = |number: u16| {
        let mut record = Record::new();
        record.set(key::gencnt, number.into());
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::lport, 40_000 + number);
        record.set(key::faddr, ipv4([198, 51, 100, 7]));
        record.set(key::fport, 443);
        record.set(key::state, if number == 0 { State::LISTEN } else { State::ESTABLISHED });
        if number > 0 {
            record.set(key::srtt, 1000 * u32::from(number));
            record.set(key::snd_cwnd, 14_480 + 1448 * u32::try_from(second).unwrap());
            record.set(key::snd_ssthresh, if second < 10 { 1_073_725_440 } else { 20_272 });
            record.set(key::inflight, 1448 * u32::from(number % 9));
            record.set(key::acked_bytes, second * 125_000 * u64::from(number));
            record.set(key::received_bytes, second * 125);
            record.set(key::rexmit_packs, u32::from(number == 3) * u32::try_from(second).unwrap());
        }
        record
    };
    let header = Header {
        sequence: second + 1,
        wall_ns: (1_764_000_000 + second) * 1_000_000_000,
        mono_ns: second * 1_000_000_000,
        walk_ns: 512_000,
        seen: count.into(),
        matched: count.into(),
        written: count.into(),
        ..Header::default()
    };
    Snapshot { header, records: (0..count).map(record).collect(), ended: Vec::new(), boot: Boot::Same }
}

/// Sets the owners of all connections except the first.
pub fn add_owners(snapshot: &mut Snapshot) {
    for (number, record) in (0..).zip(&mut snapshot.records).skip(1) {
        record.set(key::pid, 800 + number / 2);
        record.set(key::command, name(if number % 4 < 2 { b"nginx" } else { b"postgres" }));
        record.set(key::processes, if number == 2 { 3 } else { 1 });
        record.set(key::container, name(b"0123456789ab"));
        record.set(key::netns, name(b"a-network-namespace"));
    }
}

/// Returns the model of a host with `count` connections, after `seconds` seconds.
pub fn model(count: u16, seconds: u64) -> Model {
    let mut tracker = Tracker::default();
    let first = tracker.track(snapshot(0, count));
    let mut model = Model::new(Duration::from_secs(1), None, FilterLine::default(), first);
    model.host = "lab".into();
    for second in 1..=seconds {
        model.take(tracker.track(snapshot(second, count)));
    }
    model
}

/// Returns any action.
pub fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (-3..4isize).prop_map(Action::Move),
        (-2..3isize).prop_map(Action::Page),
        (-20..20isize).prop_map(Action::SortBy),
        (-9..9isize).prop_map(Action::Cursor),
        prop::sample::select("port 4srt>üms()=\u{7}".chars().collect::<Vec<_>>()).prop_map(Action::Type),
        prop::sample::select(vec![
            Action::First,
            Action::Last,
            Action::Reverse,
            Action::Pause,
            Action::HideEnded,
            Action::Detail,
            Action::Help,
            Action::Back,
            Action::Filter,
            Action::Delete,
            Action::DeleteAll,
            Action::Apply,
            Action::Redraw,
        ]),
    ]
}
