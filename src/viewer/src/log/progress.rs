// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The progress of reading, shown on a terminal if it takes a long time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tcpstats_log::Progress;

use crate::units::{has_cursor, has_utf8};

/// Time after which the bar appears.
const LONG: Duration = Duration::from_secs(2);

/// A bar that appears if reading takes a long time.
pub struct Bar {
    progress: ProgressBar,
    start: OnceLock<Instant>,
    is_shown: AtomicBool,
}

impl Bar {
    /// Creates a bar for no bytes yet.
    pub fn new() -> Self {
        let progress = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        Self { progress, start: OnceLock::new(), is_shown: AtomicBool::new(false) }
    }

    /// Removes the bar for good.
    pub fn finish(&self) {
        self.progress.finish_and_clear();
    }

    /// Prints something while the bar is hidden.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.progress.suspend(print);
    }

    /// Shows the bar if standard error is a terminal.
    fn show(&self) {
        let template = match self.progress.length() {
            Some(_) => "{wide_bar} {percent:>3} %  {binary_bytes_per_sec}  {eta} left",
            None => "{spinner} {binary_bytes} read  {binary_bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let is_ascii = !has_utf8();
            self.progress.set_style(if is_ascii { style.progress_chars("#> ").tick_chars("-\\|/ ") } else { style });
        }
        if has_cursor() {
            self.progress.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Progress for Bar {
    fn add(&self, len: Option<u64>) {
        match len {
            Some(len) => self.progress.inc_length(len),
            None => self.progress.unset_length(),
        }
    }

    fn advance(&self, bytes: u64) {
        self.progress.inc(bytes);
        let start = self.start.get_or_init(Instant::now);
        if !self.is_shown.load(Ordering::Relaxed) && start.elapsed() > LONG {
            self.is_shown.store(true, Ordering::Relaxed);
            if !self.progress.is_finished() {
                self.show();
            }
        }
    }
}
