// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What a Parquet file contains besides its rows.

/// The start of the name of the writer in the metadata.
pub const CREATED_BY: &str = "tcpstats version ";

/// The first bytes of a chunk of notes.
pub const MAGIC: &[u8] = b"TCPSNOTE";

/// The key of the metadata that contains `offset:length` of each chunk of notes.
pub const CHUNKS_KEY: &str = "tcpstats.notes.chunks";

/// The key of the metadata that repeats the notes, without those of snapshots
/// and connections, for programs that read only the metadata.
pub const NOTES_KEY: &str = "tcpstats.notes";

/// The key of the metadata that contains the number of notes that are missing in
/// [`NOTES_KEY`] because it would be too long.
pub const OMITTED_KEY: &str = "tcpstats.notes.omitted";

/// Number of bytes of notes that are compressed together.
pub const CHUNK: usize = 1024 * 1024;

/// Maximum length of a chunk: its last note may be long.
pub const CHUNK_MAX: usize = 16 * CHUNK;
