# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Logs read and written in every format."""

import bz2
import gzip
import itertools
import random
import subprocess

import duckdb
import logger
import pytest
import zstandard
from bin_log import frames_of
from logs import FORMATS, frames, real, records  # noqa: F401
from viewer import TCPSTATS, message_of, refuse, run, start

GOLDEN = logger.ROOT / "src/tcpstats/tests/golden"


def notes(path):
    return [line for line in path.read_text().splitlines() if line.startswith(("#", '{"note"'))]


def through(folder, log, *formats):
    """Converts a log to each of these formats in turn, and back to its own."""
    form = log.suffix[1:]
    for number, to in enumerate([*formats, form]):
        out = folder / f"{number}.{to}"
        run("convert", log, out)
        log = out
    return log


@pytest.mark.parametrize("form", ["csv", "json", "bin"])
def test_each_format_is_read_as_written_by_the_logger(real, tmp_path, form):  # noqa: F811
    out = tmp_path / "out.csv"
    run("convert", real / f"all.{form}", out, "-O", "all")
    assert records(out) == records(real / "all.csv")
    run("convert", real / f"all.{form}", out, "-f", "-O", "basic")
    assert records(out) == records(real / "basic.csv")


def test_the_output_is_the_same_as_that_of_the_logger(real, tmp_path):  # noqa: F811
    for form, columns in ("json", "all"), ("csv", "all"), ("siftr", "all"):
        out = tmp_path / f"out.{form}"
        run("convert", real / "all.bin", out, "-O", columns)
        assert records(out) == records(real / f"all.{form}")


@pytest.mark.parametrize("name", ["basic.csv", "all.csv", "changes.csv", "v1-basic.csv", "v1-all.csv"])
@pytest.mark.parametrize("formats", [["bin", "parquet"], ["parquet"], ["json", "parquet", "bin"], ["parquet", "json"]])
def test_a_csv_log_is_identical_after_conversion_and_back(real, tmp_path, name, formats):  # noqa: F811
    log = (GOLDEN if name.startswith("v1") else real) / name
    assert through(tmp_path, log, *formats).read_bytes() == log.read_bytes()


@pytest.mark.parametrize("name", ["all.bin", "changes.bin"])
def test_a_bin_log_is_identical_after_conversion_to_parquet_and_back(real, tmp_path, name):  # noqa: F811
    assert through(tmp_path, real / name, "parquet").read_bytes() == (real / name).read_bytes()


def test_a_json_log_is_identical_after_conversion_and_back(real, tmp_path):  # noqa: F811
    assert through(tmp_path, real / "all.json", "bin", "parquet").read_bytes() == (real / "all.json").read_bytes()


def test_a_siftr_log_has_the_same_lines_after_conversion_and_back(real, tmp_path):  # noqa: F811
    log = real / "all.siftr"
    back = through(tmp_path, log, "csv", "parquet", "bin", "json").read_text().splitlines()
    (begin, *rows, end) = log.read_text().splitlines()
    assert back[:-1] == [begin, *rows]
    assert back[-1].split("flow_list=")[0] == end.split("flow_list=")[0]
    # The list of flows is not ordered.
    assert sorted(back[-1].split("=")[-1].split(",")) == sorted(end.split("=")[-1].split(","))


