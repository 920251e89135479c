// SPDX-License-Identifier: BSD-2-Clause

//! The bytes of a log: where they come from, decompressed, and of which format
//! they are.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tcpstats::csv;
use tcpstats::frame::MAGIC;
use tcpstats_source::Sentence;

/// What a log is written in.
pub enum Format {
    Frames,
    Csv,
    Json,
    Siftr,
}

/// Bytes to be read.
pub type Input = Box<dyn Read>;

/// How far the reading is, told on a terminal to whom it takes long.
pub struct Progress {
    bar: ProgressBar,
}

/// What takes less is not worth a word.
const LONG: Duration = Duration::from_secs(2);

impl Progress {
    /// Over the bytes of those files, each of which must be there.
    pub fn over(paths: &[PathBuf]) -> Result<Self, Sentence> {
        let mut total = Some(0);
        for path in paths {
            let len = if is_stdin(path) {
                None
            } else {
                let said = |error: io::Error| format!("{}: {}", name(path), said(&error));
                let metadata = File::open(path).and_then(|file| file.metadata()).map_err(said)?;
                if metadata.is_dir() {
                    return Err(format!("{}: it is a directory; expected a log", name(path)));
                }
                metadata.is_file().then_some(metadata.len())
            };
            total = total.zip(len).map(|(total, len)| total + len);
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => "{wide_bar} {percent:>3} %  {binary_bytes_per_sec}  {eta} left",
            None => "{spinner} {binary_bytes} read  {binary_bytes_per_sec}",
        };
        Ok(Self { bar: bar.with_style(ProgressStyle::with_template(template).map_err(|error| error.to_string())?) })
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
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        Ok(len)
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// How messages name a path.
pub fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".into() } else { path.display().to_string() }
}

/// What the system said, without the number that [`io::Error`] adds.
pub fn said(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((said, _)) => said.to_owned(),
        None => text,
    }
}

/// Opens a log: its bytes, decompressed, and their format.
///
/// # Errors
/// What the system said, or that it is no log.
pub fn open(path: &Path, progress: &Progress) -> Result<(Format, Input), String> {
    let source: Input = if is_stdin(path) {
        Box::new(stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|error| said(&error))?)
    };
    let counted = Counted { reader: source, bar: progress.bar.clone(), began: Some(Instant::now()) };
    let (first, input) = peek(Box::new(counted), 4)?;
    let (first, input) = peek(decompress(&first, input)?, PEEKED)?;
    let magic = MAGIC.to_le_bytes();
    let reversed = MAGIC.to_be_bytes();
    let begins = |start: &[u8]| first.starts_with(start) || start.starts_with(&first);
    let format = match first.first() {
        None | Some(b'#') => Format::Csv,
        _ if begins(&magic) || begins(&reversed) => Format::Frames,
        Some(b'{') => Format::Json,
        _ if begins(b"enable_time_secs=") || first.starts_with(b"o,") || first.starts_with(b"i,") => Format::Siftr,
        _ if begins(csv::TIME_COLUMNS.as_bytes()) => Format::Csv,
        Some(_) => {
            return Err(
                "it is no log: expected one of csv, siftr, json or bin, as siftr_cdev_logger writes them".into()
            );
        }
    };
    Ok((format, input))
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
