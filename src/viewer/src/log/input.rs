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
            return Err("it is a directory; expected a log".into());
        }
        if metadata.is_file() {
            self.bar.inc_length(metadata.len());
        } else {
            self.bar.unset_length();
        }
        Ok(())
    }

    /// Shows nothing from now on.
    #[cfg(feature = "top")]
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
        bar.set_style(style);
    }
    bar.set_draw_target(ProgressDrawTarget::stderr());
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
    let (first, input) = peek(Box::new(counted), 4)?;
    if first == PARQUET {
        return parquet(path, progress);
    }
    let (first, input) = peek(decompress(&first, input)?, PEEKED)?;
    let begins = |start: &[u8]| first.starts_with(start) || start.starts_with(&first);
    match first.first() {
        None | Some(b'#') => Ok(Content::Csv(input)),
        Some(b'{') => Ok(Content::Json(input)),
        Some(_) if begins(&MAGIC.to_le_bytes()) || begins(&MAGIC.to_be_bytes()) => Ok(Content::Frames(input)),
        Some(_) if begins(csv::TIME_COLUMNS.as_bytes()) => Ok(Content::Csv(input)),
        Some(_) if [&b"enable_time_secs="[..], b"o,", b"i,"].into_iter().any(begins) => Ok(Content::Siftr(input)),
        Some(_) => {
            Err("it is no log: expected one in csv, siftr, json or bin, as siftr_cdev_logger writes them".into())
        }
    }
}

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

/// The first bytes, and a reader that gives them again.
fn peek(mut input: Input, len: usize) -> Result<(Vec<u8>, Input), String> {
    let mut first = Vec::new();
    input.by_ref().take(len as u64).read_to_end(&mut first).map_err(|error| said(&error))?;
    Ok((first.clone(), Box::new(io::Cursor::new(first).chain(input))))
}

/// The first bytes of what newsyslog(8) compresses with.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const GZIP: &[u8] = b"\x1f\x8b";
const BZIP2: &[u8] = b"BZh";

/// What was compressed, if it is; also where it was in several parts.
#[cfg(feature = "compressed")]
fn decompress(first: &[u8], input: Input) -> Result<Input, String> {
    Ok(if first.starts_with(ZSTD) {
        Box::new(zstd::Decoder::new(input).map_err(|error| said(&error))?)
    } else if first.starts_with(GZIP) {
        Box::new(flate2::read::MultiGzDecoder::new(input))
    } else if first.starts_with(BZIP2) {
        Box::new(bzip2::read::MultiBzDecoder::new(input))
    } else {
        input
    })
}

/// Says that what is compressed cannot be read.
#[cfg(not(feature = "compressed"))]
fn decompress(first: &[u8], input: Input) -> Result<Input, String> {
    let known = [(ZSTD, "zstd -dc"), (GZIP, "gzip -dc"), (BZIP2, "bzip2 -dc")];
    match known.iter().find(|(magic, _)| first.starts_with(magic)) {
        Some((_, command)) => Err(format!(
            "it is compressed, and this tcpstats was built without the feature compressed; pipe it through {command}"
        )),
        None => Ok(input),
    }
}
