// SPDX-License-Identifier: BSD-2-Clause

//! What top knows and what a key does to it; nothing here reads or draws.

use std::time::Duration;

use tcpstats::{Columns, Header, State, key};
use tcpstats_log::ConnectionId;
use tcpstats_source::Sentence;

use super::column::{Column, columns};
use super::filter_line::FilterLine;
use super::tracker::{Row, Sampled};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To end.
    Quit,
    /// To stop until the shell says to go on.
    Suspend,
    /// To go so many lines down, or up.
    Move(isize),
    /// To go so many screens down, or up.
    Page(isize),
    /// To go to the first line.
    First,
    /// To go to the last line.
    Last,
    /// To sort by the column so many to the right.
    SortBy(isize),
    /// To sort the other way round.
    Reverse,
    /// To hold what is shown, or to go on.
    Pause,
    /// To show the selected connection, or the list again.
    Detail,
    /// To show the keys.
    Help,
    /// To leave what was opened last.
    Back,
    /// To change the filter.
    Filter,
    /// While the filter is changed: a letter of it.
    Type(char),
    /// While the filter is changed: to delete the letter before the cursor.
    Delete,
    /// While the filter is changed: to delete all of it.
    DeleteAll,
    /// While the filter is changed: to move the cursor.
    Cursor(isize),
    /// While the filter is changed: to keep it.
    Keep,
    /// To draw again.
    Redraw,
}

/// What is asked of whoever has the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To go on.
    Continue,
    /// To end.
    Quit,
    /// To stop.
    Suspend,
    /// To draw everything again.
    Redraw,
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// All connections.
    List,
    /// One connection.
    Detail(ConnectionId),
}

/// What is said above the list about the connections in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many are in each state, by its number; the last are those in none.
    pub states: [usize; 12],
    /// Bits a second that they send together.
    pub send: f64,
    /// Bits a second that they receive together.
    pub receive: f64,
    /// Segments a second that they retransmit together.
    pub rexmit: f64,
}

/// What top knows.
pub struct Model {
    /// Name of the host.
    pub host: String,
    /// Time between two samples.
    pub interval: Duration,
    /// The snapshot that is shown.
    pub sampled: Sampled,
    /// Where its matching connections stand in it, in the order of the list.
    pub shown: Vec<usize>,
    /// What they are together.
    pub summary: Summary,
    /// All columns.
    pub columns: Vec<Column>,
    /// The column that the list is sorted by.
    pub sort: usize,
    /// Whether the largest stands first.
    pub descending: bool,
    /// The filter, and while it is changed its text.
    pub filter: FilterLine,
    /// What is shown.
    pub pane: Pane,
    /// Whether the keys are shown over it.
    pub help: bool,
    /// Whether new snapshots are left out.
    pub paused: bool,
    /// Why there is no newer snapshot, where that is so.
    pub trouble: Option<Sentence>,
    /// The connection that the cursor is on, once it was moved.
    pub selected: Option<ConnectionId>,
    /// The first line of the list that is drawn.
    pub offset: usize,
    /// Lines of the list that are drawn, one at least.
    pub height: usize,
    /// The first line of the fields that is drawn in the detail pane.
    pub detail_offset: usize,
    /// The connection of the detail pane as it was last seen.
    pub last_seen: Option<Row>,
}

impl Model {
    /// Shows a first snapshot.
    pub fn new(interval: Duration, fields: Option<&Columns>, filter: FilterLine, first: Sampled) -> Self {
        let columns = columns(fields);
        let sort = columns.iter().position(|column| matches!(column, Column::Send)).unwrap_or(0);
        let mut model = Self {
            host: String::new(),
            interval,
            sampled: first,
            shown: Vec::new(),
            summary: Summary::default(),
            columns,
            sort,
            descending: true,
            filter,
            pane: Pane::List,
            help: false,
            paused: false,
            trouble: None,
            selected: None,
            offset: 0,
            height: 1,
            detail_offset: 0,
            last_seen: None,
        };
        model.choose();
        model
    }

