// SPDX-License-Identifier: BSD-2-Clause

//! What keys ask for.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::Action;

/// The keys and what they do, as the help tells them.
pub const KEYS: [(&str, &str); 12] = [
    ("up down j k", "move the cursor; scroll the fields of a connection"),
    ("PgUp PgDn Home End", "move by a screen, to the first, to the last"),
    ("Enter", "look at one connection, and back"),
    ("< > left right", "sort by the column to the left, to the right"),
    ("r", "sort the other way round"),
    ("/ f", "change the filter; Enter keeps it, Esc undoes"),
    ("p space", "hold what is shown, and go on"),
    ("Esc", "back: from help, filter, connection, cursor"),
    ("? h", "these keys"),
    ("^L", "draw the screen again"),
    ("^Z", "stop; fg of the shell goes on"),
    ("q ^C", "quit"),
];

/// What that key asks for, if anything; `typing` says that the filter is being
/// changed.
pub fn action(key: KeyEvent, typing: bool) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return control(key.code, typing);
    }
    if typing {
        return match key.code {
            KeyCode::Char(char) => Some(Action::Type(char)),
            KeyCode::Backspace => Some(Action::Delete),
            KeyCode::Left => Some(Action::Cursor(-1)),
            KeyCode::Right => Some(Action::Cursor(1)),
            KeyCode::Home => Some(Action::Cursor(isize::MIN / 2)),
            KeyCode::End => Some(Action::Cursor(isize::MAX / 2)),
            KeyCode::Enter => Some(Action::Keep),
            KeyCode::Esc => Some(Action::Back),
            _ => None,
        };
    }
    match key.code {
        KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Up | KeyCode::Char('k') => Some(Action::Move(-1)),
        KeyCode::Down | KeyCode::Char('j') => Some(Action::Move(1)),
        KeyCode::PageUp => Some(Action::Page(-1)),
        KeyCode::PageDown => Some(Action::Page(1)),
        KeyCode::Home => Some(Action::First),
        KeyCode::End => Some(Action::Last),
        KeyCode::Left | KeyCode::Char('<') => Some(Action::SortBy(-1)),
        KeyCode::Right | KeyCode::Char('>') => Some(Action::SortBy(1)),
        KeyCode::Char('r') => Some(Action::Reverse),
        KeyCode::Char('/' | 'f') => Some(Action::Filter),
        KeyCode::Char('p' | ' ') => Some(Action::Pause),
        KeyCode::Enter => Some(Action::Detail),
        KeyCode::Esc => Some(Action::Back),
        KeyCode::Char('?' | 'h') => Some(Action::Help),
        _ => None,
    }
}

fn control(code: KeyCode, typing: bool) -> Option<Action> {
    match code {
        KeyCode::Char('c') => Some(Action::Quit),
        KeyCode::Char('z') => Some(Action::Suspend),
        KeyCode::Char('l') => Some(Action::Redraw),
        KeyCode::Char('u') if typing => Some(Action::DeleteAll),
        // What Backspace sends on some terminals.
        KeyCode::Char('h') if typing => Some(Action::Delete),
        KeyCode::Char('a') if typing => Some(Action::Cursor(isize::MIN / 2)),
        KeyCode::Char('e') if typing => Some(Action::Cursor(isize::MAX / 2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_filter_is_typed_a_letter_is_a_letter() {
        let q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(action(q, false), Some(Action::Quit));
        assert_eq!(action(q, true), Some(Action::Type('q')));
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(control_c, true), Some(Action::Quit));
    }
}
