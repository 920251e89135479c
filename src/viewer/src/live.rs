// SPDX-License-Identifier: BSD-2-Clause

//! Live snapshots, and what a filter's text says.

use tcpstats::frame::Frame;
use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Filter, Header, Record};
use tcpstats_source::{Sample, Sentence, Source};

/// What is known of every connection at one instant.
pub struct Snapshot {
    /// When it was taken, and how much is in it.
    pub header: Header,
    /// The connections.
    pub records: Vec<Record>,
}

/// An open source.
pub struct Live {
    source: Box<dyn Source + Send>,
    buffer: SnapshotBuffer,
}

impl Live {
    /// Opens the source of that name, the system's own where there is none.
    ///
    /// # Errors
    /// A sentence that names the source and says what was expected.
    pub fn open(name: Option<&str>, filter: Option<Filter>) -> Result<Self, Sentence> {
        let source = tcpstats_source::open(name.unwrap_or(tcpstats_source::DEFAULT), filter)?;
        Ok(Self { source, buffer: SnapshotBuffer::new() })
    }

    /// The next snapshot; none at the end of a file.
    ///
    /// # Errors
    /// A sentence that names the source and what it said.
    pub fn sample(&mut self) -> Result<Option<Snapshot>, Sentence> {
        match self.source.sample(&mut self.buffer)? {
            Sample::End => Ok(None),
            Sample::Taken => {
                let frame = Frame::parse(self.buffer.bytes()).map_err(|error| error.to_string())?;
                Ok(Some(Snapshot { header: frame.header, records: frame.records().collect() }))
            }
        }
    }

    /// Whether a source that failed may give snapshots again, after
    /// [`Live::reopen`].
    #[cfg(feature = "top")]
    pub fn comes_back(&self) -> bool {
        self.source.comes_back()
    }

    /// Opens it again.
    ///
    /// # Errors
    /// A sentence; what was open stays so.
    #[cfg(feature = "top")]
    pub fn reopen(&mut self) -> Result<(), Sentence> {
        self.source.reopen()
    }
}

/// Reads a filter.
///
/// # Errors
/// A sentence, and below it the text with a caret where it is wrong.
pub fn filter(text: &str) -> Result<Filter, Sentence> {
    Filter::parse(text).map_err(|error| {
        let before = text.get(..error.position).unwrap_or(text).chars().count();
        let line: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        format!("filter, {error}\n  {line}\n  {:before$}^", "")
    })
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_wrong_filter_has_a_caret_under_the_place() {
        let sentence = filter("port 22 and\tsrtt > fast").unwrap_err();
        let lines: Vec<_> = sentence.lines().collect();
        assert_eq!(lines[1..], ["  port 22 and srtt > fast", "                     ^"]);
        assert!(lines[0].starts_with("filter, at position 20 (\"fast\"): expected a time"), "{sentence}");
    }

    #[test]
    fn a_filter_that_ends_too_early_has_the_caret_behind_it() {
        assert!(filter("not").unwrap_err().ends_with("\n  not\n     ^"));
        assert!(filter("host ü").unwrap_err().ends_with("\n  host ü\n       ^"));
    }
}
