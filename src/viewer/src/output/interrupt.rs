// SPDX-License-Identifier: BSD-2-Clause

//! What a signal must not leave behind: the temporary file.

use std::fs::remove_file;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The signals that end a program which does not handle them.
const ENDING: [i32; 8] = [SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU];

/// The temporary file that is being written.
static TEMPORARY: Mutex<Option<PathBuf>> = Mutex::new(None);

fn temporary() -> MutexGuard<'static, Option<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates the temporary file at that path, which a signal removes from now on.
///
/// # Errors
/// As `create`, or no thread or signal handler can be had.
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

/// Moves the temporary file to its place with `rename`.  No signal comes between.
///
/// # Errors
/// As `rename`; the temporary file is still there.
pub fn keep(rename: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut temporary = temporary();
    if let Some(path) = temporary.as_deref() {
        rename(path)?;
        *temporary = None;
    }
    Ok(())
}

/// Removes the temporary file, if there is one.
pub fn discard() {
    if let Some(path) = temporary().take() {
        // Whoever removed it before did what was wanted.
        let _ = remove_file(path);
    }
}

/// Handles the signals that end a program, unless it was started with them
/// ignored, as by nohup(1).
fn catch() -> io::Result<()> {
    // A file that grows beyond its limit is EFBIG then, and not a core dump.
    signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let mut signals = Signals::new(ENDING.into_iter().filter(|signal| !is_ignored(*signal)))?;
    let run = move || {
        for signal in signals.forever() {
            discard();
            // It ends the process; whoever asks for a temporary file now has to wait.
            let _temporary = temporary();
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(run)?;
    Ok(())
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros are a valid sigaction, which the call fills in.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: it only reads the action of the signal into one that outlives the call.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