def test_continued_and_incomplete_logs_are_identical_after_conversion_and_back(real, tmp_path):  # noqa: F811
    basic, everything = ((real / name).read_bytes() for name in ("basic.csv", "all.csv"))
    lines = basic.splitlines(keepends=True)
    without_snapshot = [line for i, line in enumerate(lines) if not (100 < i < 200 and line.startswith(b"# snapshot"))]
    without_rows = lines[:30] + lines[37:]
    rotated = basic.replace(b"# end ", b"# rotated ") + basic[: basic.index(b"\n") + 1] + b"".join(lines[2:])
    for content in b"".join(without_snapshot), b"".join(without_rows), rotated, basic + everything:
        log = tmp_path / "log.csv"
        log.write_bytes(content)
        for number, formats in enumerate((["bin"], ["bin", "json"])):
            folder = tmp_path / str(number)
            folder.mkdir(exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
            assert through(folder, log, *formats).read_bytes() == content


def test_columns_that_change_are_an_error_for_parquet_unless_they_are_selected(real, tmp_path):  # noqa: F811
    out = tmp_path / "out.parquet"
    logs = real / "basic.csv", real / "all.csv"
    overlap = f"tcpstats: warning: {logs[1]}: begins at "
    done = start("convert", *logs, out)
    warning, error = done.stderr.decode().splitlines()
    assert done.returncode == 1 and warning.startswith(overlap) and error == (
        f"tcpstats: {out}: the columns of the log change here, which a Parquet file cannot represent; select columns "
        "with -O"
    )
    assert duckdb.sql(f"select count(*) from '{out}'").fetchone()[0] == len(records(logs[0]))
    done = start("convert", *logs, out, "-f", "-O", "all")
    assert done.returncode == 0 and done.stderr.decode().startswith(overlap)
    assert duckdb.sql(f"select count(*) from '{out}'").fetchone()[0] == 2 * len(records(logs[0]))


COMPRESSIONS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
@pytest.mark.parametrize("form", FORMATS)
def test_compressed_logs_are_detected_by_their_content(real, tmp_path, form, kind):  # noqa: F811
    plain, out = real / f"all.{form}", tmp_path / f"out.{form}"
    data, compress = plain.read_bytes(), COMPRESSIONS[kind]
    half = len(data) // 2
    packed = compress(data[:half]) + compress(data[half:])
    misnamed = tmp_path / "tcpstats.log"
    misnamed.write_bytes(packed)
    run("convert", plain, out)
    expected = out.read_bytes()
    run("convert", misnamed, out, "-f")
    assert out.read_bytes() == expected
    assert run("convert", "-", "-", "-F", form, input=packed) == expected

    misnamed.write_bytes(packed[: len(packed) * 3 // 4])
    message = refuse("convert", misnamed, out, "-f")
    assert message.startswith(f"{misnamed}: ") and "read error: " in message
    assert 0 < out.stat().st_size < len(expected)


def positions(data, form):
    """Returns positions for truncation or damage: at, before and after the ends of lines or frames, and anywhere."""
    if form == "bin":
        edges = [frame["at"] for frame in frames_of(data)[0]][1:]
    else:
        edges = [i + 1 for i, byte in enumerate(data[:-1]) if byte == ord("\n")]
    if form == "siftr":
        # A truncated list of flows in the closing line cannot be detected.
        data = data[: data.index(b"\tflow_list=")]
    some = random.Random(2).sample(edges, 6)
    anywhere = random.Random(1).sample(range(50, len(data)), 12)
    return sorted({*some, *(edge + 1 for edge in some), *(edge - 1 for edge in some), *anywhere}), set(edges)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_a_truncated_log_is_read_up_to_the_truncation(real, tmp_path, form, to):  # noqa: F811
    data = (real / f"all.{form}").read_bytes()
    truncated, out, back = tmp_path / f"truncated.{form}", tmp_path / f"out.{to}", tmp_path / "back.csv"
    run("convert", real / f"all.{form}", out)
    run("convert", out, back, "-O", "all")
    everything = records(back)
    cuts, edges = positions(data, form)
    for position in cuts:
        truncated.write_bytes(data[:position])
        if position in edges:
            run("convert", truncated, out, "-f")
        else:
            message = refuse("convert", truncated, out, "-f")
            if form == "bin":
                at = max(edge for edge in [0, *(frame["end"] for frame in frames_of(data[:position])[0])])
                assert message == f"{truncated}: at byte {at}: the frame is truncated"
            else:
                line = data[:position].count(b"\n") + 1
                assert message == f"{truncated}: line {line}: the line is truncated; expected a line break"
        # The output is a complete log of the part before the truncation.
        run("convert", out, back, "-f", "-O", "all")
        if form == "bin":
            count = sum(frame["written"] for frame in frames_of(data[:position])[0])
        else:
            complete = data[:position].decode().split("\n")[:-1]
            count = sum(line[:1].isdigit() or line.startswith(("o,", '{"time"')) for line in complete)
        assert records(back) == everything[:count], position


@pytest.mark.parametrize("form", FORMATS)
def test_a_changed_byte_is_reported_with_its_position_or_is_a_different_value(real, tmp_path, form):  # noqa: F811
    data = (real / f"all.{form}").read_bytes()
    bad, out = tmp_path / "bad", tmp_path / "out.csv"
    reported = 0
    for position, byte in zip(positions(data, form)[0], itertools.cycle(b'\x00\xff,"x{#\n'), strict=False):
        bad.write_bytes(data[:position] + bytes([byte]) + data[position + 1 :])
        done = start("convert", bad, out, "-f")
        if done.returncode == 0:
            assert done.stderr == b""
            continue
        reported += 1
        message = message_of(done)
        if form == "bin":
            frames_before = frames_of(data[:position])[0]
            assert message.startswith(f"{bad}: at byte {frames_before[-1]['end'] if frames_before else 0}: ")
        else:
            line = data[:position].count(b"\n") + 1
            assert message.startswith((f"{bad}: line {line}: ", f"{bad}: line {line + 1}: ")), (message, position)
    assert reported >= 10


def test_a_filter_selects_the_same_records_as_in_the_logger(real, frames, tmp_path):  # noqa: F811
    for text in ("ip6 and not state listen", "srtt > 20ms and lport < 60000", "port 1"):
        out, expected = tmp_path / "out.csv", tmp_path / "expected.csv"
        run("convert", real / "all.bin", out, "-f", "-e", text)
        logger.run("-d", frames, "-s", 1000, "-o", expected, "-e", text)
        assert records(out) == records(expected)
        assert notes(out)[1] == f'# converted filter="{text}"'
        assert [line for line in notes(out) if "snapshot=7 " in line][0].split(" seen=")[1].split()[1:3] == [
            line for line in notes(expected) if "snapshot=7 " in line
        ][0].split(" seen=")[1].split()[1:3]
        expected.unlink()
        # The filter needs fields that are not among the columns.
        run("convert", real / "all.bin", out, "-f", "-e", text, "-O", "laddr,cc", "-F", "bin")
        assert b'"lport":' not in run("convert", out, "-", "-F", "json", "-e", "not uid 99")


def test_a_filter_removes_the_notes_of_other_connections(real):  # noqa: F811
    close = "# close time=1764000000.000000000 snapshot=1 gencnt=7 laddr=192.0.2.1 lport=22 faddr=192.0.2.2 fport=50000 state=ESTABLISHED"
    log = (real / "changes.csv").read_bytes().replace(b"\n# snapshot ", f"\n{close}\n# snapshot ".encode(), 1)
    assert close in run("convert", "-", "-", "-F", "csv", input=log).decode()
    assert "# close " not in run("convert", "-", "-", "-F", "csv", "-e", "port 1", input=log).decode()


def test_errors_are_one_line(real, tmp_path):  # noqa: F811
    log, out = tmp_path / "log.csv", tmp_path / "out.csv"
    log.write_bytes((real / "basic.csv").read_bytes())
    assert refuse("convert", log, log) == f"{log}: is also an input; cannot overwrite a log that is being read"
    assert log.read_bytes() == (real / "basic.csv").read_bytes()
    out.write_text("mine")
    assert refuse("convert", log, out) == f"{out}: file exists; use -f to overwrite"
    assert out.read_text() == "mine"
    message = refuse("convert", log, tmp_path / "out.log")
    assert "unknown extension; expected .csv, .json, .siftr, .bin or .parquet" in message
    assert refuse("convert", tmp_path / "none.csv", out) == f"{tmp_path / 'none.csv'}: No such file or directory"
    assert refuse("convert", tmp_path, out) == f"{tmp_path}: is a directory; expected a log"
    assert refuse("convert", log, tmp_path / "no" / "x.csv").endswith("x.csv: No such file or directory")
    assert refuse("convert", "-e", "port x", log, "-", "-F", "csv").endswith("\n  port x\n       ^")
    assert refuse("convert", "-O", "rtt", log, "-", "-F", "csv").startswith('-O: unknown field "rtt"')
    assert "changes only, which the format of siftr(4) cannot represent" in refuse(
        "convert", real / "changes.csv", tmp_path / "x.siftr"
    )
    assert refuse("convert", "/etc/passwd", "-", "-F", "csv").startswith("/etc/passwd: not a tcpstats log (expected csv, ")
    done = subprocess.run([TCPSTATS, "convert", log, "/dev/full", "-f", "-F", "csv"], capture_output=True)
    assert message_of(done) == "/dev/full: No space left on device"


def test_standard_input_and_output_are_named_by_a_dash(real):  # noqa: F811
    data = (real / "basic.csv").read_bytes()
    assert run("convert", "-", "-", "-F", "csv", input=data) == data
    packed = run("convert", "-", "-", "-F", "parquet", input=data)
    assert packed[:4] == packed[-4:] == b"PAR1"
    assert refuse("convert", "-", "-", "-F", "csv", input=packed) == (
        "standard input: a Parquet file cannot be read from a pipe; expected its name"
    )
