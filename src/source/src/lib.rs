// SPDX-License-Identifier: BSD-2-Clause

//! Where snapshots come from: what the logger samples and the viewer shows
//! live.  Platforms differ behind this door only.

mod device;
mod error;
mod filter;
#[cfg(target_os = "linux")]
mod linux;
mod place;
pub mod system;

use std::ffi::OsStr;
use std::path::Path;

use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Field, Filter};

pub use crate::error::{Error, report};
pub use crate::filter::{FilterError, parse_filter};
pub use crate::place::{FileId, Place, Standing};

/// What went wrong, as one sentence for the user.
pub type Sentence = String;

/// The source where `-d` names none.
pub const DEFAULT: &str = if cfg!(target_os = "linux") { SOCK_DIAG } else { "/dev/tcpstats" };

/// The name of Linux's own source.
const SOCK_DIAG: &str = "sock_diag";

/// Whether there may be more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A snapshot was taken.
    Taken,
    /// The source has come to its end: a file of frames was read whole.
    End,
}

/// Something that snapshots can be taken of.
pub trait Source {
    /// Takes a snapshot of what the filter matches, whole with its header,
    /// into the buffer, whose memory is used again.
    ///
    /// # Errors
    /// What the source or the system returned.
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error>;

    /// Lets the source leave out the fields that are not wanted, where that
    /// saves work.  The filter's fields are to be wanted.
    fn want(&mut self, is_wanted: &dyn Fn(&Field) -> bool) {
        let _ = is_wanted;
    }

    /// Whether a source that failed may give snapshots again after
    /// [`Source::reopen`]: a kernel's does, a damaged file does not.
    fn comes_back(&self) -> bool;

    /// Opens it again.
    ///
    /// # Errors
    /// What the system returned; what was open stays open.
    fn reopen(&mut self) -> Result<(), Error>;

    /// The directory and file that it is opened again from, if it is.
    fn place(&self) -> Option<&Place>;

    /// The file that is read, `None` for a kernel.
    fn file(&self) -> Option<FileId> {
        None
    }
}

/// The name of the interface of this host that has that index.
#[must_use]
pub fn zone_name(zone: u32) -> Option<String> {
    nix::net::if_::if_indextoname(zone).ok()?.into_string().ok()
}

/// Opens the source of that name.
///
/// # Errors
/// What the system returned, or that the name is not one of a source.
pub fn open(name: impl AsRef<OsStr>, filter: Option<Filter>) -> Result<Box<dyn Source + Send>, Error> {
    let name = name.as_ref();
    if name != SOCK_DIAG {
        return Ok(Box::new(device::Device::open(Path::new(name), filter)?));
    }
    #[cfg(target_os = "linux")]
    return Ok(Box::new(linux::SockDiag::open(filter)?));
    #[cfg(not(target_os = "linux"))]
    Err(Error::LinuxOnly)
}

/// A text without the numbers that [`std::io::Error`] puts behind what the
/// system said.
#[must_use]
pub fn without_numbers(text: &str) -> String {
    const BEGIN: &str = " (os error ";
    let mut parts = text.split(BEGIN);
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => said.push_str(rest),
            _ => said.extend([BEGIN, part]),
        }
    }
    said
}