    /// The header of the snapshot that is shown.
    pub fn header(&self) -> &Header {
        &self.sampled.header
    }

    /// Shows the next snapshot, unless it is held.
    pub fn take(&mut self, sampled: Sampled) {
        if self.paused {
            return;
        }
        self.trouble = None;
        let before = std::mem::replace(&mut self.sampled, sampled);
        if let Pane::Detail(identity) = self.pane
            && !self.sampled.rows.iter().any(|row| row.identity == identity)
            && let Some(row) = before.rows.into_iter().find(|row| row.identity == identity)
        {
            self.last_seen = Some(row);
        }
        self.choose();
    }

    /// Says why there is no next snapshot.
    pub fn lack(&mut self, why: Sentence) {
        self.trouble = Some(why);
    }

    /// The rows of the list from the offset on.
    pub fn visible(&self) -> impl Iterator<Item = &Row> {
        self.shown.iter().skip(self.offset).take(self.height).filter_map(|at| self.sampled.rows.get(*at))
    }

    /// The connection of the detail pane, and whether it is still there.
    pub fn detailed(&self, identity: ConnectionId) -> Option<(&Row, bool)> {
        let of = |row: &&Row| row.identity == identity;
        let here = self.sampled.rows.iter().find(of).map(|row| (row, true));
        here.or_else(|| self.last_seen.as_ref().filter(of).map(|row| (row, false)))
    }

    /// Draws so many lines of the list, among them the one with the cursor.
    pub fn fit(&mut self, height: usize) {
        self.height = height.max(1);
        let most = self.shown.len().saturating_sub(self.height);
        self.offset = match self.cursor() {
            Some(at) => self.offset.clamp((at + 1).saturating_sub(self.height), at).min(most),
            None => 0,
        };
    }

    /// The line that the cursor is on.
    pub fn cursor(&self) -> Option<usize> {
        let selected = self.selected?;
        self.shown.iter().position(|at| self.sampled.rows[*at].identity == selected)
    }

    /// Does what a key asks for.
    pub fn act(&mut self, action: Action) -> Asked {
        match action {
            Action::Quit => return Asked::Quit,
            Action::Suspend => return Asked::Suspend,
            Action::Redraw => return Asked::Redraw,
            Action::Help => self.help = !self.help,
            Action::Pause => self.paused = !self.paused,
            Action::Back => self.back(),
            Action::Detail => self.detail(),
            Action::Move(lines) => self.go(lines),
            Action::Page(pages) => self.go(pages * self.height.cast_signed()),
            Action::First => self.go(isize::MIN / 2),
            Action::Last => self.go(isize::MAX / 2),
            Action::SortBy(columns) => self.sort_by(columns),
            Action::Reverse => {
                self.descending = !self.descending;
                self.sort();
            }
            Action::Filter => self.filter.begin(),
            Action::Keep => self.filter.keep(),
            Action::Type(char) => self.change_filter(|filter| filter.insert(char)),
            Action::Delete => self.change_filter(FilterLine::delete),
            Action::DeleteAll => self.change_filter(FilterLine::delete_all),
            Action::Cursor(chars) => self.filter.move_cursor(chars),
        }
        Asked::Continue
    }

    fn change_filter(&mut self, change: impl FnOnce(&mut FilterLine)) {
        change(&mut self.filter);
        self.choose();
    }

    fn back(&mut self) {
        if self.help {
            self.help = false;
        } else if self.filter.is_changing() {
            self.change_filter(FilterLine::cancel);
        } else if self.pane != Pane::List {
            self.pane = Pane::List;
        } else {
            self.selected = None;
        }
    }

    fn detail(&mut self) {
        self.pane = match self.pane {
            Pane::Detail(_) => Pane::List,
            Pane::List => {
                let at = self.cursor().unwrap_or(0);
                let Some(row) = self.shown.get(at).and_then(|at| self.sampled.rows.get(*at)) else {
                    return;
                };
                self.selected = Some(row.identity);
                Pane::Detail(row.identity)
            }
        };
        self.detail_offset = 0;
        self.last_seen = None;
    }

