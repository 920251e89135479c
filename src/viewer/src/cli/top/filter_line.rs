// SPDX-License-Identifier: BSD-2-Clause

//! The filter while it is typed.

use tcpstats::{Filter, Record};

/// Where a filter's text is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// In characters from the beginning.
    pub column: usize,
    /// What was expected there.
    pub expected: String,
}

/// A filter and its text.
#[derive(Default)]
pub struct FilterLine {
    text: String,
    /// Characters before the cursor.
    cursor: usize,
    /// The last text that was right, and what it says; all match where there is
    /// none.
    in_force: Option<Filter>,
    wrong: Option<Wrong>,
    /// The text that was there before the change, while it is changed.
    before: Option<String>,
}

impl FilterLine {
    /// A filter that was given beforehand.
    pub fn new(text: &str, filter: Option<Filter>) -> Self {
        Self { text: text.into(), in_force: filter, ..Self::default() }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Characters before the cursor.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether it is being changed.
    pub fn is_changing(&self) -> bool {
        self.before.is_some()
    }

    /// Where the text is wrong.
    pub fn error(&self) -> Option<&Wrong> {
        self.wrong.as_ref()
    }

    /// Whether the connection is to be shown.
    pub fn matches(&self, record: &Record) -> bool {
        self.in_force.as_ref().is_none_or(|filter| filter.matches(record))
    }

    /// Begins to change it.
    pub fn begin(&mut self) {
        if self.before.is_none() {
            self.before = Some(self.text.clone());
        }
        self.cursor = self.text.chars().count();
    }

    /// Ends the change, if the text is right.
    pub fn keep(&mut self) {
        if self.wrong.is_none() {
            self.before = None;
        }
    }

    /// Ends the change and undoes it.
    pub fn cancel(&mut self) {
        if let Some(before) = self.before.take() {
            self.text = before;
            self.cursor = self.text.chars().count();
            self.read();
        }
    }

    /// Puts a character at the cursor.
    pub fn insert(&mut self, char: char) {
        if !char.is_control() {
            self.text.insert(self.at_cursor(), char);
            self.cursor += 1;
            self.read();
        }
    }

    /// Removes the character before the cursor.
    pub fn delete(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.at_cursor());
            self.read();
        }
    }

    /// Removes all.
    pub fn delete_all(&mut self) {
        self.text.clear();
        self.cursor = 0;
        self.read();
    }

    /// Moves the cursor by so many characters.
    pub fn move_cursor(&mut self, chars: isize) {
        self.cursor = self.cursor.saturating_add_signed(chars).min(self.text.chars().count());
    }

    /// The byte that the cursor stands before.
    fn at_cursor(&self) -> usize {
        self.text.char_indices().nth(self.cursor).map_or(self.text.len(), |(at, _)| at)
    }

    fn read(&mut self) {
        self.wrong = None;
        if self.text.trim().is_empty() {
            self.in_force = None;
            return;
        }
        match tcpstats_source::parse_filter(&self.text) {
            Ok(filter) => self.in_force = Some(filter),
            Err(error) => {
                self.wrong = Some(Wrong { column: error.column, expected: format!("expected {}", error.expected) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_by_characters() {
        let mut line = FilterLine::default();
        line.begin();
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
    fn the_cursor_is_in_the_text_after_a_change_is_cancelled() {
        let mut line = FilterLine::default();
        line.begin();
        "ip6".chars().for_each(|char| line.insert(char));
        line.cancel();
        line.delete();
        assert_eq!((line.text(), line.cursor()), ("", 0));
    }

    #[test]
    fn an_error_has_its_place_in_characters() {
        let mut line = FilterLine::default();
        line.begin();
        "cc ü x".chars().for_each(|char| line.insert(char));
        let wrong = line.error().unwrap();
        assert_eq!(
            (wrong.column, wrong.expected.split(',').next()),
            (3, Some("expected a name of at most 16 ASCII characters"))
        );
        line.delete_all();
        assert!(line.error().is_none() && line.matches(&Record::new()));
    }
}
