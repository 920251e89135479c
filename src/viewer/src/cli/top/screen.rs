// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The terminal, which is restored in all cases when top ends.

use std::io::{self, stdout};
use std::mem::ManuallyDrop;
use std::{panic, thread};

use ratatui::Terminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use signal_hook::consts::SIGTSTP;

use super::backend::BoundedTerminal;
use super::model::Model;
use super::view::{Capabilities, draw};

/// The terminal while top uses it.
pub struct Screen {
    // Its destructor writes to the terminal and panics if the terminal has hung up.
    terminal: ManuallyDrop<Terminal<BoundedTerminal>>,
    capabilities: Capabilities,
}

impl Screen {
    /// Takes over the terminal.  A panic restores it before it prints its message.
    ///
    /// # Errors
    /// Returns the error of the terminal.
    pub fn take() -> io::Result<Self> {
        let print_panic = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // The panic is more important than an error of the terminal.
            let _ = restore();
            print_panic(panic);
        }));
        // Without this, crossterm writes resets instead of colours if NO_COLOR is set.  The view omits colours itself.
        force_color_output(true);
        let terminal = ManuallyDrop::new(Terminal::new(BoundedTerminal::new())?);
        let screen = Self { terminal, capabilities: Capabilities::of_environment() };
        enter()?;
        Ok(screen)
    }

    /// Draws the changes since the last call.
    ///
    /// # Errors
    /// Returns the error of the terminal.
    pub fn draw(&mut self, model: &mut Model) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, model, self.capabilities))?;
        Ok(())
    }

    /// Makes the next [`Screen::draw`] draw the complete screen.
    ///
    /// # Errors
    /// Returns the error of the terminal.
    pub fn clear(&mut self) -> io::Result<()> {
        // Terminal::clear queries the position of the cursor, and the thread that reads keys would get the reply.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Stops the process and its group, as the terminal does on ^Z by default, and
    /// takes over the terminal again afterwards.
    ///
    /// # Errors
    /// Returns the error of the terminal.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore()?;
        stop()?;
        self.resume()
    }

    /// Takes over the terminal after the process was stopped.  Other programs may have
    /// changed its mode.
    ///
    /// # Errors
    /// Returns the error of the terminal.
    pub fn resume(&mut self) -> io::Result<()> {
        disable_raw_mode()?;
        enter()?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // After a panic, the hook has restored the terminal.  Doing so again would move the cursor into the message.
        if !thread::panicking() {
            // A terminal that has hung up cannot be restored.
            let _ = restore();
        }
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen)
}

fn restore() -> io::Result<()> {
    let left = execute!(stdout(), LeaveAlternateScreen, Show);
    disable_raw_mode()?;
    left
}

/// Performs the default action of SIGTSTP: stops the process group, unless it is
/// orphaned.
fn stop() -> io::Result<()> {
    // SAFETY: all zeros are a valid sigaction: SIG_DFL, no flags, an empty mask.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    let mut caught = default;
    // SAFETY: both are valid sigactions that outlive the calls.
    let stopped = unsafe {
        libc::sigaction(SIGTSTP, &raw const default, &raw mut caught) == 0
            && libc::kill(0, SIGTSTP) == 0
            && libc::sigaction(SIGTSTP, &raw const caught, std::ptr::null_mut()) == 0
    };
    if stopped { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::model;
    use super::Screen;

    #[test]
    #[ignore = "needs a terminal; run by tests/viewer/test_top.py"]
    fn a_panic_restores_the_terminal() {
        let mut screen = Screen::take().unwrap();
        screen.draw(&mut model(30, 12)).unwrap();
        panic!("on purpose");
    }
}
