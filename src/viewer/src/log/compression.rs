// SPDX-License-Identifier: BSD-2-Clause

//! Compressed logs: whatever newsyslog(8) writes, and what others write in the
//! same formats, in several parts, with padding or with skippable frames.

use super::input::Input;

/// Bytes that tell whether and how a log is compressed.
pub const MAGIC_LEN: usize = 6;

/// How a log is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Bzip2,
    Zstd,
    Xz,
}

impl Compression {
    /// What those first bytes say; `None` if it is not compressed.
    pub fn of(first: &[u8]) -> Option<Self> {
        match first {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', ..] => Some(Self::Bzip2),
            // A frame, or one that is skippable, as pzstd(1) puts before every frame.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// The bytes decompressed.
    ///
    /// # Errors
    /// That they cannot be.
    #[cfg(feature = "compressed")]
    pub fn decompress(self, input: Input) -> Result<Input, String> {
        use std::io::BufReader;

        let (name, reader): (_, Input) = match self {
            Self::Gzip => ("gzip", Box::new(parts::Parts::<parts::Gzip>::new(BufReader::new(input)))),
            Self::Bzip2 => ("bzip2", Box::new(parts::Parts::<parts::Bzip2>::new(BufReader::new(input)))),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(input).map_err(|error| super::said(&error))?;
                // What zstd --long=31 writes; only frames that need it take the memory.
                decoder.window_log_max(31).map_err(|error| super::said(&error))?;
                ("zstd", Box::new(decoder))
            }
            Self::Xz => ("xz", Box::new(lzma_rust2::XzReader::new(BufReader::new(input), true))),
        };
        Ok(Box::new(parts::Named { reader, name }))
    }

    /// Says that they cannot be decompressed.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "compressed"))]
    pub fn decompress(self, _: Input) -> Result<Input, String> {
        let command = match self {
            Self::Gzip => "gzip -dc",
            Self::Bzip2 => "bzip2 -dc",
            Self::Zstd => "zstd -dc",
            Self::Xz => "xz -dc",
        };
        Err(format!(
            "it is compressed, and this tcpstats was built without the feature compressed; pipe it through {command}"
        ))
    }
}

#[cfg(feature = "compressed")]
mod parts {
    use std::io::{self, BufRead, BufReader, ErrorKind, Read};

    use super::super::input::Input;

    type Source = BufReader<Input>;

    /// A decoder whose errors say what is damaged.
    pub struct Named {
        pub reader: Input,
        pub name: &'static str,
    }

    impl Read for Named {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.reader.read(buffer).map_err(|error| {
                // The system's own errors have a number.
                let name = self.name;
                let what = match error.kind() {
                    _ if error.raw_os_error().is_some() => return error,
                    ErrorKind::Interrupted => return error,
                    ErrorKind::UnexpectedEof => format!("the {name} data is truncated"),
                    _ => format!("the {name} data is damaged: {error}"),
                };
                io::Error::new(ErrorKind::InvalidData, what)
            })
        }
    }

    /// A decoder of one part.
    pub trait Part: Read {
        /// What the format is called.
        const NAME: &str;
        /// The byte that every part begins with.
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

    /// Parts one after the other, zeros between them and after the last one
    /// ignored, as gzip(1) does with what a tape or a block device padded.
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

    /// The part that follows; `None` at the end.
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
                    let what = format!("bytes that are not {} follow the compressed log", P::NAME);
                    return Err(io::Error::new(ErrorKind::InvalidData, what));
                }
            }
        }
    }
}
