// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The state of top, and the effect of actions on it, without any input or output.

use std::time::Duration;

use tcpstats::{Header, State, key};
use tcpstats_log::ConnectionId;

use super::action::{Action, Request};
use super::filter_line::FilterLine;
use crate::list;
use crate::list::column::{Column, add_process, columns};
use crate::list::tracker::{Row, TrackedSnapshot};
use crate::shown::{Shown, has_process};

/// The main area of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// The list of connections.
    List,
    /// The details of one connection.
    Detail(ConnectionId),
}

/// The totals of the connections in the list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The number of connections in each state.  The last element counts those
    /// without a known state.
    pub states: [usize; 13],
    /// Bits per second sent.
    pub send: f64,
    /// Bits per second received.
    pub receive: f64,
    /// Segments per second retransmitted.
    pub rexmit: f64,
}

/// The state of top.
#[allow(clippy::struct_excessive_bools, reason = "each is changed by a key of its own")]
pub struct Model {
    /// The name of the host.
    pub host: String,
    /// The time between two samples.
    pub interval: Duration,
    /// The current snapshot.
    pub snapshot: TrackedSnapshot,
    /// The indices of its rows that match the filter, in the order of the list.
    pub shown: Vec<usize>,
    /// The totals of these rows.
    pub summary: Summary,
    /// The columns.
    pub columns: Vec<Column>,
    /// Whether the process becomes a column as soon as one is known.
    may_add_process: bool,
    /// The index of the column by which the list is sorted.
    pub sort: usize,
    /// Whether the order is descending.
    pub descending: bool,
    /// The filter.
    pub filter: FilterLine,
    /// The main area of the screen.
    pub pane: Pane,
    /// Whether the help is shown over it.
    pub help: bool,
    /// Whether connections that have ended are hidden.
    pub hides_ended: bool,
    /// Whether updates are paused.
    pub paused: bool,
    /// The reason why there is no newer snapshot.
    pub error: Option<String>,
    /// The connection at the cursor, once the cursor has been moved.
    pub selected: Option<ConnectionId>,
    /// The index of the first line of the list on the screen.
    pub offset: usize,
    /// The number of lines of the list on the screen, at least one.
    pub height: usize,
    /// The index of the first line of fields in the details on the screen.
    pub detail_offset: usize,
    /// The last row of the connection in the details, if it has been closed.
    pub last_seen: Option<Row>,
}

impl Model {
    /// Returns a model with a first snapshot.
    pub fn new(interval: Duration, shown: Option<&[Shown]>, filter: FilterLine, first: TrackedSnapshot) -> Self {
        let columns = columns(shown);
        let sort = columns.iter().position(|column| matches!(column, Column::Send)).unwrap_or(0);
        let mut model = Self {
            host: String::new(),
            interval,
            snapshot: first,
            shown: Vec::new(),
            summary: Summary::default(),
            columns,
            may_add_process: shown.is_none(),
            sort,
            descending: true,
            filter,
            pane: Pane::List,
            help: false,
            hides_ended: false,
            paused: false,
            error: None,
            selected: None,
            offset: 0,
            height: 1,
            detail_offset: 0,
            last_seen: None,
        };
        model.filter_rows();
        model
    }

    /// Returns the header of the current snapshot.
    pub fn header(&self) -> &Header {
        &self.snapshot.header
    }

    /// Shows the next snapshot, unless updates are paused.
    pub fn take(&mut self, snapshot: TrackedSnapshot) {
        if self.paused {
            return;
        }
        self.error = None;
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        if let Pane::Detail(identity) = self.pane
            && !self.snapshot.rows.iter().any(|row| row.identity == identity)
            && let Some(row) = before.rows.into_iter().find(|row| row.identity == identity)
        {
            self.last_seen = Some(row);
        }
        self.filter_rows();
    }

    /// Shows the reason why there is no next snapshot.
    pub fn show_error(&mut self, error: String) {
        self.error = Some(error);
    }

    /// Returns the rows on the screen.
    pub fn visible(&self) -> impl Iterator<Item = &Row> {
        self.shown.iter().skip(self.offset).take(self.height).filter_map(|at| self.snapshot.rows.get(*at))
    }

