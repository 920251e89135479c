// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A terminal with a limited size, because the size that a terminal reports
//! determines the memory for the screen.

use std::io::{self, Stdout, stdout};

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

/// The largest screen that is drawn.
const SIZE_MAX: Size = Size { width: 1000, height: 500 };

/// The size of a terminal that does not report one, such as a serial console.
const SIZE_UNKNOWN: Size = Size { width: 80, height: 24 };

/// The terminal on standard output.
pub struct BoundedTerminal(CrosstermBackend<Stdout>);

impl BoundedTerminal {
    /// Returns the terminal of this process.
    pub fn new() -> Self {
        Self(CrosstermBackend::new(stdout()))
    }
}

/// Returns the size to draw for the size that a terminal reports.
fn bounded(reported: Size) -> Size {
    let of = |reported: u16, max: u16, unknown: u16| if reported == 0 { unknown } else { reported.min(max) };
    Size {
        width: of(reported.width, SIZE_MAX.width, SIZE_UNKNOWN.width),
        height: of(reported.height, SIZE_MAX.height, SIZE_UNKNOWN.height),
    }
}

impl Backend for BoundedTerminal {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        self.0.draw(content)
    }

    fn append_lines(&mut self, lines: u16) -> io::Result<()> {
        self.0.append_lines(lines)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.0.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.0.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.0.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.0.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }

    fn clear_region(&mut self, what: ClearType) -> io::Result<()> {
        self.0.clear_region(what)
    }

    fn size(&self) -> io::Result<Size> {
        Ok(bounded(self.0.size().unwrap_or_default()))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        let size = self.0.window_size()?;
        Ok(WindowSize { columns_rows: bounded(size.columns_rows), ..size })
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_limited_and_an_unknown_one_is_80_by_24() {
        let of = |width, height| {
            let size = bounded(Size { width, height });
            (size.width, size.height)
        };
        assert_eq!(of(0, 0), (80, 24));
        assert_eq!(of(u16::MAX, u16::MAX), (1000, 500));
        assert_eq!(of(132, 1), (132, 1));
    }
}
