# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Logs after compression, editing and transfer, and logs of newer versions."""

import bz2
import gzip
import json
import lzma
import random
import re
import struct

import pytest
import zstandard
from synthetic import START, lines, steady, write
from viewer import refuse, run, start

SKIPPABLE = struct.pack("<II", 0x184D2A53, 4) + b"abcd"


def zstd(data, **options):
    return zstandard.ZstdCompressor(**options).compress(data)


def streamed(data, window):
    """Returns a frame without its size, with a window of 2^`window` bytes."""
    parameters = zstandard.ZstdCompressionParameters(window_log=window, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


def halves(data):
    return data[: len(data) // 2], data[len(data) // 2 :]


FORMS = {
    "zstd": zstd,
    "zstd in frames": lambda data: b"".join(map(zstd, halves(data))),
    "zstd after a skippable frame": lambda data: SKIPPABLE + zstd(data),
    "zstd as written by pzstd": lambda data: b"".join(SKIPPABLE + zstd(half) for half in halves(data)) + SKIPPABLE,
    "zstd with a checksum": lambda data: zstd(data, write_checksum=True),
    "zstd with a long window": lambda data: streamed(data, 28),
    "zstd with the longest window": lambda data: streamed(data, 31),
    "zstd with an empty frame": lambda data: zstd(b"") + zstd(data),
    "gzip": gzip.compress,
    "gzip in members": lambda data: b"".join(map(gzip.compress, halves(data))),
    "gzip with an empty member": lambda data: gzip.compress(b"") + gzip.compress(data) + gzip.compress(b""),
    "gzip padded": lambda data: gzip.compress(data) + bytes(100_000),
    "gzip padded between members": lambda data: bytes(0).join(gzip.compress(half) + bytes(512) for half in halves(data)),
    "bzip2": bz2.compress,
    "bzip2 in streams": lambda data: b"".join(map(bz2.compress, halves(data))),
    "bzip2 padded": lambda data: bz2.compress(data) + bytes(512),
    "xz": lzma.compress,
    "xz in streams": lambda data: b"".join(map(lzma.compress, halves(data))),
    "xz padded": lambda data: lzma.compress(data) + bytes(8),
    "xz with a CRC-32": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "xz with SHA-256": lambda data: lzma.compress(data, check=lzma.CHECK_SHA256),
    "xz without a check": lambda data: lzma.compress(data, check=lzma.CHECK_NONE),
    "xz -9e": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write(tmp_path_factory.mktemp("forms") / "log.csv", steady(500))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["csv", "json", "siftr", "bin"])
def test_compressed_logs_are_read_in_every_valid_form(log, tmp_path, form, kind):
    plain, packed = tmp_path / f"log.{kind}", tmp_path / "packed"
    run("convert", log, plain)
    packed.write_bytes(FORMS[form](plain.read_bytes()))
    assert run("check", packed) == run("check", plain)
    assert run("convert", "-F", kind, packed, "-") == plain.read_bytes()
    assert run("check", "-", input=packed.read_bytes()) == run("check", plain)


@pytest.mark.parametrize("form", ["zstd", "gzip", "bzip2", "xz"])
def test_a_compressed_log_that_is_truncated_or_followed_by_garbage_is_damaged(log, tmp_path, form):
    packed = tmp_path / "packed"
    data = FORMS[form](log.read_bytes())
    for damaged in data[:-10], data[: len(data) // 2], data + b"garbage and more garbage":
        packed.write_bytes(damaged)
        done = start("check", packed)
        assert done.returncode == 1
        message = done.stdout.decode() or done.stderr.decode().removeprefix("tcpstats: ")
        assert message.startswith(f"{packed}: ") and re.search(rf"the {form} data is (truncated|damaged)|bytes that are not {form}", message), message


@pytest.mark.parametrize("compress", FORMS.values(), ids=FORMS)
def test_an_empty_compressed_log_is_empty(tmp_path, compress):
    packed = tmp_path / "packed"
    packed.write_bytes(compress(b""))
    assert start("check", packed).stdout.decode().startswith(f"{packed}: empty: ")


EDITS = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "CRLF and a byte order mark": lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
    "no newline at the end": lambda data: data.rstrip(b"\n"),
    "blank lines at the end": lambda data: data + b"\n\r\n   \n",
    "blank lines at the start": lambda data: b"\n\n  \r\n" * 20 + data,
    "blank lines between": lambda data: data.replace(b"\n", b"\n\n"),
    "blanks at the ends of lines": lambda data: data.replace(b"\n", b" \t\n"),
    "blanks before lines": lambda data: b"  " + data.replace(b"\n", b"\n  "),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", ["csv", "json", "siftr"])
def test_text_that_was_edited_is_the_same_log(log, tmp_path, edit, kind):
    plain, edited = tmp_path / f"log.{kind}", tmp_path / "edited"
    run("convert", log, plain)
    edited.write_bytes(EDITS[edit](plain.read_bytes()))
    assert run("check", edited) == run("check", plain)
    assert run("convert", "-F", kind, edited, "-") == plain.read_bytes()
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(edited.read_bytes()))
    assert run("check", packed) == run("check", plain)


def test_concatenated_logs_with_byte_order_marks_are_read(log, tmp_path):
    both = tmp_path / "both"
    mark = b"\xef\xbb\xbf"
    after = write(tmp_path / "after.csv", steady(begin=600))
    both.write_bytes(mark + log.read_bytes() + mark + after.read_bytes())
    assert run("check", both).startswith(b"no problems: 520 snapshots")


def test_a_record_without_a_line_break_is_damaged(log, tmp_path):
    cut = tmp_path / "cut.csv"
    text = log.read_text().splitlines(keepends=True)
    for end in text[2], text[3], text[0]:
        cut.write_text("".join(text[:2]) + end.rstrip("\n"))
        done = start("check", cut)
        assert done.returncode == 1
        assert f"{cut}: line 3: the line is truncated; expected a line break\n" in done.stdout.decode()


def test_text_in_utf16_causes_a_helpful_error(log, tmp_path):
    wide = tmp_path / "wide.csv"
    for encoding in "utf-16-le", "utf-16-be", "utf-16":
        mark = b"" if encoding == "utf-16" else "\ufeff".encode(encoding)
        wide.write_bytes(mark + log.read_text().encode(encoding))
        assert refuse("check", wide) == (
            f"{wide}: text in UTF-16; convert it to UTF-8, for example with iconv -f UTF-16 -t UTF-8"
        )


def newer(text, kind, version="2.1.0", name="later_field"):
    """Returns the log as a version with one more field writes it."""
    text = text.replace("2.0.0", version)
    out = []
    for number, line in enumerate(text.splitlines()):
        if kind == "csv":
            if line.startswith("# log"):
                line = line.replace('rexmit_packs"', f'rexmit_packs,{name}"')
            elif line.startswith("time,"):
                line = line.replace(",lport,", f",{name},lport,")
            elif not line.startswith("#"):
                cells = line.split(",")
                line = ",".join([*cells[:4], str(number) if number % 3 else "", *cells[4:]])
        elif '"note":"log"' in line:
            line = line.replace('rexmit_packs"', f'rexmit_packs,{name}"')
        elif '"note"' not in line:
            value = [number, -1.5, f'"text, \\"{number}\\"}}"', "true", "null", '{"a":[1,"}"]}'][number % 6]
            line = line.replace(',"lport":', f',"{name}":{value},"lport":')
        out.append(line + "\n")
    return "".join(out)


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("version", ["2.0.0", "2.1.0", "10.0.0"])
def test_fields_of_a_newer_version_are_skipped_and_reported_once(log, tmp_path, kind, version):
    plain, later = tmp_path / f"plain.{kind}", tmp_path / f"later.{kind}"
    run("convert", log, plain)
    later.write_text(newer(plain.read_text(), kind, version))
    warning = (
        f"tcpstats: warning: {later}: skipping field that version 2.0.0 does not support: later_field; "
        f"version {version} wrote the log\n"
    ).encode()
    for line in ["check"], ["summary"], ["summary", "--json"], ["show", "-d"]:
        expected, done = run(*line, plain), start(*line, later)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, warning), line
    done = start("convert", later, "-", "-F", kind)
    rows = lambda text: [row for row in text.decode().splitlines() if row[:1].isdigit() or row.startswith('{"time"')]
    assert (done.returncode, done.stderr) == (0, warning)
    assert rows(done.stdout) == rows(plain.read_bytes())


def test_a_row_that_lacks_a_cell_of_a_newer_version_is_damaged(log, tmp_path):
    later = tmp_path / "later.csv"
    text = newer(log.read_text(), "csv").splitlines(keepends=True)
    text[2] = ",".join(text[2].split(",")[:-1]) + "\n"
    later.write_text("".join(text))
    done = start("check", later)
    assert done.returncode == 1 and f"{later}: line 3: expected 21 cells in the row, found 20" in done.stdout.decode()


def test_a_field_name_with_a_changed_byte_is_damage(log, tmp_path):
    plain = tmp_path / "plain.json"
    run("convert", log, plain)
    for wrong in '"srtu"', '"Srtt"', '"sr\\u0074t"':
        bad = tmp_path / "bad.json"
        bad.write_text(plain.read_text().replace('"srtt"', wrong, 1))
        done = start("check", bad)
        assert done.returncode == 1 and b"expected the name of a field" in done.stdout


@pytest.mark.parametrize("content", ["", "\n\n", "time,snapshot,gencnt\n", "\ufeff"])
def test_an_empty_log_is_a_problem(tmp_path, content):
    log = tmp_path / "log"
    log.write_text(content)
    for line, options in ([log], {}), (["-"], {"input": log.read_bytes()}):
        done = start("check", *line, **options)
        name = log if line == [log] else "standard input"
        assert done.returncode == 1
        assert done.stdout.decode() == (
            f"{name}: empty: no records and no notes\n1 problem: 0 snapshots, 0 records\n"
        )
    assert start("check", "-q", log).returncode == 1


def test_a_log_that_ends_before_its_first_snapshot_is_complete(tmp_path):
    log = tmp_path / "log"
    text = lines(steady(1))
    log.write_text(text[0] + text[1] + text[-1].replace("snapshots=1 records=1", "snapshots=0 records=0"))
    assert run("check", log) == b"no problems: 0 snapshots, 0 records\n"
    log.write_text("# missed ticks=0\n")
    assert start("check", log).returncode == 1


def test_the_first_problems_are_printed_and_the_others_are_counted(log, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text(log.read_text().replace(",ESTABLISHED,", ",ESTABLISHET,"))
    short, full = start("check", bad), start("check", "-a", bad)
    *first, more, verdict = short.stdout.decode().splitlines()
    everything = full.stdout.decode().splitlines()
    assert len(first) == 20 and first == everything[:20] and verdict == everything[-1]
    count = len(everything) - 1
    assert count == 1000 and more == f"and {count - 20} more problems; use -a to report all"
    assert verdict.startswith(f"{count} problems: ")


def test_the_report_on_a_damaged_compressed_log_is_short(log, tmp_path):
    damaged = bytearray(gzip.compress(write(tmp_path / "long.csv", steady(20_000)).read_bytes()))
    random.seed(7)
    for _ in range(200):
        damaged[random.randrange(100, len(damaged))] ^= 0x55
    path = tmp_path / "damaged.gz"
    path.write_bytes(damaged)
    done = start("check", path)
    assert done.returncode == 1 and len(done.stdout.splitlines()) <= 22


def test_duplicate_records_in_a_snapshot_are_reported(tmp_path):
    others = [{"gencnt": number, "lport": number} for number in range(1, 5)]
    double = [(START, others), (START + 1, [*others, others[1], others[1], others[3]]), (START + 2, others)]
    log = write(tmp_path / "log.csv", double)
    for form in "csv", "json", "bin":
        out = tmp_path / f"out.{form}"
        run("convert", log, out)
        done = start("check", out)
        assert done.returncode == 1
        assert "snapshot 2 has 3 duplicate records" in done.stdout.decode()
        assert b"\n1 problem: " in done.stdout
    listeners = {"laddr": "0.0.0.0", "lport": 443, "faddr": "0.0.0.0", "fport": 0, "state": "LISTEN"}
    shared = write(tmp_path / "shared.csv", [(START, [{**listeners, "gencnt": 1}, {**listeners, "gencnt": 2}])])
    assert run("check", shared).startswith(b"no problems: ")


def test_a_log_with_every_edit_has_the_values_that_were_written(log, tmp_path):
    edited = tmp_path / "edited"
    edited.write_bytes(FORMS["gzip in members"](b"\xef\xbb\xbf" + newer(log.read_text(), "csv").replace("\n", " \r\n\r\n").encode()))
    done = start("summary", "--json", edited)
    row = json.loads(done.stdout)
    assert (row["sent_bytes"], row["duration_s"], row["lport"]) == (499_000, 499, 40000)
