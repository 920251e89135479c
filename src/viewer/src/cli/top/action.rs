// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The actions that keys trigger.

/// An action triggered by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Quit.
    Quit,
    /// Suspend the process until the shell resumes it.
    Suspend,
    /// Move down by this number of lines, or up if it is negative.
    Move(isize),
    /// Move down by this number of screens, or up if it is negative.
    Page(isize),
    /// Move to the first line.
    First,
    /// Move to the last line.
    Last,
    /// Sort by the column this number of columns to the right.
    SortBy(isize),
    /// Reverse the order.
    Reverse,
    /// Pause or resume updates.
    Pause,
    /// Hide or show connections that have ended.
    HideEnded,
    /// Show the selected connection, or return to the list.
    Detail,
    /// Show the keys.
    Help,
    /// Close what was opened last.
    Back,
    /// Edit the filter.
    Filter,
    /// Insert a character into the filter.
    Type(char),
    /// Delete the character before the cursor in the filter.
    Delete,
    /// Clear the filter.
    DeleteAll,
    /// Move the cursor in the filter.
    Cursor(isize),
    /// Apply the filter.
    Apply,
    /// Redraw the screen.
    Redraw,
}

/// What the owner of the terminal must do after an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Continue.
    Continue,
    /// Quit.
    Quit,
    /// Suspend the process.
    Suspend,
    /// Redraw the complete screen.
    Redraw,
}
