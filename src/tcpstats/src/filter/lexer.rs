// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Splitting the text of a filter into tokens.

use super::program::Comparison;

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    /// A keyword, a name, a number, an address.
    Word,
    /// A name in double quotes.
    Quoted,
    And,
    Or,
    Not,
    Open,
    Close,
    Compare(Comparison),
    /// A single `&` or `|`, or a quote that is not closed.
    Stray,
    End,
}

/// A token and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) symbol: Symbol,
    /// Offset in the text of the filter, in bytes.
    pub(super) position: usize,
    pub(super) text: &'a str,
}

impl<'a> Token<'a> {
    /// Returns the token reduced to its last bytes, `tail`.
    pub(super) fn tail(self, tail: &'a str) -> Self {
        let before = self.text.len().saturating_sub(tail.len());
        Self { position: self.position.saturating_add(before), text: tail, ..self }
    }
}

/// A lexer, which returns the tokens one after another and [`Symbol::End`] at
/// the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    rest: &'a str,
}

/// Operators and parentheses, longer ones before their prefixes.
const SIGNS: [(&str, Symbol); 14] = [
    ("&&", Symbol::And),
    ("||", Symbol::Or),
    ("==", Symbol::Compare(Comparison::Eq)),
    ("!=", Symbol::Compare(Comparison::Ne)),
    ("<=", Symbol::Compare(Comparison::Le)),
    (">=", Symbol::Compare(Comparison::Ge)),
    ("=", Symbol::Compare(Comparison::Eq)),
    ("<", Symbol::Compare(Comparison::Lt)),
    (">", Symbol::Compare(Comparison::Gt)),
    ("!", Symbol::Not),
    ("(", Symbol::Open),
    (")", Symbol::Close),
    ("&", Symbol::Stray),
    ("|", Symbol::Stray),
];

/// Returns whether the character ends a word.
fn ends_word(char: char) -> bool {
    char.is_whitespace() || matches!(char, '&' | '|' | '=' | '!' | '<' | '>' | '(' | ')' | '"')
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    /// Returns the complete text.
    pub(super) const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the next token.
    pub(super) fn token(&mut self) -> Token<'a> {
        let rest = self.rest.trim_start();
        let position = self.text.len().saturating_sub(rest.len());
        let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
        let (symbol, len) = match sign {
            Some((sign, symbol)) => (*symbol, sign.len()),
            None if rest.is_empty() => (Symbol::End, 0),
            None if rest.starts_with('"') => match rest.match_indices('"').nth(1) {
                Some((end, _)) => (Symbol::Quoted, end.saturating_add(1)),
                None => (Symbol::Stray, rest.len()),
            },
            None => (Symbol::Word, rest.find(ends_word).unwrap_or(rest.len())),
        };
        let (text, rest) = rest.split_at_checked(len).unwrap_or((rest, ""));
        self.rest = rest;
        let symbol = match (symbol, text) {
            (Symbol::Word, "and") => Symbol::And,
            (Symbol::Word, "or") => Symbol::Or,
            (Symbol::Word, "not") => Symbol::Not,
            _ => symbol,
        };
        Token { symbol, position, text }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use proptest::prelude::*;
    use std::vec::Vec;

    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        let mut lexer = Lexer::new(text);
        core::iter::from_fn(|| Some(lexer.token()).filter(|t| t.symbol != Symbol::End)).map(|t| t.text).collect()
    }

    #[test]
    fn addresses_and_numbers_are_single_words() {
        assert_eq!(texts("net fe80::/10&&srtt>=1.5ms"), ["net", "fe80::/10", "&&", "srtt", ">=", "1.5ms"]);
        assert_eq!(texts("!(uid!=0)"), ["!", "(", "uid", "!=", "0", ")"]);
        assert_eq!(texts(" \t\n"), [""; 0]);
        assert_eq!(texts(r#"command "a (b) c"or"d"#), ["command", r#""a (b) c""#, "or", r#""d"#]);
    }

    #[test]
    fn keywords_are_complete_words() {
        let symbol = |text| Lexer::new(text).token().symbol;
        assert_eq!(symbol("and"), Symbol::And);
        assert_eq!(symbol("And"), Symbol::Word);
        assert_eq!(symbol("android"), Symbol::Word);
    }

    proptest! {
        #[test]
        fn tokens_are_at_their_positions(text in any::<String>()) {
            let mut lexer = Lexer::new(&text);
            for _ in 0..=text.len() {
                let token = lexer.token();
                prop_assert_eq!(text.get(token.position..token.position + token.text.len()), Some(token.text));
            }
            prop_assert_eq!(lexer.token().symbol, Symbol::End);
        }
    }
}
