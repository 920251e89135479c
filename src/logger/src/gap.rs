// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots that were taken but are missing from the log.

use tcpstats_log::{GapNote, Note};

/// A gap in the log.  Its snapshots may be separated by others that were logged.
#[derive(Debug, PartialEq, Eq)]
pub struct Gap {
    /// Number of lost snapshots.
    pub snapshots: u64,
    /// Number of lost records.
    pub records: u64,
    /// Number of connections whose final record is lost, `None` if the source has no ledger.
    pub ended: Option<u64>,
    /// Sequence number of the first lost snapshot.
    pub first: u64,
    /// Sequence number of the last lost snapshot.
    pub last: u64,
    /// The reason.
    pub why: String,
}

impl Gap {
    /// Extends the gap by another, and keeps the reason of the first.
    pub fn widen(gap: &mut Option<Self>, by: Self) {
        match gap {
            None => *gap = Some(by),
            Some(gap) => {
                gap.snapshots += by.snapshots;
                gap.records += by.records;
                if let Some(ended) = by.ended {
                    gap.ended = Some(gap.ended.unwrap_or(0) + ended);
                }
                gap.last = by.last;
            }
        }
    }

    /// Returns the note about the gap.
    pub fn note(&self) -> Note<'_> {
        Note::Gap(GapNote {
            snapshots: Some(self.snapshots),
            records: Some(self.records),
            ended: self.ended,
            first: Some(self.first),
            last: Some(self.last),
            why: Some(&self.why),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_widens_and_keeps_its_reason() {
        let one = |sequence, why: &str| Gap {
            snapshots: 1,
            records: 10,
            ended: Some(4),
            first: sequence,
            last: sequence,
            why: why.into(),
        };
        let mut gap = None;
        Gap::widen(&mut gap, one(3, "full"));
        Gap::widen(&mut gap, one(5, "still full"));
        assert_eq!(gap, Some(Gap { snapshots: 2, records: 20, ended: Some(8), first: 3, last: 5, why: "full".into() }));
    }
}
