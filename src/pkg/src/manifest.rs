// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A package's manifest, in JSON, which is UCL too.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::archive::Member;
use crate::plist::Entry;
use crate::scripts;

/// The fields of a description that a manifest contains unchanged.
const COPIED: [&str; 9] = ["name", "version", "origin", "comment", "maintainer", "www", "abi", "arch", "prefix"];
/// The others: lists of words.  Those of `deps` are NAME:ORIGIN:VERSION, those of
/// `options` NAME:STATE, those of `annotations` NAME:VALUE.
const LISTS: [&str; 5] = ["categories", "licenses", "deps", "options", "annotations"];

/// A description of a package.
pub struct Description {
    /// The values of all fields.
    pub fields: BTreeMap<String, String>,
    /// The description that users read.
    pub text: String,
    /// Messages that pkg(8) prints when it installs, upgrades or removes the package.
    pub messages: Vec<Value>,
    /// A script that can refuse the installation.
    pub pre_install: Option<String>,
}

/// Parses arguments KEY=VALUE.
///
/// # Errors
/// Returns an error if a field is missing, unknown or malformed.
pub fn fields(arguments: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut fields = BTreeMap::new();
    for argument in arguments {
        let (key, value) = argument.split_once('=').ok_or_else(|| format!("{argument}: expected KEY=VALUE"))?;
        if !COPIED.contains(&key) && !LISTS.contains(&key) {
            return Err(format!("{key}: unknown field; expected one of {} {}", COPIED.join(" "), LISTS.join(" ")));
        }
        fields.insert(key.to_owned(), value.to_owned());
    }
    for key in COPIED {
        if fields.get(key).is_none_or(String::is_empty) {
            return Err(format!("{key}: the field has no value"));
        }
    }
    for (key, colons) in [("deps", 2), ("options", 1), ("annotations", 1)] {
        for word in words(&fields, key) {
            if word.matches(':').count() != colons {
                return Err(format!("{key}: {word}: expected {} parts, separated by colons", colons + 1));
            }
        }
    }
    Ok(fields)
}

fn words<'a>(fields: &'a BTreeMap<String, String>, key: &str) -> impl Iterator<Item = &'a str> {
    fields.get(key).map(String::as_str).unwrap_or_default().split_whitespace()
}

/// Returns an object of the words, each of which is NAME:VALUE.
fn object(fields: &BTreeMap<String, String>, key: &str) -> Map<String, Value> {
    words(fields, key)
        .filter_map(|word| word.split_once(':'))
        .map(|(name, value)| (name.into(), json!(value)))
        .collect()
}

/// Returns the compact manifest, which does not list files.
pub fn compact(description: &Description, files: &[Member]) -> Value {
    let fields = &description.fields;
    let mut manifest: Map<_, _> = COPIED.iter().map(|key| ((*key).to_owned(), json!(fields[*key]))).collect();
    for key in ["categories", "licenses"] {
        manifest.insert(key.into(), words(fields, key).collect::<Vec<_>>().into());
    }
    for key in ["options", "annotations"] {
        manifest.insert(key.into(), object(fields, key).into());
    }
    let deps: Map<_, _> = words(fields, "deps")
        .filter_map(|word| {
            let [name, origin, version] = word.splitn(3, ':').collect::<Vec<_>>().try_into().ok()?;
            Some((name.to_owned(), json!({ "origin": origin, "version": version })))
        })
        .collect();
    let flatsize: usize = files.iter().map(|file| file.content.len()).sum();
    manifest.insert("deps".into(), deps.into());
    manifest.insert("licenselogic".into(), "single".into());
    manifest.insert("flatsize".into(), flatsize.into());
    manifest.insert("desc".into(), scripts::encoded(description.text.trim_end()).into());
    manifest.insert("messages".into(), description.messages.clone().into());
    manifest.retain(|_, value| *value != json!({}) && *value != json!([]));
    manifest.into()
}

/// Returns the complete manifest: the compact one, files and scripts.
pub fn complete(description: &Description, compact: &Value, plist: &[Entry], files: &[Member]) -> Value {
    let mut manifest = compact.as_object().cloned().unwrap_or_default();
    let listed: Map<_, _> = files.iter().map(|file| (scripts::encoded(&file.name), attributes(file))).collect();
    manifest.insert("files".into(), listed.into());
    manifest.insert("scripts".into(), scripts::shell(plist, description.pre_install.as_deref()).into());
    manifest.insert("lua_scripts".into(), scripts::lua(plist).into());
    manifest.retain(|_, value| *value != json!({}));
    manifest.into()
}

/// Returns what the manifest contains about a file.  A sum starts with the number of its
/// type: 1 is SHA-256 in hexadecimal digits.
fn attributes(file: &Member) -> Value {
    json!({
        "sum": format!("1${}", crate::sign::sha256(&file.content)),
        "uname": "root",
        "gname": "wheel",
        "perm": format!("{:04o}", file.mode),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Vec<String> {
        COPIED.iter().map(|key| format!("{key}=x")).collect()
    }

    #[test]
    fn a_missing_unknown_or_malformed_field_is_an_error() {
        assert!(fields(&arguments()).is_ok());
        assert_eq!(fields(&arguments()[1..]).unwrap_err(), "name: the field has no value");
        for (argument, error) in [
            ("nothing", "nothing: expected KEY=VALUE"),
            ("x=y", "x: unknown field"),
            ("name=", "name: the field has no value"),
            ("deps=a:b", "deps: a:b: expected 3 parts"),
            ("options=DOCS", "options: DOCS: expected 2 parts"),
        ] {
            let given: Vec<_> = arguments().into_iter().chain([argument.to_owned()]).collect();
            assert!(fields(&given).unwrap_err().starts_with(error), "{argument}");
        }
    }

    #[test]
    fn empty_lists_are_absent() {
        let given: Vec<_> = arguments().into_iter().chain(["deps=a:net/a:1.0".to_owned()]).collect();
        let description =
            Description { fields: fields(&given).unwrap(), text: "100%\n".into(), messages: vec![], pre_install: None };
        let manifest = compact(&description, &[]);
        assert_eq!(manifest["deps"], json!({ "a": { "origin": "net/a", "version": "1.0" } }));
        assert_eq!(manifest["desc"], "100%25");
        assert!(manifest.get("options").is_none() && manifest.get("messages").is_none());
    }
}
