// SPDX-License-Identifier: BSD-2-Clause

//! What top looks like.

mod chart;
mod detail;
mod list;
mod summary;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::input::KEYS;
use super::model::{Model, Pane};
use crate::units::has_utf8;

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Sixteen colours; without them bold and reversed letters must do.
    pub colour: bool,
    /// Letters and symbols beyond ASCII.
    pub unicode: bool,
}

impl Abilities {
    /// As the environment tells.
    pub fn of_environment() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self { colour: !is_set("NO_COLOR"), unicode: has_utf8() }
    }

    fn coloured(self, style: Style, colour: Color) -> Style {
        if self.colour { style.fg(colour) } else { style }
    }

    /// Of what wants to be seen first.
    fn alarm(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Red)
    }

    /// Of what is out of the ordinary.
    fn notable(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Yellow)
    }

    /// Of a name before a value.
    fn name(self) -> Style {
        self.coloured(Style::new(), Color::Cyan)
    }

    /// Of a value to be found quickly.
    fn value() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Of a bar across the screen.
    fn bar() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, model: &mut Model, can: Abilities) {
    let area = frame.area();
    let above = summary::height(model, area.height);
    let [summary, middle, footer] = Layout::vertical([
        Constraint::Length(above),
        Constraint::Fill(1),
        Constraint::Length(u16::from(area.height >= 3)),
    ])
    .areas(area);
    summary::draw(frame, summary, model, can);
    match model.pane {
        Pane::List => list::draw(frame, middle, model, can),
        Pane::Detail(identity) => detail::draw(frame, middle, model, identity, can),
    }
    frame.render_widget(Paragraph::new(keys(model)).style(Abilities::bar()), footer);
    if model.help {
        help(frame, area, can);
    }
    if !can.unicode {
        to_ascii(frame.buffer_mut());
    }
}

/// The keys that are of use just now.
fn keys(model: &Model) -> Line<'static> {
    Line::from(match model.pane {
        _ if model.filter.is_changing() => "Enter keep  Esc undo  ^U delete  e.g. port 443 and srtt > 100ms",
        Pane::List => "q quit  ? help  / filter  < > sort  r reverse  p pause  Enter look at one",
        Pane::Detail(_) => "Esc back  up down scroll  p pause  ? help  q quit",
    })
}

fn help(frame: &mut Frame<'_>, area: Rect, can: Abilities) {
    let width = KEYS.iter().map(|(keys, _)| keys.len()).max().unwrap_or(0);
    let mut lines: Vec<_> = KEYS
        .iter()
        .map(|(keys, what)| Line::from(vec![Span::styled(format!(" {keys:<width$}  "), can.name()), Span::raw(*what)]))
        .collect();
    lines.push(Line::default());
    lines.extend(
        [
            " send: payload acknowledged by the peer; recv: received; bits a second",
            " rexm/s: segments sent again; srtt: up or down by a tenth lately",
            " the others are fields of tcpstats(5), k M G are powers of 1024",
        ]
        .map(Line::from),
    );
    let height = u16::try_from(lines.len() + 1).unwrap_or(u16::MAX);
    let box_area = Rect { height: height.min(area.height), ..area };
    frame.render_widget(Clear, box_area);
    lines.insert(0, Line::styled(" Keys; any of ? h Esc goes back", Abilities::value()));
    frame.render_widget(Paragraph::new(lines), box_area);
}

/// Puts letters for symbols, for a terminal that has no others.
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

/// A text cut to a width, with a mark where something is missing.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let Some(kept) = width.checked_sub(1) else { return String::new() };
    text.chars().take(kept).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::tests::{any_action, model, snapshot};
    use super::super::model::{Action, Asked};
    use super::super::tracker::Tracker;
    use super::*;

    const PLAIN: Abilities = Abilities { colour: false, unicode: true };

    /// The screen as text, without what ends its lines in spaces.
    fn screen(model: &mut Model, width: u16, height: u16, can: Abilities) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, model, can)).unwrap();
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
        assert!(found == expected, "{name}: UPDATE_SCREENS=1 has the new one kept\n{found}\ninstead of\n{expected}");
    }

    fn press(model: &mut Model, actions: impl IntoIterator<Item = Action>) {
        actions.into_iter().for_each(|action| assert_eq!(model.act(action), Asked::Continue));
    }

    #[test]
    fn the_list_on_eighty_columns() {
        assert_screen("list-80x24", &screen(&mut model(30, 12), 80, 24, PLAIN));
    }

    #[test]
    fn the_list_on_a_wide_terminal() {
        assert_screen("list-160x12", &screen(&mut model(30, 12), 160, 12, PLAIN));
    }

    #[test]
    fn the_list_on_a_tiny_terminal() {
        assert_screen("list-40x6", &screen(&mut model(30, 12), 40, 6, PLAIN));
    }

    #[test]
    fn a_filter_that_is_wrong() {
        let mut model = model(30, 12);
        press(&mut model, [Action::Filter]);
        press(&mut model, "port 443 and srtt > fast".chars().map(Action::Type));
        assert_screen("filter-80x12", &screen(&mut model, 80, 12, PLAIN));
    }

    #[test]
    fn one_connection_in_detail() {
        let mut model = model(30, 12);
        press(&mut model, [Action::Move(1), Action::Detail]);
        assert_screen("detail-80x24", &screen(&mut model, 80, 24, PLAIN));
        assert_screen("detail-130x30", &screen(&mut model, 130, 30, PLAIN));
    }

    #[test]
    fn the_keys() {
        let mut model = model(3, 1);
        press(&mut model, [Action::Help]);
        assert_screen("help-80x24", &screen(&mut model, 80, 24, PLAIN));
    }

    #[test]
    fn without_unicode_every_cell_is_ascii() {
        let mut model = model(30, 12);
        press(&mut model, [Action::Move(1), Action::Detail]);
        let text = screen(&mut model, 80, 24, Abilities { unicode: false, ..PLAIN });
        assert!(text.is_ascii(), "{text}");
        assert_screen("detail-ascii-80x24", &text);
    }

    #[test]
    fn without_colour_no_cell_has_one() {
        let mut model = model(30, 12);
        press(&mut model, [Action::Move(1), Action::Detail]);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut coloured = |can| {
            terminal.draw(|frame| draw(frame, &mut model, can)).unwrap();
            let cells = terminal.backend().buffer().content.iter();
            let colours: std::collections::HashSet<_> = cells.flat_map(|cell| [cell.fg, cell.bg]).collect();
            colours
        };
        assert_eq!(coloured(PLAIN), [Color::Reset].into());
        let colours = coloured(Abilities { colour: true, unicode: true });
        let sixteen = |colour: &Color| !matches!(colour, Color::Rgb(..) | Color::Indexed(_));
        assert!(colours.len() > 2 && colours.iter().all(sixteen), "{colours:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_key_and_no_size_panics(
            steps in prop::collection::vec((any_action(), 1..60u16, 1..30u16, 0..40u16), 1..40),
            unicode: bool,
        ) {
            let (mut model, mut tracker) = (model(20, 2), Tracker::default());
            for (second, (action, width, height, count)) in steps.into_iter().enumerate() {
                model.act(action);
                screen(&mut model, width, height, Abilities { colour: true, unicode });
                model.take(tracker.track(snapshot(second as u64, count)));
            }
        }
    }
}
