// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Removal of the temporary file when a signal ends the program.

use std::fs::remove_file;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The signals that end a program that does not handle them.
const ENDING: [i32; 8] = [SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU];

/// The temporary file that is being written.
static TEMPORARY: Mutex<Option<PathBuf>> = Mutex::new(None);

fn temporary() -> MutexGuard<'static, Option<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates the temporary file at this path.  From now on a signal removes it.
///
/// # Errors
/// Returns the error of `create`, or an error if a thread or signal handler cannot
/// be created.
pub fn create<T>(path: &Path, create: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    static CATCH: Once = Once::new();
    let mut caught = Ok(());
    CATCH.call_once(|| caught = catch());
    caught?;
    let mut temporary = temporary();
    let created = create()?;
    *temporary = Some(path.to_path_buf());
    Ok(created)
}

/// Renames the temporary file with `rename`.  A signal does not interrupt this.
///
/// # Errors
/// Returns the error of `rename`; the temporary file still exists then.
pub fn keep(rename: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut temporary = temporary();
    if let Some(path) = temporary.as_deref() {
        rename(path)?;
        *temporary = None;
    }
    Ok(())
}

/// Removes the temporary file if there is one.
pub fn discard() {
    if let Some(path) = temporary().take() {
        // Someone else may have removed it already.
        let _ = remove_file(path);
    }
}

/// Handles the signals that end a program, except those that were ignored when
/// it was started, for example by nohup(1).
fn catch() -> io::Result<()> {
    // With a handler, exceeding the file size limit is reported as EFBIG.
    signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let mut signals = Signals::new(ENDING.into_iter().filter(|signal| !is_ignored(*signal)))?;
    let run = move || {
        for signal in signals.forever() {
            discard();
            // No temporary file may be created until the process has ended.
            let _temporary = temporary();
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(run)?;
    Ok(())
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros are a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes the current action to a sigaction that outlives it.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}