    /// Returns the row of a connection, and whether the connection still exists.
    pub fn detailed(&self, identity: ConnectionId) -> Option<(&Row, bool)> {
        let of = |row: &&Row| row.identity == identity;
        let here = self.snapshot.rows.iter().find(of).map(|row| (row, !row.record.is_final()));
        here.or_else(|| self.last_seen.as_ref().filter(of).map(|row| (row, false)))
    }

    /// Sets the number of lines of the list on the screen, and scrolls to the cursor.
    pub fn fit(&mut self, height: usize) {
        self.height = height.max(1);
        let most = self.shown.len().saturating_sub(self.height);
        self.offset = match self.cursor() {
            Some(at) => self.offset.clamp((at + 1).saturating_sub(self.height), at).min(most),
            None => 0,
        };
    }

    /// Returns the index of the line at the cursor.
    pub fn cursor(&self) -> Option<usize> {
        let selected = self.selected?;
        self.shown.iter().position(|at| self.snapshot.rows[*at].identity == selected)
    }

    /// Performs an action.
    pub fn act(&mut self, action: Action) -> Request {
        match action {
            Action::Quit => return Request::Quit,
            Action::Suspend => return Request::Suspend,
            Action::Redraw => return Request::Redraw,
            Action::Help => self.help = !self.help,
            Action::Pause => self.paused = !self.paused,
            Action::HideEnded => {
                self.hides_ended = !self.hides_ended;
                self.filter_rows();
            }
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
            Action::Filter => self.filter.edit(),
            Action::Apply => self.filter.apply(),
            Action::Type(char) => self.change_filter(|filter| filter.insert(char)),
            Action::Delete => self.change_filter(FilterLine::delete),
            Action::DeleteAll => self.change_filter(FilterLine::delete_all),
            Action::Cursor(chars) => self.filter.move_cursor(chars),
        }
        Request::Continue
    }

    fn change_filter(&mut self, change: impl FnOnce(&mut FilterLine)) {
        change(&mut self.filter);
        self.filter_rows();
    }

