// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Styles of text, and the capabilities of the terminal.

use ratatui::style::{Color, Modifier, Style};

use crate::units::has_utf8;

/// The capabilities of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Sixteen colours.  Without them, only bold and reverse video are used.
    pub colour: bool,
    /// Characters beyond ASCII.
    pub unicode: bool,
}

impl Capabilities {
    /// Returns the capabilities that the environment variables declare.
    pub fn of_environment() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self { colour: !is_set("NO_COLOR"), unicode: has_utf8() }
    }

    /// Adds a colour to a style if the terminal has colours.
    pub fn coloured(self, style: Style, colour: Color) -> Style {
        if self.colour { style.fg(colour) } else { style }
    }

    /// The style of errors.
    pub fn alarm(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Red)
    }

    /// The style of unusual values.
    pub fn notable(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Yellow)
    }

    /// The style of names.
    pub fn name(self) -> Style {
        self.coloured(Style::new(), Color::Cyan)
    }

    /// The style of important values.
    pub fn value() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The style of a bar across the screen.
    pub fn bar() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// Truncates a text to a width, with an ellipsis.
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let Some(room) = width.checked_sub(1) else { return String::new() };
    text.chars().take(room).chain(['…']).collect()
}
