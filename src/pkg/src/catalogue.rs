// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Repositories: a directory for each ABI and minor release, with packages and
//! signed catalogues.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sign::{Signature, sha256, sign};
use crate::{archive, failed};

/// The names of the catalogues and of their format.
const META: &str = "version = 2;
packing_format = \"tzst\";
manifests = \"packagesite.yaml\";
data = \"data\";
manifests_archive = \"packagesite\";
data_archive = \"data\";
";

/// The files in the top directory, which users need to trust the key.
const KEY: &str = "siftr_cdev.pub";
const FINGERPRINT: &str = "siftr_cdev.fingerprint";

/// Writes the repositories of the packages to `directory`, signed by `command`.
///
/// # Errors
/// Returns an error if a package cannot be read, a file cannot be written, or the
/// command does not sign.
pub fn write(packages: &[String], command: &str, directory: &Path, epoch: u64) -> Result<(), String> {
    if packages.is_empty() {
        return Err("no packages; expected those of the repository".into());
    }
    let mut repositories: BTreeMap<PathBuf, Vec<Value>> = BTreeMap::new();
    for package in packages.iter().map(Path::new) {
        let mut manifest = archive::compact_manifest(package)?;
        let repository = directory.join(place(&manifest).ok_or_else(|| {
            format!("{}: the manifest has no abi or no annotation FreeBSD_version", package.display())
        })?);
        add(package, &mut manifest, &repository)?;
        repositories.entry(repository).or_default().push(manifest);
    }
    let mut key = Vec::new();
    for (repository, manifests) in &mut repositories {
        manifests.sort_by_key(|manifest| manifest["path"].to_string());
        key = catalogues(repository, manifests, command, epoch)?;
    }
    let fingerprint = format!("function: sha256\nfingerprint: {}\n", sha256(&key));
    for (name, content) in [(KEY, key), (FINGERPRINT, fingerprint.into_bytes())] {
        let path = directory.join(name);
        fs::write(&path, content).map_err(failed(&path))?;
    }
    Ok(())
}

/// Returns the directory of a package's repository.
fn place(manifest: &Value) -> Option<String> {
    let version: u32 = manifest["annotations"]["FreeBSD_version"].as_str()?.parse().ok()?;
    Some(format!("{}/{}", manifest["abi"].as_str()?, version / 1000 % 100))
}

/// Copies a package to its repository, and adds its location to its manifest.
fn add(package: &Path, manifest: &mut Value, repository: &Path) -> Result<(), String> {
    let all = repository.join("All");
    fs::create_dir_all(&all).map_err(failed(&all))?;
    let content = fs::read(package).map_err(failed(package))?;
    let name = format!("{}-{}.pkg", text(manifest, "name"), text(manifest, "version"));
    manifest["path"] = json!(format!("All/{name}"));
    manifest["repopath"] = manifest["path"].clone();
    manifest["pkgsize"] = content.len().into();
    manifest["sum"] = sha256(&content).into();
    let path = all.join(name);
    fs::write(&path, content).map_err(failed(&path))
}

fn text<'a>(manifest: &'a Value, key: &str) -> &'a str {
    manifest[key].as_str().unwrap_or_default()
}

/// Writes the catalogues of a repository, and returns the public key.
fn catalogues(repository: &Path, manifests: &[Value], command: &str, epoch: u64) -> Result<Vec<u8>, String> {
    let lines = manifests.iter().map(|manifest| manifest.to_string() + "\n").collect();
    signed(repository, "packagesite", "packagesite.yaml", lines, command, epoch)?;
    let data = json!({ "groups": [], "packages": manifests }).to_string();
    let key = signed(repository, "data", "data", data, command, epoch)?;
    let meta = repository.join("meta.conf");
    fs::write(&meta, META).map_err(failed(&meta))?;
    Ok(key)
}

fn signed(folder: &Path, name: &str, inner: &str, text: String, command: &str, epoch: u64) -> Result<Vec<u8>, String> {
    let Signature { signature, key } = sign(command, text.as_bytes())?;
    let members = [
        archive::bytes(&format!("{inner}.sig"), signature),
        archive::bytes(&format!("{inner}.pub"), key.clone()),
        archive::bytes(inner, text.into_bytes()),
    ];
    archive::write(&folder.join(format!("{name}.pkg")), &members, epoch)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_belongs_to_a_minor_release() {
        let manifest =
            |version: &str| json!({ "abi": "FreeBSD:14:amd64", "annotations": { "FreeBSD_version": version } });
        assert_eq!(place(&manifest("1402000")).unwrap(), "FreeBSD:14:amd64/2");
        assert_eq!(place(&manifest("1500068")).unwrap(), "FreeBSD:14:amd64/0");
        assert_eq!(place(&manifest("x")), None);
        assert_eq!(place(&json!({})), None);
    }
}
