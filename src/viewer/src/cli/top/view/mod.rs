// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Drawing of the screen.

mod chart;
mod detail;
mod list;
mod style;
mod summary;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

pub use self::style::Capabilities;
use super::input::KEYS;
use super::model::{Model, Pane};

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, model: &mut Model, caps: Capabilities) {
    let area = frame.area();
    let above = summary::height(model, area.height);
    let [summary, middle, footer] = Layout::vertical([
        Constraint::Length(above),
        Constraint::Fill(1),
        Constraint::Length(u16::from(area.height >= 3)),
    ])
    .areas(area);
    summary::draw(frame, summary, model, caps);
    match model.pane {
        Pane::List => list::draw(frame, middle, model, caps),
        Pane::Detail(identity) => detail::draw(frame, middle, model, identity, caps),
    }
    frame.render_widget(Paragraph::new(key_line(model)).style(Capabilities::bar()), footer);
    if model.help {
        help(frame, area, caps);
    }
    if !caps.unicode {
        to_ascii(frame.buffer_mut());
    }
}

/// Returns the line with the most important keys.
fn key_line(model: &Model) -> Line<'static> {
    Line::from(match model.pane {
        _ if model.filter.is_editing() => "Enter apply  Esc cancel  ^U clear  e.g. port 443 and srtt > 100ms",
        Pane::List => "q quit  ? help  / filter  < > sort  r reverse  p pause  Enter details",
        Pane::Detail(_) => "Esc back  up down scroll  p pause  ? help  q quit",
    })
}

fn help(frame: &mut Frame<'_>, area: Rect, caps: Capabilities) {
    let width = KEYS.iter().map(|(keys, _)| keys.len()).max().unwrap_or(0);
    let mut lines: Vec<_> = KEYS
        .iter()
        .map(|(keys, what)| Line::from(vec![Span::styled(format!(" {keys:<width$}  "), caps.name()), Span::raw(*what)]))
        .collect();
    lines.push(Line::default());
    lines.extend(
        [
            " send: payload acknowledged by the peer; recv: payload received; bits/s",
            " rexm/s: segments retransmitted; srtt: ↑ ↓ changed by a tenth or more",
            " other columns: see tcpstats(5); the suffixes k M G are powers of 1024",
        ]
        .map(Line::from),
    );
    let height = u16::try_from(lines.len() + 1).unwrap_or(u16::MAX);
    let box_area = Rect { height: height.min(area.height), ..area };
    frame.render_widget(Clear, box_area);
    lines.insert(0, Line::styled(" Keys (? h Esc close this help)", Capabilities::value()));
    frame.render_widget(Paragraph::new(lines), box_area);
}

