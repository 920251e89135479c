// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The keys.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::action::Action;

/// The keys and their descriptions in the help.
pub const KEYS: [(&str, &str); 13] = [
    ("up down j k", "move the cursor; scroll the fields of a connection"),
    ("PgUp PgDn Home End", "move by one screen, or to the first or last line"),
    ("Enter", "show the selected connection, or return to the list"),
    ("< > left right", "sort by the column to the left or to the right"),
    ("r", "reverse the order"),
    ("/ f", "edit the filter; Enter applies it, Esc cancels"),
    ("p space", "pause or resume updates"),
    ("e", "hide or show connections that have ended"),
    ("Esc", "close the help, filter or connection; hide the cursor"),
    ("? h", "show or hide this help"),
    ("^L", "redraw the screen"),
    ("^Z", "suspend; resume with fg"),
    ("q ^C", "quit"),
];

/// Returns the action of a key.  `typing` is set while the filter is edited.
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
            KeyCode::Enter => Some(Action::Apply),
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
        KeyCode::Char('e') => Some(Action::HideEnded),
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
        // Some terminals send this for Backspace.
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
    fn letters_are_text_while_the_filter_is_edited() {
        let q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(action(q, false), Some(Action::Quit));
        assert_eq!(action(q, true), Some(Action::Type('q')));
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(control_c, true), Some(Action::Quit));
    }
}
