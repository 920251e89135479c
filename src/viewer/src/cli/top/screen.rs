// SPDX-License-Identifier: BSD-2-Clause

//! The terminal, which is given back as it was however top ends.

use std::io::{self, stdout};
use std::mem::ManuallyDrop;
use std::panic;

use ratatui::Terminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use signal_hook::consts::SIGTSTP;

use super::backend::Bounded;
use super::model::Model;
use super::view::{Abilities, draw};

/// The terminal while top has it.
pub struct Screen {
    // Its drop prints on a terminal that may have hung up, and panics where that fails.
    terminal: ManuallyDrop<Terminal<Bounded>>,
    can: Abilities,
}

impl Screen {
    /// Takes the terminal; a panic gives it back before it says what went wrong.
    ///
    /// # Errors
    /// What the terminal said.
    pub fn take() -> io::Result<Self> {
        let says = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // The panic is what matters now.
            let _ = give_back();
            says(panic);
        }));
        // Colours are left out where they are chosen; crossterm would write a reset in their place.
        force_color_output(true);
        let terminal = ManuallyDrop::new(Terminal::new(Bounded::new())?);
        let screen = Self { terminal, can: Abilities::of_environment() };
        enter()?;
        Ok(screen)
    }

    /// Draws what changed.
    ///
    /// # Errors
    /// What the terminal said.
    pub fn draw(&mut self, model: &mut Model) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, model, self.can))?;
        Ok(())
    }

    /// Draws everything with the next [`Screen::draw`].
    ///
    /// # Errors
    /// What the terminal said.
    pub fn clear(&mut self) -> io::Result<()> {
        // Terminal::clear asks where the cursor is, and the answer goes to who reads the keys.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Stops the process and its group, as the terminal does at ^Z where a
    /// program leaves it to it, and takes the terminal again afterwards.
    ///
    /// # Errors
    /// What the terminal said.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back()?;
        stop()?;
        self.resume()
    }

    /// Takes the terminal after the process was stopped, whoever has changed it
    /// meanwhile.
    ///
    /// # Errors
    /// What the terminal said.
    pub fn resume(&mut self) -> io::Result<()> {
        disable_raw_mode()?;
        enter()?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that hung up cannot be given back.
        let _ = give_back();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen)
}

fn give_back() -> io::Result<()> {
    let left = execute!(stdout(), LeaveAlternateScreen, Show);
    disable_raw_mode()?;
    left
}

/// Has SIGTSTP do what it does to a program that does not catch it: stop the
/// process group, unless nobody could have it go on.
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
    use super::super::model::tests::model;
    use super::Screen;

    #[test]
    #[ignore = "it has a terminal to itself: tests/viewer/test_top.py"]
    fn a_panic_gives_the_terminal_back() {
        let mut screen = Screen::take().unwrap();
        screen.draw(&mut model(30, 12)).unwrap();
        panic!("on purpose");
    }
}