/// Replaces symbols with ASCII characters.
fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let letter = match cell.symbol() {
                "↑" => "^",
                "↓" => "v",
                "→" => ">",
                "│" => "|",
                "─" => "-",
                "└" => "+",
                "•" => "o",
                "…" => "~",
                "µ" => "u",
                _ => "*",
            };
            cell.set_symbol(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::style::Color;

    use super::super::action::{Action, Request};
    use super::super::filter_line::FilterLine;
    use super::super::fixtures::{add_owners, any_action, model, snapshot};
    use super::*;
    use crate::list::tracker::Tracker;
    use crate::shown::Shown;

    const PLAIN: Capabilities = Capabilities { colour: false, unicode: true };

    /// Returns the screen as text, without spaces at the ends of lines.
    fn screen(model: &mut Model, width: u16, height: u16, caps: Capabilities) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, model, caps)).unwrap();
        let buffer = terminal.backend().buffer();
        let lines = buffer.content.chunks(usize::from(width).max(1));
        let text =
            |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
        lines.map(|cells| text(cells).trim_end().to_owned() + "\n").collect()
    }

    fn assert_screen(name: &str, found: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("screens").join(name).with_extension("txt");
        if std::env::var_os("UPDATE_SCREENS").is_some() {
            std::fs::write(&path, found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{name}: run with UPDATE_SCREENS=1 to accept the new screen\n{found}\ninstead of\n{expected}"
        );
    }

    fn press(model: &mut Model, actions: impl IntoIterator<Item = Action>) {
        actions.into_iter().for_each(|action| assert_eq!(model.act(action), Request::Continue));
    }

    #[test]
    fn the_list_on_a_terminal_of_eighty_columns() {
        assert_screen("list-80x24", &screen(&mut model(30, 12), 80, 24, PLAIN));
    }

    #[test]
    fn the_list_on_a_wide_terminal() {
        assert_screen("list-160x12", &screen(&mut model(30, 12), 160, 12, PLAIN));
    }

    #[test]
    fn the_process_is_shown_if_the_source_has_owners_and_the_terminal_is_wide_enough() {
        let mut model = model(4, 1);
        let mut with_owners = snapshot(2, 4);
        add_owners(&mut with_owners);
        let (is_shown, sorted) = (|text: &str| text.contains(" process "), model.sort);
        assert!(!is_shown(&screen(&mut model, 160, 12, PLAIN)));
        model.take(Tracker::default().track(with_owners));
        assert!(!is_shown(&screen(&mut model, 80, 12, PLAIN)));
        assert_screen("owners-100x8", &screen(&mut model, 100, 8, PLAIN));
        assert_screen("owners-160x8", &screen(&mut model, 160, 8, PLAIN));
        assert_eq!(model.sort, sorted);
        // It stays, so that the columns do not change all the time.
        model.take(Tracker::default().track(snapshot(3, 4)));
        assert!(is_shown(&screen(&mut model, 100, 12, PLAIN)));
    }

    #[test]
    fn the_list_can_be_sorted_by_process_and_filtered_by_owner() {
        let mut with_owners = snapshot(1, 9);
        add_owners(&mut with_owners);
        let first = Tracker::default().track(with_owners);
        let shown = Shown::parse("process,container,netns").unwrap();
        let mut model = Model::new(Duration::from_secs(1), Some(&shown), FilterLine::default(), first);
        model.host = "lab".into();
        press(&mut model, [Action::SortBy(4)]);
        assert_screen("owners-sorted-130x14", &screen(&mut model, 130, 14, PLAIN));
        press(&mut model, [Action::Filter]);
        press(&mut model, "command postgres and pid > 801".chars().map(Action::Type));
        assert_screen("owners-filter-130x10", &screen(&mut model, 130, 10, PLAIN));
    }

    #[test]
    fn the_list_on_a_tiny_terminal() {
        assert_screen("list-40x6", &screen(&mut model(30, 12), 40, 6, PLAIN));
    }

    #[test]
    fn an_invalid_filter() {
        let mut model = model(30, 12);
        press(&mut model, [Action::Filter]);
        press(&mut model, "port 443 and srtt > fast".chars().map(Action::Type));
        assert_screen("filter-80x12", &screen(&mut model, 80, 12, PLAIN));
    }

    #[test]
    fn the_details_of_a_connection() {
        let mut model = model(30, 12);
        press(&mut model, [Action::Move(1), Action::Detail]);
        assert_screen("detail-80x24", &screen(&mut model, 80, 24, PLAIN));
        assert_screen("detail-130x30", &screen(&mut model, 130, 30, PLAIN));
    }

    #[test]
    fn the_help() {
        let mut model = model(3, 1);
        press(&mut model, [Action::Help]);
        assert_screen("help-80x24", &screen(&mut model, 80, 24, PLAIN));
    }

    #[test]
    fn without_unicode_every_cell_is_ascii() {
        let mut model = model(30, 12);
        press(&mut model, [Action::Move(1), Action::Detail]);
        let text = screen(&mut model, 80, 24, Capabilities { unicode: false, ..PLAIN });
        assert!(text.is_ascii(), "{text}");
        assert_screen("detail-ascii-80x24", &text);
    }

    #[test]
    fn without_colour_no_cell_is_coloured() {
        let mut model = model(30, 12);
        press(&mut model, [Action::Move(1), Action::Detail]);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut coloured = |caps| {
            terminal.draw(|frame| draw(frame, &mut model, caps)).unwrap();
            let cells = terminal.backend().buffer().content.iter();
            let colours: std::collections::HashSet<_> = cells.flat_map(|cell| [cell.fg, cell.bg]).collect();
            colours
        };
        assert_eq!(coloured(PLAIN), [Color::Reset].into());
        let colours = coloured(Capabilities { colour: true, unicode: true });
        let sixteen = |colour: &Color| !matches!(colour, Color::Rgb(..) | Color::Indexed(_));
        assert!(colours.len() > 2 && colours.iter().all(sixteen), "{colours:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_action_and_no_size_cause_a_panic(
            steps in prop::collection::vec((any_action(), 1..60u16, 1..30u16, 0..40u16), 1..40),
            unicode: bool,
        ) {
            let (mut model, mut tracker) = (model(20, 2), Tracker::default());
            for (second, (action, width, height, count)) in steps.into_iter().enumerate() {
                model.act(action);
                screen(&mut model, width, height, Capabilities { colour: true, unicode });
                model.take(tracker.track(snapshot(second as u64, count)));
            }
        }
    }
}
