// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A later version can append a field to either part of the record: it reads
//! the files of this version, and this version reads its files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tcpstats::frame::Frame;
use tcpstats::{Filter, MODULE_BODY_LEN, Record, State, key, name};

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Copies the library and appends a row to each part of the table.
fn copy_with_rows(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_with_rows(&entry.path(), &target);
        } else if entry.file_name() == "table.rs" {
            let mut table = fs::read_to_string(entry.path()).unwrap();
            for (last, row) in [
                (
                    "\n}\n\nOther {",
                    "    grown_module U64 Count Totals more\n        \"A new field\" \"t_new\" \"tcpi_new\";",
                ),
                ("\n}\n}\n", "    grown_other U32 Count Totals more\n        \"Another\" \"\" \"tcpi_other\";"),
            ] {
                let end = table.find(last).expect("the end of a part");
                table.insert_str(end, &format!("\n{row}"));
            }
            fs::write(target, table).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_field_can_be_appended_to_each_part() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let work = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("growth");
    _ = fs::remove_dir_all(&work);
    copy_with_rows(&crate_dir.join("src"), &work.join("src"));
    let rustc = || {
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.current_dir(&work).args(["--edition", "2024", "-Awarnings"]);
        rustc
    };
    run(rustc().args(["--crate-type", "rlib", "--crate-name", "tcpstats", "src/lib.rs"]));
    let program = crate_dir.join("tests/growth/newer.rs");
    run(rustc().args(["--extern", "tcpstats=libtcpstats.rlib"]).arg(program));
    let golden = crate_dir.join("tests/golden/v2.bin");
    let newer_len = run(Command::new(work.join("newer")).current_dir(&work).arg(golden).arg("new.bin"));
    assert_eq!(newer_len.trim(), (MODULE_BODY_LEN + 8).to_string(), "the module's part is larger");

    let bytes = fs::read(work.join("new.bin")).unwrap();
    let frame = Frame::parse(&bytes).unwrap();
    let mut expected = Record::new();
    expected.at_ns = 7;
    expected.set(key::gencnt, 4711);
    expected.set(key::state, State::ESTABLISHED);
    expected.set(key::log_id, name(b"the last of this version"));
    expected.set(key::received_bytes, 123_456);
    expected.set(key::fastopen_client_fail, 3);
    assert_eq!(frame.records().collect::<Vec<_>>(), [expected]);
    let filter = fs::read(work.join("new.bin.filter")).unwrap();
    assert_eq!(Filter::from_bytes(&filter), Ok(Filter::parse("received_bytes = 123456").unwrap()));
}