    /// Moves the cursor, or the fields of the detail pane.
    fn go(&mut self, lines: isize) {
        if self.pane != Pane::List {
            self.detail_offset = self.detail_offset.saturating_add_signed(lines);
            return;
        }
        let Some(last) = self.shown.len().checked_sub(1) else {
            return;
        };
        // The first key shows where the cursor is.
        let at = match self.cursor() {
            Some(at) => at.saturating_add_signed(lines).min(last),
            None if lines > 1 => lines.cast_unsigned().min(last),
            None => 0,
        };
        self.selected = Some(self.sampled.rows[self.shown[at]].identity);
    }

    fn sort_by(&mut self, columns: isize) {
        let count = self.columns.len().cast_signed();
        self.sort = (self.sort.cast_signed() + columns).rem_euclid(count).cast_unsigned();
        self.descending = self.columns[self.sort].descends();
        self.sort();
    }

    /// Takes what matches the filter.
    fn choose(&mut self) {
        let matching = |(at, row): (usize, &Row)| self.filter.matches(&row.record).then_some(at);
        self.shown = self.sampled.rows.iter().enumerate().filter_map(matching).collect();
        self.summary = Summary::default();
        for row in self.shown.iter().map(|at| &self.sampled.rows[*at]) {
            let state = row.record.get(key::state).map_or(usize::MAX, |State(number)| number.into());
            let last = self.summary.states.len() - 1;
            self.summary.states[state.min(last)] += 1;
            self.summary.send += row.rates.send.unwrap_or(0.0);
            self.summary.receive += row.rates.receive.unwrap_or(0.0);
            self.summary.rexmit += row.rates.rexmit.unwrap_or(0.0);
        }
        self.sort();
    }

    /// Brings the list into its order: by the column, then by what is received,
    /// then by what the connection is.
    fn sort(&mut self) {
        let (rows, column, descending) = (&self.sampled.rows, self.columns[self.sort], self.descending);
        // Side by side: to look at a row for every comparison takes many times as long.
        let place =
            |at: usize| (column.sort_key(&rows[at]), Column::Receive.sort_key(&rows[at]), rows[at].identity, at);
        let mut places: Vec<_> = self.shown.iter().map(|at| place(*at)).collect();
        places.sort_unstable_by(|(one, one_received, one_identity, _), (other, other_received, other_identity, _)| {
            let by_column = one.order(*other, descending);
            by_column
                .then_with(|| one_received.order(*other_received, true))
                .then_with(|| one_identity.cmp(other_identity))
        });
        self.shown = places.into_iter().map(|(.., at)| at).collect();
    }
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;
    use tcpstats::{Record, ipv4};
    use tcpstats_log::{Boot, Snapshot};

    use super::super::tracker::Tracker;
    use super::*;

