// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `Makefile.crates` and `distinfo`, from which the ports framework fetches the
//! crates of `Cargo.lock`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

pub const MAKEFILE: &str = "Makefile.crates";
pub const DISTINFO: &str = "distinfo";

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The texts of the two files.
pub struct Crates {
    pub makefile: String,
    pub distinfo: String,
}

/// Generates both files for the tree in the current directory.
///
/// # Errors
/// Returns an error if cargo cannot fetch the crates, or one of them is not from
/// crates.io.
pub fn generate() -> Result<Crates, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let fetched = Command::new(cargo).args(["fetch", "--locked", "--quiet"]).status();
    match fetched.map_err(|error| format!("cargo: {error}"))? {
        status if status.success() => {}
        status => return Err(format!("cargo fetch: {status}")),
    }
    let crates = locked(&crate::read(Path::new("Cargo.lock"))?)?;
    let caches = caches()?;
    let mut sums = String::new();
    for (name, checksum) in &crates {
        let file = format!("rust/crates/{name}.crate");
        _ = write!(sums, "SHA256 ({file}) = {checksum}\nSIZE ({file}) = {}\n", size(&caches, name)?);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let old = fs::read_to_string(DISTINFO).unwrap_or_default();
    Ok(Crates { makefile: makefile(&crates), distinfo: distinfo(&old, now, &sums) })
}

/// Returns the crates that `Cargo.lock` names, with their checksums.  Cargo
/// writes one key per line, and a crate's name, version, source and checksum in
/// this order.
pub fn locked(lock: &str) -> Result<BTreeMap<String, String>, String> {
    let mut crates = BTreeMap::new();
    for package in lock.split("[[package]]\n").skip(1) {
        let value = |key: &str| {
            let value =
                package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
            value.ok_or_else(|| format!("Cargo.lock: no {key} in the package\n{package}"))
        };
        let name = format!("{}-{}", value("name")?, value("version")?);
        match value("source") {
            Ok(REGISTRY) => crates.insert(name, value("checksum")?.to_owned()),
            Ok(source) => return Err(format!("Cargo.lock: {name}: source is {source}; expected {REGISTRY}")),
            Err(_) => None,
        };
    }
    Ok(crates)
}

/// Returns the directories where cargo keeps the files of crates, which it has
/// compared with the checksums of `Cargo.lock`.
fn caches() -> Result<Vec<PathBuf>, String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).ok_or("HOME is not set")?;
    let cache = home.join("registry/cache");
    let entries = fs::read_dir(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

fn size(caches: &[PathBuf], name: &str) -> Result<u64, String> {
    let found = caches.iter().find_map(|cache| fs::metadata(cache.join(format!("{name}.crate"))).ok());
    found.map(|file| file.len()).ok_or_else(|| format!("{name}.crate: not in cargo's cache after cargo fetch"))
}

fn makefile(crates: &BTreeMap<String, String>) -> String {
    let names: Vec<_> = crates.keys().map(String::as_str).collect();
    format!(
        "# SPDX-License-Identifier: BSD-2-Clause\n# Copyright (c) 2026 The siftr_cdev maintainers\n#\n# Generated from Cargo.lock by make crates; do not edit.\n\n\
         CARGO_CRATES=\t{}\n",
        names.join(" \\\n\t\t")
    )
}

/// Returns `distinfo` with the date of the old one if nothing else changed.
fn distinfo(old: &str, now: u64, sums: &str) -> String {
    match old.split_once('\n') {
        Some((_, rest)) if rest == sums => old.to_owned(),
        _ => format!("TIMESTAMP = {now}\n{sums}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n\
        source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"12\"\ndependencies = [\n \"a\",\n]\n\n\
        [[package]]\nname = \"ours\"\nversion = \"2.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\n\
        source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"34\"\n";

    #[test]
    fn crates_are_listed_by_name_and_the_workspace_is_not() {
        let crates = locked(LOCK).unwrap();
        assert!(
            crates.iter().eq([(&"a-0.1.0".to_owned(), &"34".to_owned()), (&"b-1.0.0".to_owned(), &"12".to_owned())])
        );
        assert!(makefile(&crates).ends_with("\n\nCARGO_CRATES=\ta-0.1.0 \\\n\t\tb-1.0.0\n"));
    }

    #[test]
    fn a_crate_that_is_not_from_crates_io_is_an_error() {
        let error = locked(&LOCK.replacen("registry+", "git+", 1)).unwrap_err();
        assert!(error.contains("b-1.0.0: source is git+https"), "{error}");
        assert!(locked(&LOCK.replace("checksum = \"34\"\n", "")).unwrap_err().contains("no checksum"));
    }

    #[test]
    fn the_date_changes_only_if_something_else_does() {
        assert_eq!(distinfo("TIMESTAMP = 1\nx\n", 2, "x\n"), "TIMESTAMP = 1\nx\n");
        assert_eq!(distinfo("TIMESTAMP = 1\nx\n", 2, "y\n"), "TIMESTAMP = 2\ny\n");
        assert_eq!(distinfo("", 2, ""), "TIMESTAMP = 2\n");
    }
}
