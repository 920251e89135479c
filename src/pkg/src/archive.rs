// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The archives that pkg(8) reads: tar, compressed by zstd.  All files belong to
//! root and have the same time, so that equal contents give equal archives.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::failed;
use crate::plist::{Entry, absolute};

/// The level of pkg(8)'s own archives.
const LEVEL: i32 = 19;

/// A file of an archive.
pub struct Member {
    /// The name: absolute if the file is installed.
    pub name: String,
    /// The permissions.
    pub mode: u32,
    /// The content.
    pub content: Vec<u8>,
}

/// Returns a file with data for pkg(8).
pub fn member(name: &str, value: &Value) -> Member {
    bytes(name, value.to_string().into_bytes())
}

/// Returns a file with data for pkg(8).
pub fn bytes(name: &str, content: Vec<u8>) -> Member {
    Member { name: name.to_owned(), mode: 0o644, content }
}

/// Reads the files of a packing list below `root`, ordered by name.
///
/// # Errors
/// Returns an error if a file is missing or is not a regular file.
pub fn stage(root: &Path, plist: &[Entry], prefix: &str) -> Result<Vec<Member>, String> {
    let mut names: Vec<_> = plist.iter().filter_map(Entry::file).map(|path| absolute(prefix, path)).collect();
    names.sort();
    names.into_iter().map(|name| staged(root, name)).collect()
}

fn staged(root: &Path, name: String) -> Result<Member, String> {
    let path = root.join(name.trim_start_matches('/'));
    let metadata = fs::symlink_metadata(&path).map_err(failed(&path))?;
    if !metadata.is_file() {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let content = fs::read(&path).map_err(failed(&path))?;
    Ok(Member { name, mode: metadata.permissions().mode() & 0o7777, content })
}

/// Writes an archive with these files.
///
/// # Errors
/// Returns an error if it cannot be written; then an existing archive is unchanged.
pub fn write<'a>(path: &Path, members: impl IntoIterator<Item = &'a Member>, epoch: u64) -> Result<(), String> {
    let compressed = compress(members, epoch).map_err(failed(path))?;
    let new = path.with_added_extension("new");
    fs::write(&new, compressed).map_err(failed(&new))?;
    fs::rename(&new, path).map_err(failed(path))
}

fn compress<'a>(members: impl IntoIterator<Item = &'a Member>, epoch: u64) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    for member in members {
        tar.append(&header(member, epoch)?, member.content.as_slice())?;
    }
    let mut encoder = tar.into_inner()?;
    encoder.flush()?;
    encoder.finish()
}

/// Returns the header of a file.  The crate refuses absolute names, which pkg(8)
/// wants, so the name is copied into its field.
fn header(member: &Member, epoch: u64) -> std::io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    let field = &mut header.as_old_mut().name;
    let name = member.name.as_bytes();
    if name.len() >= field.len() {
        return Err(std::io::Error::other(format!("{}: longer than {} bytes", member.name, field.len() - 1)));
    }
    field[..name.len()].copy_from_slice(name);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(member.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("wheel")?;
    header.set_mtime(epoch);
    header.set_size(member.content.len() as u64);
    header.set_cksum();
    Ok(header)
}

/// Returns the content of the first file of a package.
///
/// # Errors
/// Returns an error if the file cannot be read or is not a package.
pub fn compact_manifest(path: &Path) -> Result<Value, String> {
    let file = fs::File::open(path).map_err(failed(path))?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).map_err(failed(path))?);
    let mut text = String::new();
    if let Some(first) = archive.entries().map_err(failed(path))?.next() {
        let mut first = first.map_err(failed(path))?;
        if *first.path_bytes() == *b"+COMPACT_MANIFEST" {
            first.read_to_string(&mut text).map_err(failed(path))?;
        }
    }
    serde_json::from_str(&text).map_err(|_| format!("{}: not a package of siftr_cdev_pkg create", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_give_equal_archives() {
        let files =
            [bytes("+MANIFEST", b"{}".to_vec()), Member { name: "/a/b".into(), mode: 0o555, content: vec![1; 99] }];
        assert_eq!(compress(&files, 1).unwrap(), compress(&files, 1).unwrap());
        assert_ne!(compress(&files, 1).unwrap(), compress(&files, 2).unwrap());
    }

    #[test]
    fn a_name_that_does_not_fit_is_an_error() {
        let error = compress(&[bytes(&"x".repeat(100), Vec::new())], 1).unwrap_err();
        assert!(error.to_string().ends_with("longer than 99 bytes"));
    }

    #[test]
    fn a_file_that_is_not_a_package_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pkg");
        fs::write(&path, "text").unwrap();
        assert!(compact_manifest(&path).unwrap_err().contains("x.pkg: "));
        write(&path, &[bytes("other", b"{}".to_vec())], 1).unwrap();
        assert!(compact_manifest(&path).unwrap_err().ends_with("not a package of siftr_cdev_pkg create"));
    }
}