    /// A snapshot of so many connections, the one that sends most last.
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
        Snapshot { header, records: (0..count).map(record).collect(), boot: Boot::Same }
    }

    /// Top on a host with so many connections, after so many seconds.
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

    fn ports(model: &Model) -> Vec<u16> {
        model.shown.iter().map(|at| model.sampled.rows[*at].identity.local.port.unwrap() - 40_000).collect()
    }

    fn type_filter(model: &mut Model, text: &str) {
        model.act(Action::Filter);
        text.chars().for_each(|char| _ = model.act(Action::Type(char)));
    }

    #[test]
    fn what_sends_most_stands_first_and_what_has_no_rate_last() {
        let mut model = model(4, 1);
        assert_eq!(ports(&model), [3, 2, 1, 0]);
        model.act(Action::Reverse);
        assert_eq!(ports(&model), [1, 2, 3, 0]);
    }

    #[test]
    fn every_column_can_be_sorted_by() {
        let mut model = model(4, 1);
        for _ in 0..model.columns.len() {
            model.act(Action::SortBy(1));
            assert_eq!(ports(&model).len(), 4);
        }
        assert_eq!(model.sort, 3, "once round");
        model.act(Action::SortBy(-3));
        assert_eq!((ports(&model), model.descending), (vec![0, 1, 2, 3], false));
    }

    #[test]
    fn a_filter_acts_while_it_is_typed_and_a_wrong_one_leaves_what_was() {
        let mut model = model(4, 1);
        type_filter(&mut model, "lport 40002 ");
        assert_eq!(ports(&model), [2]);
        type_filter(&mut model, "or");
        assert_eq!(ports(&model), [2]);
        assert!(model.filter.error().is_some());
        model.act(Action::Keep);
        assert!(model.filter.is_changing(), "a wrong filter cannot be kept");
        model.act(Action::Back);
        assert_eq!(ports(&model).len(), 4);
        assert!(!model.filter.is_changing() && model.filter.error().is_none());
    }

    #[test]
    fn a_summary_is_of_what_matches() {
        let mut model = model(4, 1);
        assert_eq!((model.summary.states[1], model.summary.states[4]), (1, 3));
        assert!((model.summary.send - 6e6).abs() < 1.0 && (model.summary.rexmit - 1.0).abs() < 1e-9);
        type_filter(&mut model, "state listen");
        assert_eq!((model.summary.states[1], model.summary.states[4]), (1, 0));
        assert!(model.summary.send.abs() < 1.0);
    }

    #[test]
    fn while_paused_nothing_moves_and_then_it_goes_on() {
        let mut model = model(4, 1);
        model.act(Action::Pause);
        model.take(Sampled::default());
        assert_eq!(ports(&model).len(), 4);
        model.act(Action::Pause);
        model.take(Sampled::default());
        assert_eq!(ports(&model).len(), 0);
    }

    #[test]
    fn the_cursor_stays_on_its_connection() {
        let mut model = model(4, 1);
        model.act(Action::Move(1));
        assert_eq!(model.cursor(), Some(0), "the first key shows it");
        model.act(Action::Move(1));
        assert_eq!(model.cursor(), Some(1));
        model.act(Action::Reverse);
        assert_eq!(model.cursor(), Some(1));
        model.act(Action::Last);
        assert_eq!(model.cursor(), Some(3));
        model.act(Action::Reverse);
        model.act(Action::First);
        assert_eq!(model.cursor(), Some(0));
    }

    #[test]
    fn the_list_scrolls_no_further_than_it_must() {
        let mut model = model(50, 1);
        model.fit(10);
        model.act(Action::Move(1));
        for _ in 0..9 {
            model.act(Action::Move(1));
            model.fit(10);
        }
        assert_eq!(model.offset, 0);
        model.act(Action::Move(1));
        model.fit(10);
        assert_eq!(model.offset, 1);
        model.act(Action::Last);
        model.fit(10);
        assert_eq!(model.offset, 40);
        type_filter(&mut model, "lport 40001");
        model.fit(10);
        assert_eq!((model.offset, model.visible().count()), (0, 1));
    }

    #[test]
    fn a_connection_that_is_gone_is_still_shown_as_it_was() {
        let mut model = model(4, 1);
        model.act(Action::Detail);
        let Pane::Detail(identity) = model.pane else { panic!("no detail") };
        assert_eq!(identity.local.port, Some(40_003));
        assert!(model.detailed(identity).unwrap().1);
        for _ in 0..2 {
            model.take(Sampled::default());
            let (row, here) = model.detailed(identity).unwrap();
            assert!(!here && row.record.get(key::srtt) == Some(3000));
        }
        model.act(Action::Back);
        model.act(Action::Detail);
        assert_eq!(model.pane, Pane::List, "there is no connection to show");
    }

    /// Any key.
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
                Action::Detail,
                Action::Help,
                Action::Back,
                Action::Filter,
                Action::Delete,
                Action::DeleteAll,
                Action::Keep,
                Action::Redraw,
            ]),
        ]
    }
}
