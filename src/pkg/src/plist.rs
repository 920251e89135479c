// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A package's packing list, as the ports framework writes it: each line is a
//! file, or a keyword with its argument.

/// A line of a packing list.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A file, relative to the prefix unless it starts with a slash.
    File(String),
    /// `@sample FILE.sample`: a file that is copied to FILE, unless that exists.
    Sample(String),
    /// `@kld DIRECTORY`: a directory of kernel modules.
    Modules(String),
}

impl Entry {
    /// Returns the file that the line names.
    pub fn file(&self) -> Option<&str> {
        match self {
            Entry::File(path) | Entry::Sample(path) => Some(path),
            Entry::Modules(_) => None,
        }
    }
}

/// Parses a packing list whose variables have already been replaced.
///
/// # Errors
/// Returns an error if a line has an unknown keyword or variable.
pub fn parse(text: &str) -> Result<Vec<Entry>, String> {
    text.lines().map(entry).collect()
}

fn entry(line: &str) -> Result<Entry, String> {
    if line.contains("%%") {
        return Err(format!("{line}: the variable has no value"));
    }
    match line.split_once(' ') {
        Some(("@sample", path)) if path.ends_with(".sample") && !path.contains(' ') => Ok(Entry::Sample(path.into())),
        Some(("@kld", directory)) if directory.starts_with('/') => Ok(Entry::Modules(directory.into())),
        None if !line.starts_with('@') && !line.is_empty() => Ok(Entry::File(line.into())),
        _ => Err(format!("{line}: expected a file, @sample FILE.sample or @kld /DIRECTORY")),
    }
}

/// Returns the absolute name of a file of a packing list.
pub fn absolute(prefix: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{prefix}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_file_or_one_of_two_keywords() {
        let text = "bin/x\n/boot/modules/x.ko\n@sample etc/x.conf.sample\n@kld /boot/modules\n";
        let expected = [
            Entry::File("bin/x".into()),
            Entry::File("/boot/modules/x.ko".into()),
            Entry::Sample("etc/x.conf.sample".into()),
            Entry::Modules("/boot/modules".into()),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn other_lines_are_errors_that_quote_the_line() {
        for line in ["@dir x", "@sample x.conf", "@sample a.sample b", "@kld boot", "%%DOCSDIR%%/x", "", "@comment"] {
            let error = parse(&format!("bin/x\n{line}\n")).unwrap_err();
            assert!(error.starts_with(&format!("{line}: ")), "{error}");
        }
    }
}
