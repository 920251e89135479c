// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The formats of logs.  To add one, write its module and add it to
//! [`FORMATS`].

mod api;
mod bin;
mod continuation;
mod csv;
mod json;
mod pairs;
mod parquet;
mod siftr;
mod text;

pub use self::api::{Encoder, EncoderOptions, Format, compared};
pub use self::continuation::{Content, Expected};
pub use self::pairs::Pairs;

/// All formats.  The first one is the default.
pub static FORMATS: [&dyn Format; 5] =
    [&self::csv::Csv, &self::json::Json, &self::siftr::Siftr, &self::bin::Bin, &self::parquet::Parquet];

/// Returns the format with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Format> {
    FORMATS.into_iter().find(|format| format.name() == name)
}

/// Returns the format of files with this extension.
#[must_use]
pub fn by_extension(extension: &str) -> Option<&'static dyn Format> {
    FORMATS.into_iter().find(|format| format.extensions().contains(&extension))
}

/// Returns the format of a log that starts with these bytes.
pub(crate) fn by_first_bytes(first: &[u8]) -> Option<&'static dyn Format> {
    FORMATS.into_iter().find(|format| format.starts_like(first))
}

/// Returns the names of the selected formats as in a sentence: with commas, and
/// with `last` before the last one.
#[must_use]
pub fn names(last: &str, select: impl Fn(&'static dyn Format) -> bool) -> String {
    let names = FORMATS.into_iter().filter(|format| select(*format)).map(|format| format.name().to_owned());
    list(last, &names.collect::<Vec<_>>())
}

/// Returns the usual extensions of all formats as in a sentence.
#[must_use]
pub fn extensions(last: &str) -> String {
    let usual = FORMATS.into_iter().filter_map(|format| format.extensions().first());
    list(last, &usual.map(|extension| format!(".{extension}")).collect::<Vec<_>>())
}

fn list(last: &str, names: &[String]) -> String {
    match names.split_last() {
        Some((name, [])) => name.clone(),
        Some((name, others)) => format!("{}{last}{name}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_extensions_are_unique() {
        let mut names: Vec<_> = FORMATS.into_iter().map(Format::name).collect();
        let mut extensions: Vec<_> = FORMATS.into_iter().flat_map(Format::extensions).collect();
        let (all_names, all_extensions) = (names.len(), extensions.len());
        names.sort_unstable();
        names.dedup();
        extensions.sort_unstable();
        extensions.dedup();
        assert_eq!((names.len(), extensions.len()), (all_names, all_extensions));
        assert!(FORMATS.into_iter().all(|format| by_name(format.name()).is_some()));
    }

    #[test]
    fn a_list_of_formats_is_part_of_a_sentence() {
        assert_eq!(super::names(" or ", Format::is_appendable), "csv, json, siftr or bin");
        assert_eq!(super::names(" and ", Format::has_columns), "csv and json");
        assert_eq!(super::extensions(" or "), ".csv, .json, .siftr, .bin or .parquet");
    }

    #[test]
    fn a_format_is_detected_by_its_first_bytes() {
        let detected = |first: &[u8]| by_first_bytes(first).map(Format::name);
        assert_eq!(detected(b""), Some("csv"), "an empty log");
        assert_eq!(detected(b"# log version"), Some("csv"));
        assert_eq!(detected(b"tim"), Some("csv"), "a truncated header row");
        assert_eq!(detected(b"{\"note\""), Some("json"));
        assert_eq!(detected(b"o,1"), Some("siftr"));
        assert_eq!(detected(b"TCPS\x02"), Some("bin"));
        assert_eq!(detected(b"PAR1"), Some("parquet"));
        assert_eq!(detected(b"root:x:0"), None);
    }
}
