// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Compressed logs, in the formats that newsyslog(8) writes, including what other
//! programs write: several parts, padding and skippable frames.

use super::source::Input;
use crate::error::Problem;

/// Number of bytes that show whether and how a log is compressed.
pub const MAGIC_LEN: usize = 6;

/// The compression of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Bzip2,
    Zstd,
    Xz,
}

impl Compression {
    /// Returns the compression of a file that starts with these bytes; `None` if it
    /// is not compressed.
    pub fn of(first: &[u8]) -> Option<Self> {
        match first {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', ..] => Some(Self::Bzip2),
            // A frame, or a skippable frame, which pzstd(1) writes before every frame.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// Returns the input decompressed.
    ///
    /// # Errors
    /// Returns an error if there is no memory for it.
    #[cfg(feature = "compressed")]
    pub fn decompress(self, input: Input) -> Result<Input, Problem> {
        use std::io::BufReader;

        let (name, reader): (_, Input) = match self {
            Self::Gzip => ("gzip", Box::new(parts::Parts::<parts::Gzip>::new(BufReader::new(input)))),
            Self::Bzip2 => ("bzip2", Box::new(parts::Parts::<parts::Bzip2>::new(BufReader::new(input)))),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(input).map_err(Problem::Read)?;
                // zstd --long=31 writes this; only frames that need the memory use it.
                decoder.window_log_max(31).map_err(Problem::Read)?;
                ("zstd", Box::new(decoder))
            }
            Self::Xz => ("xz", Box::new(lzma_rust2::XzReader::new(BufReader::new(input), true))),
        };
        Ok(Box::new(parts::Named { reader, name }))
    }

    /// Returns the error that the input cannot be decompressed.
    ///
    /// # Errors
    /// Always returns this error.
    #[cfg(not(feature = "compressed"))]
    pub fn decompress(self, _: Input) -> Result<Input, Problem> {
        let command = match self {
            Self::Gzip => "gzip -dc",
            Self::Bzip2 => "bzip2 -dc",
            Self::Zstd => "zstd -dc",
            Self::Xz => "xz -dc",
        };
        Err(Problem::Compressed(command))
    }
}

#[cfg(feature = "compressed")]
mod parts {
    use std::io::{self, BufRead, BufReader, ErrorKind, Read};

    use super::super::source::Input;

    type Source = BufReader<Input>;

    /// Why data cannot be decompressed.
    #[derive(Debug, thiserror::Error)]
    enum DecompressError {
        #[error("the {0} data is truncated")]
        Truncated(&'static str),
        #[error("the {0} data is damaged")]
        Damaged(&'static str, #[source] io::Error),
        #[error("bytes that are not {0} follow the compressed log")]
        Trailing(&'static str),
    }

    /// A decoder whose errors name the compression.
    pub struct Named {
        pub reader: Input,
        pub name: &'static str,
    }

    impl Read for Named {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.reader.read(buffer).map_err(|error| {
                // Errors of the system have a number.
                let name = self.name;
                let what = match error.kind() {
                    _ if error.raw_os_error().is_some() => return error,
                    ErrorKind::Interrupted => return error,
                    ErrorKind::UnexpectedEof => DecompressError::Truncated(name),
                    _ => DecompressError::Damaged(name, error),
                };
                io::Error::new(ErrorKind::InvalidData, what)
            })
        }
    }

    /// A decoder of one part of a file.
    pub trait Part: Read {
        /// The name of the format.
        const NAME: &str;
        /// The first byte of every part.
        const FIRST: u8;
        fn new(source: Source) -> Self;
        fn into_source(self) -> Source;
    }

    pub type Gzip = flate2::bufread::GzDecoder<Source>;
    pub type Bzip2 = bzip2::bufread::BzDecoder<Source>;

    impl Part for Gzip {
        const NAME: &str = "gzip";
        const FIRST: u8 = 0x1f;

        fn new(source: Source) -> Self {
            Self::new(source)
        }

        fn into_source(self) -> Source {
            self.into_inner()
        }
    }

    impl Part for Bzip2 {
        const NAME: &str = "bzip2";
        const FIRST: u8 = b'B';

        fn new(source: Source) -> Self {
            Self::new(source)
        }

        fn into_source(self) -> Source {
            self.into_inner()
        }
    }

    /// Parts in sequence.  Zeros between them and after the last one are ignored,
    /// as gzip(1) does for the padding of a tape or a block device.
    pub struct Parts<P> {
        part: Option<P>,
    }

    impl<P: Part> Parts<P> {
        pub fn new(source: Source) -> Self {
            Self { part: Some(P::new(source)) }
        }
    }

    impl<P: Part> Read for Parts<P> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            while let Some(part) = &mut self.part {
                let len = part.read(buffer)?;
                if len > 0 || buffer.is_empty() {
                    return Ok(len);
                }
                let source = self.part.take().map(P::into_source);
                self.part = source.map(next).transpose()?.flatten();
            }
            Ok(0)
        }
    }

    /// Returns the next part; `None` at the end.
    fn next<P: Part>(mut source: Source) -> io::Result<Option<P>> {
        loop {
            let bytes = source.fill_buf()?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            match bytes.get(zeros) {
                None if bytes.is_empty() => return Ok(None),
                None => source.consume(zeros),
                Some(first) if *first == P::FIRST => {
                    source.consume(zeros);
                    return Ok(Some(P::new(source)));
                }
                Some(_) => {
                    return Err(io::Error::new(ErrorKind::InvalidData, DecompressError::Trailing(P::NAME)));
                }
            }
        }
    }
}
