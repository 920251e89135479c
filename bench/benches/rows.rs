// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The cost of formatting a row of text, compared with the standard library's
//! formatting of the same row in the same run; and a check that formatting does
//! not allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tcpstats::text::Text;
use tcpstats::{Columns, FIELDS, Kind, Record, State, csv, ipv4, json, key, name, siftr};

/// An allocator that counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of GlobalAlloc.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of GlobalAlloc.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns a busy connection: every numeric field has a number of plausible
/// length.
fn record() -> Record {
    let mut bytes = vec![0; tcpstats::RECORD_LEN];
    bytes[8..32].fill(0xff);
    // Numbers of seven digits are typical of busy connections.
    for field in FIELDS.iter().filter(|field| field.kind.size() >= 4 && field.kind.is_number()) {
        bytes[tcpstats::PREAMBLE_LEN + field.offset..][..3].copy_from_slice(&1_234_567_u32.to_le_bytes()[..3]);
    }
    let mut record = Record::from_bytes(&bytes, false);
    record.at_ns = 1_234_567;
    record.set(key::laddr, ipv4([192, 0, 2, 17]));
    record.set(key::faddr, ipv4([198, 51, 100, 201]));
    record.set(key::lport, 443);
    record.set(key::state, State::ESTABLISHED);
    record.set(key::cc, name(b"cubic"));
    record.set(key::stack, name(b"freebsd"));
    record.set(key::options, 7);
    record.set(key::gencnt, 812_345);
    record
}

/// Returns the median time of a call in nanoseconds, and the number of
/// allocations in all calls.
fn measure(mut call: impl FnMut()) -> (f64, u64) {
    const CALLS: u32 = 20_000;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut runs = [0.0; 15];
    for run in &mut runs {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        *run = start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS);
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    runs.sort_by(f64::total_cmp);
    (runs[runs.len() / 2], allocations)
}

/// Formats the same cells with `core::fmt`.
fn format_with_standard_library(line: &mut String, columns: &Columns, record: &Record) {
    let _ = write!(line, "1764000000.001234567,42");
    for field in columns.fields() {
        line.push(',');
        if let Some(number) = record.number(field) {
            let _ = write!(line, "{number}");
        } else if let Some(bytes) = record.bytes(field) {
            let _ = match (field.kind, <[u8; 16]>::try_from(bytes)) {
                (Kind::Address, Ok(address)) => {
                    write!(line, "{}", std::net::Ipv6Addr::from(address).to_canonical())
                }
                _ => write!(line, "{}", String::from_utf8_lossy(bytes).trim_end_matches('\0')),
            };
        }
    }
    line.push('\n');
}

fn main() {
    let record = record();
    let (basic, all) = (Columns::basic(), Columns::all());
    let mut buffer = vec![0; csv::ROW_MAX.max(json::ROW_MAX)];
    let mut line = String::with_capacity(8192);

    let (baseline, _) = measure(|| {
        line.clear();
        format_with_standard_library(&mut line, &basic, black_box(&record));
        black_box(&line);
    });
    println!("{:<44}{:>11}{:>8}  {:>11}", "row of text", "median ns", "ratio", "allocations");
    println!("{:<44}{baseline:>11.0}{:>8.2}", "csv, basic columns, with core::fmt (baseline)", 1.0);
    let mut show = |what: &str, write: &dyn Fn(&mut Text<'_>)| {
        let (ns, allocations) = measure(|| {
            let mut text = Text::new(&mut buffer);
            write(&mut text);
            black_box(text.finish());
        });
        println!("{what:<44}{ns:>11.0}{:>8.2}  {allocations:>11}", ns / baseline);
    };
    let record = black_box(&record);
    show("csv, basic columns", &|text| csv::row(text, &basic, 1_764_000_000_000_000_000, 42, record));
    show(&format!("csv, all {} columns", FIELDS.len()), &|text| {
        csv::row(text, &all, 1_764_000_000_000_000_000, 42, record);
    });
    show("json, basic columns", &|text| json::row(text, &basic, 1_764_000_000_000_000_000, 42, record));
    show("siftr", &|text| siftr::row(text, 1_764_000_000_000_000_000, record));
}