    fn back(&mut self) {
        if self.help {
            self.help = false;
        } else if self.filter.is_editing() {
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
                let Some(row) = self.shown.get(at).and_then(|at| self.snapshot.rows.get(*at)) else {
                    return;
                };
                self.selected = Some(row.identity);
                Pane::Detail(row.identity)
            }
        };
        self.detail_offset = 0;
        self.last_seen = None;
    }

    /// Moves the cursor, or scrolls the fields in the details.
    fn go(&mut self, lines: isize) {
        if self.pane != Pane::List {
            self.detail_offset = self.detail_offset.saturating_add_signed(lines);
            return;
        }
        let Some(last) = self.shown.len().checked_sub(1) else {
            return;
        };
        // The first key shows the cursor.
        let at = match self.cursor() {
            Some(at) => at.saturating_add_signed(lines).min(last),
            None if lines > 1 => lines.cast_unsigned().min(last),
            None => 0,
        };
        self.selected = Some(self.snapshot.rows[self.shown[at]].identity);
    }

    fn sort_by(&mut self, columns: isize) {
        let count = self.columns.len().cast_signed();
        self.sort = (self.sort.cast_signed() + columns).rem_euclid(count).cast_unsigned();
        self.descending = self.columns[self.sort].descends();
        self.sort();
    }

    /// Adds the column of the process, after those that every source has.
    fn add_process(&mut self) {
        if self.may_add_process && self.snapshot.rows.iter().any(|row| has_process(&row.record)) {
            self.may_add_process = false;
            let at = add_process(&mut self.columns);
            self.sort += usize::from(self.sort >= at);
        }
    }

    /// Applies the filter to the current snapshot.
    fn filter_rows(&mut self) {
        self.add_process();
        let is_shown = |row: &Row| !(self.hides_ended && row.record.is_final()) && self.filter.matches(&row.record);
        let matching = |(at, row): (usize, &Row)| is_shown(row).then_some(at);
        self.shown = self.snapshot.rows.iter().enumerate().filter_map(matching).collect();
        self.summary = Summary::default();
        for row in self.shown.iter().map(|at| &self.snapshot.rows[*at]) {
            let state = row.record.get(key::state).map_or(usize::MAX, |State(number)| number.into());
            let last = self.summary.states.len() - 1;
            self.summary.states[state.min(last)] += 1;
            self.summary.send += row.rates.send.unwrap_or(0.0);
            self.summary.receive += row.rates.receive.unwrap_or(0.0);
            self.summary.rexmit += row.rates.rexmit.unwrap_or(0.0);
        }
        self.sort();
    }

    /// Sorts the list.
    fn sort(&mut self) {
        list::sort(&self.snapshot.rows, &mut self.shown, self.columns[self.sort], self.descending);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::model;
    use super::*;

    fn ports(model: &Model) -> Vec<u16> {
        model.shown.iter().map(|at| model.snapshot.rows[*at].identity.local.port.unwrap() - 40_000).collect()
    }

    fn type_filter(model: &mut Model, text: &str) {
        model.act(Action::Filter);
        text.chars().for_each(|char| _ = model.act(Action::Type(char)));
    }

    #[test]
    fn the_connection_that_sends_most_is_first_and_one_without_a_rate_is_last() {
        let mut model = model(4, 1);
        assert_eq!(ports(&model), [3, 2, 1, 0]);
        model.act(Action::Reverse);
        assert_eq!(ports(&model), [1, 2, 3, 0]);
    }

    #[test]
    fn the_list_can_be_sorted_by_every_column() {
        let mut model = model(4, 1);
        for _ in 0..model.columns.len() {
            model.act(Action::SortBy(1));
            assert_eq!(ports(&model).len(), 4);
        }
        assert_eq!(model.sort, 3, "back to the first column");
        model.act(Action::SortBy(-3));
        assert_eq!((ports(&model), model.descending), (vec![0, 1, 2, 3], false));
    }

    #[test]
    fn a_filter_applies_while_it_is_typed_unless_it_is_invalid() {
        let mut model = model(4, 1);
        type_filter(&mut model, "lport 40002 ");
        assert_eq!(ports(&model), [2]);
        type_filter(&mut model, "or");
        assert_eq!(ports(&model), [2]);
        assert!(model.filter.error().is_some());
        model.act(Action::Apply);
        assert!(model.filter.is_editing(), "an invalid filter cannot be applied");
        model.act(Action::Back);
        assert_eq!(ports(&model).len(), 4);
        assert!(!model.filter.is_editing() && model.filter.error().is_none());
    }

    #[test]
    fn the_totals_are_those_of_matching_connections() {
        let mut model = model(4, 1);
        assert_eq!((model.summary.states[1], model.summary.states[4]), (1, 3));
        assert!((model.summary.send - 6e6).abs() < 1.0 && (model.summary.rexmit - 1.0).abs() < 1e-9);
        type_filter(&mut model, "state listen");
        assert_eq!((model.summary.states[1], model.summary.states[4]), (1, 0));
        assert!(model.summary.send.abs() < 1.0);
    }

    #[test]
    fn updates_can_be_paused_and_resumed() {
        let mut model = model(4, 1);
        model.act(Action::Pause);
        model.take(TrackedSnapshot::default());
        assert_eq!(ports(&model).len(), 4);
        model.act(Action::Pause);
        model.take(TrackedSnapshot::default());
        assert_eq!(ports(&model).len(), 0);
    }

    #[test]
    fn the_cursor_stays_on_its_connection() {
        let mut model = model(4, 1);
        model.act(Action::Move(1));
        assert_eq!(model.cursor(), Some(0), "the first key shows the cursor");
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
    fn the_list_scrolls_no_further_than_needed() {
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
    fn a_closed_connection_is_still_shown() {
        let mut model = model(4, 1);
        model.act(Action::Detail);
        let Pane::Detail(identity) = model.pane else { panic!("no detail") };
        assert_eq!(identity.local.port, Some(40_003));
        assert!(model.detailed(identity).unwrap().1);
        for _ in 0..2 {
            model.take(TrackedSnapshot::default());
            let (row, exists) = model.detailed(identity).unwrap();
            assert!(!exists && row.record.get(key::srtt) == Some(3000));
        }
        model.act(Action::Back);
        model.act(Action::Detail);
        assert_eq!(model.pane, Pane::List, "there is no connection to show");
    }
}
