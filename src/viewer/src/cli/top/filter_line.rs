// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The line in which the filter is edited.

use tcpstats::{Filter, Record};

use crate::list::{FilterMistake, parse_filter};

/// A filter and its text.
#[derive(Default)]
pub struct FilterLine {
    text: String,
    /// The position of the cursor in characters.
    cursor: usize,
    /// The last valid filter, or `None` if all connections match.
    current: Option<Filter>,
    mistake: Option<FilterMistake>,
    /// The text before the current edit.
    original: Option<String>,
}

impl FilterLine {
    /// Returns a line with the filter of the command line.
    pub fn new(text: &str, filter: Option<Filter>) -> Self {
        Self { text: text.into(), current: filter, ..Self::default() }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the position of the cursor in characters.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Returns whether the text is being edited.
    pub fn is_editing(&self) -> bool {
        self.original.is_some()
    }

    /// Returns the mistake in the text.
    pub fn error(&self) -> Option<&FilterMistake> {
        self.mistake.as_ref()
    }

    /// Returns whether a connection matches.
    pub fn matches(&self, record: &Record) -> bool {
        self.current.as_ref().is_none_or(|filter| filter.matches(record))
    }

    /// Starts an edit.
    pub fn edit(&mut self) {
        if self.original.is_none() {
            self.original = Some(self.text.clone());
        }
        self.cursor = self.text.chars().count();
    }

    /// Ends the edit if the text is valid.
    pub fn apply(&mut self) {
        if self.mistake.is_none() {
            self.original = None;
        }
    }

    /// Ends the edit and restores the previous text.
    pub fn cancel(&mut self) {
        if let Some(original) = self.original.take() {
            self.text = original;
            self.cursor = self.text.chars().count();
            self.parse();
        }
    }

    /// Inserts a character at the cursor.
    pub fn insert(&mut self, char: char) {
        if !char.is_control() {
            self.text.insert(self.at_cursor(), char);
            self.cursor += 1;
            self.parse();
        }
    }

    /// Deletes the character before the cursor.
    pub fn delete(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.at_cursor());
            self.parse();
        }
    }

    /// Clears the text.
    pub fn delete_all(&mut self) {
        self.text.clear();
        self.cursor = 0;
        self.parse();
    }

    /// Moves the cursor by this number of characters.
    pub fn move_cursor(&mut self, chars: isize) {
        self.cursor = self.cursor.saturating_add_signed(chars).min(self.text.chars().count());
    }

    /// Returns the byte offset of the cursor.
    fn at_cursor(&self) -> usize {
        self.text.char_indices().nth(self.cursor).map_or(self.text.len(), |(at, _)| at)
    }

    fn parse(&mut self) {
        self.mistake = None;
        match parse_filter(&self.text) {
            Ok(filter) => self.current = filter,
            Err(mistake) => self.mistake = Some(mistake),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_by_characters() {
        let mut line = FilterLine::default();
        line.edit();
        "porü 2".chars().for_each(|char| line.insert(char));
        line.move_cursor(-2);
        line.delete();
        line.insert('t');
        assert_eq!((line.text(), line.cursor(), line.error()), ("port 2", 4, None));
        line.move_cursor(-99);
        line.delete();
        assert_eq!((line.text(), line.cursor()), ("port 2", 0));
        line.move_cursor(99);
        line.insert('\u{1b}');
        assert_eq!((line.text(), line.cursor()), ("port 2", 6));
    }

    #[test]
    fn the_cursor_is_within_the_text_after_an_edit_is_cancelled() {
        let mut line = FilterLine::default();
        line.edit();
        "ip6".chars().for_each(|char| line.insert(char));
        line.cancel();
        line.delete();
        assert_eq!((line.text(), line.cursor()), ("", 0));
    }

    #[test]
    fn the_position_of_a_mistake_is_in_characters() {
        let mut line = FilterLine::default();
        line.edit();
        "cc ü x".chars().for_each(|char| line.insert(char));
        let mistake = line.error().unwrap();
        assert_eq!(
            (mistake.column, mistake.expected.split(',').next()),
            (3, Some("expected a name of at most 16 ASCII characters"))
        );
        line.delete_all();
        assert!(line.error().is_none() && line.matches(&Record::new()));
    }
}
