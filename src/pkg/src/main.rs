// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Writes packages and package repositories that FreeBSD's pkg(8) can use,
//! without FreeBSD.
//!
//! ```text
//! siftr_cdev_pkg create -p PLIST -d DESCRIPTION [-m MESSAGE] [-i PRE_INSTALL] -r ROOT -o DIRECTORY KEY=VALUE...
//! siftr_cdev_pkg repository -s COMMAND -o DIRECTORY PACKAGE...
//! ```
//!
//! `create` packs the files of PLIST, which are below ROOT.  The keys are those of
//! the manifest, see [`manifest::Description`].  The environment variable
//! `SOURCE_DATE_EPOCH` is the modification time of all files.
//!
//! `repository` copies packages to `DIRECTORY/ABI/MINOR/All`, where MINOR is the
//! minor release they are built for, and writes the catalogues of each of these
//! repositories.  COMMAND signs: see [`sign`].

mod archive;
mod catalogue;
mod manifest;
mod message;
mod plist;
mod scripts;
mod sign;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: siftr_cdev_pkg create -p PLIST -d DESCRIPTION [-m MESSAGE] [-i PRE_INSTALL] -r ROOT -o DIRECTORY KEY=VALUE...
       siftr_cdev_pkg repository -s COMMAND -o DIRECTORY PACKAGE...";

/// Describes a failure of an operation on a file.
fn failed(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.as_ref().display())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(failed(path))
}

/// Returns the time that all files of an archive have, in seconds since 1970.
fn epoch() -> Result<u64, String> {
    let value = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_default();
    value.parse().map_err(|_| format!("SOURCE_DATE_EPOCH: \"{value}\": expected seconds since 1970"))
}

fn create(arguments: &[String]) -> Result<(), String> {
    let mut options = getopts::Options::new();
    options.reqopt("p", "", "", "").reqopt("d", "", "", "").optopt("m", "", "", "").optopt("i", "", "", "");
    options.reqopt("r", "", "", "").reqopt("o", "", "", "");
    let given = options.parse(arguments).map_err(|error| format!("{error}\n{USAGE}"))?;
    let text = |name: &str| given.opt_str(name).unwrap_or_default();
    let optional = |name: &str| given.opt_str(name).as_deref().map(read).transpose();

    let description = manifest::Description {
        fields: manifest::fields(&given.free)?,
        text: read(&text("d"))?,
        messages: optional("m")?.map(|messages| message::parse(&messages)).transpose()?.unwrap_or_default(),
        pre_install: optional("i")?,
    };
    let plist = plist::parse(&read(&text("p"))?).map_err(|error| format!("{}: {error}", text("p")))?;
    let epoch = epoch()?;
    let files = archive::stage(Path::new(&text("r")), &plist, &description.fields["prefix"])?;
    let compact = manifest::compact(&description, &files);
    let complete = manifest::complete(&description, &compact, &plist, &files);

    let name = format!("{}-{}.pkg", description.fields["name"], description.fields["version"]);
    let members = [archive::member("+COMPACT_MANIFEST", &compact), archive::member("+MANIFEST", &complete)];
    archive::write(&Path::new(&text("o")).join(name), members.iter().chain(&files), epoch)
}

fn repository(arguments: &[String]) -> Result<(), String> {
    let mut options = getopts::Options::new();
    options.reqopt("s", "", "", "").reqopt("o", "", "", "");
    let given = options.parse(arguments).map_err(|error| format!("{error}\n{USAGE}"))?;
    let text = |name: &str| given.opt_str(name).unwrap_or_default();
    catalogue::write(&given.free, &text("s"), Path::new(&text("o")), epoch()?)
}

fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [command, rest @ ..] if command == "create" => create(rest),
        [command, rest @ ..] if command == "repository" => repository(rest),
        _ => Err(USAGE.into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("siftr_cdev_pkg: {sentence}");
            ExitCode::FAILURE
        }
    }
}
