// SPDX-License-Identifier: BSD-2-Clause

//! The bytes of a log: where they come from, decompressed, and of which format
//! they are.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tcpstats::csv;
use tcpstats::frame::MAGIC;
use tcpstats_source::without_numbers;

use super::compression::{Compression, MAGIC_LEN};
use super::lines::BOM;
use crate::units::{has_cursor, has_utf8};

/// What a log is written in, and its bytes, decompressed.
pub enum Content {
    Frames(Input),
    Csv(Input),
    Json(Input),
    Siftr(Input),
    #[cfg(feature = "convert")]
    Parquet(super::parquet::Counted),
}

/// Bytes to be read.
pub type Input = Box<dyn Read + Send>;

/// How far the reading is, told on a terminal to whom it takes long.
pub struct Progress {
    bar: ProgressBar,
}

/// What takes less is not worth a word.
const LONG: Duration = Duration::from_secs(2);

impl Progress {
    /// Over no bytes yet.
    pub fn new() -> Self {
        Self { bar: ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden()) }
    }

    /// Adds a file, which must be there.
    pub fn add(&self, path: &Path) -> Result<(), String> {
        if is_stdin(path) {
            self.bar.unset_length();
            return Ok(());
        }
        let metadata = File::open(path).and_then(|file| file.metadata()).map_err(|error| said(&error))?;
        if metadata.is_dir() {
            return Err("is a directory; expected a log".into());
        }
        if metadata.is_file() {
            self.bar.inc_length(metadata.len());
        } else {
            self.bar.unset_length();
        }
        Ok(())
    }

    /// Shows nothing from now on.
    pub fn quiet(&self) {
        self.bar.finish_and_clear();
    }

    /// Says something while nothing is shown.
    pub fn aside(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A reader whose bytes are progress.
struct Counted<R> {
    reader: R,
    bar: ProgressBar,
    began: Option<Instant>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        self.bar.inc(len as u64);
        if self.began.is_some_and(|began| began.elapsed() > LONG) {
            self.began = None;
            if !self.bar.is_finished() {
                show(&self.bar);
            }
        }
        Ok(len)
    }
}

/// Shows the bar from now on, where standard error is a terminal.
fn show(bar: &ProgressBar) {
    let template = match bar.length() {
        Some(_) => "{wide_bar} {percent:>3} %  {binary_bytes_per_sec}  {eta} left",
        None => "{spinner} {binary_bytes} read  {binary_bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        let is_ascii = !has_utf8();
        bar.set_style(if is_ascii { style.progress_chars("#> ").tick_chars("-\\|/ ") } else { style });
    }
    if has_cursor() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// How messages name a path.
pub fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".into() } else { path.display().to_string() }
}

/// What the system said.
pub fn said(error: &io::Error) -> String {
    without_numbers(&error.to_string())
}

/// Opens a log.
///
/// # Errors
/// What the system said, or that it is no log.
pub fn open(path: &Path, progress: &Progress) -> Result<Content, String> {
    let source: Input = if is_stdin(path) {
        // Unlocked it may be read in any thread.
        Box::new(File::from(stdin().as_fd().try_clone_to_owned().map_err(|error| said(&error))?))
    } else {
        Box::new(File::open(path).map_err(|error| said(&error))?)
    };
    let counted = Counted { reader: source, bar: progress.bar.clone(), began: Some(Instant::now()) };
    let (first, input) = peek(Box::new(counted), |first| first.len() >= MAGIC_LEN)?;
    if first.starts_with(PARQUET) {
        return parquet(path, progress);
    }
    let input = match Compression::of(&first) {
        Some(compression) => compression.decompress(input)?,
        None => input,
    };
    let (first, input) = peek(input, |first| first.len() >= BLANK_MAX || without_blank(first).len() >= PEEKED)?;
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
        return Err("text in UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8".into());
    }
    let first = without_blank(&first);
    let begins = |start: &[u8]| first.starts_with(start) || start.starts_with(first);
    match first.first() {
        None | Some(b'#') => Ok(Content::Csv(input)),
        Some(b'{') => Ok(Content::Json(input)),
        Some(_) if begins(&MAGIC.to_le_bytes()) || begins(&MAGIC.to_be_bytes()) => Ok(Content::Frames(input)),
        Some(_) if begins(csv::TIME_COLUMNS.as_bytes()) => Ok(Content::Csv(input)),
        Some(_) if [&b"enable_time_secs="[..], b"o,", b"i,"].into_iter().any(begins) => Ok(Content::Siftr(input)),
        Some(_) => Err("not a tcpstats log (expected csv, siftr, json, bin or Parquet)".into()),
    }
}

/// What is left of a text without the byte order mark and the blank lines
/// before it, which other programs may have put there.
fn without_blank(text: &[u8]) -> &[u8] {
    text.strip_prefix(BOM).unwrap_or(text).trim_ascii_start()
}

/// Blank bytes before the first line that are read at most.
const BLANK_MAX: usize = 4096;

/// How a Parquet file begins.
const PARQUET: &[u8] = b"PAR1";

/// Opens a Parquet file, which is read from its end.
#[cfg(feature = "convert")]
fn parquet(path: &Path, progress: &Progress) -> Result<Content, String> {
    if is_stdin(path) {
        return Err("a Parquet file cannot be read from a pipe; expected its name".into());
    }
    let file = File::open(path).map_err(|error| said(&error))?;
    Ok(Content::Parquet(super::parquet::Counted { file, bar: progress.bar.clone() }))
}

/// Says that it cannot be read.
#[cfg(not(feature = "convert"))]
fn parquet(_: &Path, _: &Progress) -> Result<Content, String> {
    Err("it is a Parquet file, and this tcpstats was built without the feature convert".into())
}

/// Enough to know a format by.
const PEEKED: usize = 32;

/// The first bytes, read until they are enough, and a reader that gives them
/// again.
fn peek(mut input: Input, is_enough: impl Fn(&[u8]) -> bool) -> Result<(Vec<u8>, Input), String> {
    let mut first = Vec::new();
    while !is_enough(&first) {
        // A pipe may stay open for long: no more is read than is needed.
        let wanted = (PEEKED - first.len() % PEEKED) as u64;
        if input.by_ref().take(wanted).read_to_end(&mut first).map_err(|error| said(&error))? == 0 {
            break;
        }
    }
    Ok((first.clone(), Box::new(io::Cursor::new(first).chain(input))))
}
