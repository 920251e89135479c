// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The scripts of a package, which do what the keywords in the packing list do in
//! the ports framework.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::plist::Entry;

/// Returns a text as the manifest contains it: percent signs and everything that is
/// not ASCII are encoded, because pkg(8) decodes them.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | 0x80.. => _ = write!(out, "%{byte:02x}"),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// Returns the manifest's `scripts`: `pre_install`, and the index of the modules
/// that the kernel loads by name, which is updated in each of their directories.
pub fn shell(plist: &[Entry], pre_install: Option<&str>) -> Map<String, Value> {
    let mut scripts = Map::new();
    if let Some(script) = pre_install {
        scripts.insert("pre-install".into(), json!(encoded(script.trim_end())));
    }
    let index: Vec<_> = plist
        .iter()
        .filter_map(|entry| match entry {
            Entry::Modules(directory) => Some(format!("/usr/sbin/kldxref \"${{PKG_ROOTDIR}}{directory}\"")),
            _ => None,
        })
        .collect();
    if !index.is_empty() {
        for when in ["post-install", "post-deinstall"] {
            scripts.insert(when.into(), json!(encoded(&index.join("\n"))));
        }
    }
    scripts
}

/// Returns the manifest's `lua_scripts`: a sample is copied to the file that users
/// edit, unless that exists, and a copy that is unchanged is removed with it.  An
/// upgrade removes it with the old package and copies the new one.
pub fn lua(plist: &[Entry]) -> Map<String, Value> {
    let samples: Vec<_> = plist
        .iter()
        .filter_map(|entry| match entry {
            Entry::Sample(sample) => Some(format!(
                "local sample = pkg.prefixed_path(\"{sample}\")\nlocal target = pkg.prefixed_path(\"{}\")\n",
                sample.trim_end_matches(".sample")
            )),
            _ => None,
        })
        .collect();
    let all = |script: &str| json!(samples.iter().map(|names| format!("{names}{script}")).collect::<Vec<_>>());
    let mut scripts = Map::new();
    if !samples.is_empty() {
        scripts.insert("post-install".into(), all("if not pkg.stat(target) then pkg.copy(sample, target) end"));
        scripts.insert(
            "pre-deinstall".into(),
            all("if pkg.filecmp(sample, target) == 0 then\n  os.remove(target)\n\
                 elseif pkg.stat(target) and not pkg_upgrade then\n  \
                 pkg.print_msg(target .. \" has changed; remove it if it is no longer needed\")\nend"),
        );
    }
    scripts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_and_other_alphabets_are_encoded() {
        assert_eq!(encoded("${x%/} é\n"), "${x%25/} %c3%a9\n");
    }

    #[test]
    fn a_package_without_keywords_has_no_scripts() {
        let plist = [Entry::File("bin/x".into())];
        assert!(shell(&plist, None).is_empty() && lua(&plist).is_empty());
    }
}
