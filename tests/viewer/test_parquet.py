# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Parquet: databases read our files, and we read theirs."""

import datetime
import json
import os
import re
import subprocess

import chdb
import duckdb
import handmade
import polars
import pyarrow
import pyarrow.parquet
import pytest
from logs import frames, real, records  # noqa: F401
from pyspark.sql import functions
from viewer import TCPSTATS, message_of, refuse, run, start

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
# The columns that are not fields.
OURS = ("time", "time_ns", "snapshot", "log_start")


@pytest.fixture(scope="module")
def parquet(real, tmp_path_factory):  # noqa: F811
    path = tmp_path_factory.mktemp("parquet") / "all.parquet"
    run("convert", real / "all.csv", path)
    return path


def of_csv(path):
    """Returns the records of a csv log as a database should return them."""
    lines = path.read_text().splitlines()
    (start_ns,) = [nanoseconds(line.split(" time=")[1].split()[0]) for line in lines if line.startswith("# log ")]
    (names,) = [line.split(",") for line in lines if line.startswith("time,")]
    for line in lines:
        if line[:1].isdigit():
            time_ns, snapshot, *cells = line.split(",")
            fields = {name: value_of(name, cell) for name, cell in zip(names[2:], cells, strict=True)}
            time_ns = nanoseconds(time_ns)
            ours = (time_ns // 1000, time_ns, int(snapshot), start_ns // 1000)
            yield dict(zip(OURS, ours, strict=True)) | fields


def nanoseconds(text):
    return int(text.replace(".", ""))


def value_of(name, cell):
    if cell == "":
        return None
    if cell.startswith("0x"):
        return int(cell, 16)
    return int(cell) if re.fullmatch("[0-9]+", cell) and name not in ("cc", "stack") else cell


def microseconds(time):
    """Converts a time from a database to microseconds."""
    if isinstance(time, str):
        time = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    if isinstance(time, datetime.datetime):
        time = time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)
        return (time - EPOCH) // datetime.timedelta(microseconds=1)
    return time


def by_pyarrow(path, _):
    return pyarrow.parquet.read_table(path).to_pylist()


def by_polars(path, _):
    return polars.read_parquet(path).to_dicts()


def by_duckdb(path, _):
    result = duckdb.sql(f"from '{path}'")
    return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def by_clickhouse(path, _):
    settings = "output_format_json_quote_64bit_integers = 0, session_timezone = 'UTC'"
    result = str(chdb.query(f"select * from file('{path}') settings {settings}", "JSONEachRow"))
    return [json.loads(line) for line in result.splitlines()]


def by_spark(path, spark):
    table = spark().read.parquet(str(path))
    # Avoid conversion to the local time zone.
    table = table.withColumns({name: functions.unix_micros(name) for name in ("time", "log_start")})
    return [row.asDict() for row in table.collect()]


READERS = [by_pyarrow, by_polars, by_duckdb, by_clickhouse, by_spark]


def comparable(rows):
    rows = [{**row, "time": microseconds(row["time"]), "log_start": microseconds(row["log_start"])} for row in rows]
    # Spark has no unsigned 64-bit integers and uses decimals instead.
    is_text = {"laddr", "faddr", "state", "cc", "stack", "options"}
    rows = [{k: v if v is None or k in is_text or isinstance(v, str) else int(v) for k, v in row.items()} for row in rows]
    return sorted(sorted(row.items()).__repr__() for row in rows)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__[3:])
def test_every_database_reads_exactly_the_records_of_the_log(read, parquet, real, request):  # noqa: F811
    expected = list(of_csv(real / "all.csv"))
    rows = read(parquet, lambda: request.getfixturevalue("spark"))
    assert len(rows) == len(expected) == len(records(real / "all.csv"))
    assert comparable(rows) == comparable(expected)


def test_columns_have_the_types_of_their_fields(parquet):
    types = {row[0]: row[1] for row in duckdb.sql(f"describe select * from '{parquet}'").fetchall()}
    assert list(types)[:4] == list(OURS)
    assert (types["time"], types["log_start"]) == ("TIMESTAMP WITH TIME ZONE",) * 2
    assert (types["time_ns"], types["gencnt"], types["srtt"], types["lport"], types["snd_scale"]) == (
        "BIGINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT",
    )
    assert (types["laddr"], types["state"], types["options"]) == ("VARCHAR",) * 3
    meanings = dict(duckdb.sql(f"select key::varchar, value::varchar from parquet_kv_metadata('{parquet}')").fetchall())
    assert meanings["tcpstats.field.srtt"] == "Smoothed round-trip time [us]"
    codecs = duckdb.sql(f"select distinct compression from parquet_metadata('{parquet}')").fetchall()
    assert codecs == [("ZSTD",)]


def test_important_notes_are_in_the_metadata_with_their_positions(real, tmp_path):  # noqa: F811
    log, out = tmp_path / "log.csv", tmp_path / "out.parquet"
    lines = (real / "basic.csv").read_text().splitlines(keepends=True)
    at = [number for number, line in enumerate(lines) if line.startswith("# snapshot ")][2] + 1
    gap = 'gap first=4 last=4 snapshots=1 records=0 why="No space left on device"'
    log.write_text("".join([*lines[:at], f"# {gap}\n", *lines[at:]]))
    run("convert", log, out)
    ((text,),) = duckdb.sql(
        f"select decode(value) from parquet_kv_metadata('{out}') where decode(key) = 'tcpstats.notes'"
    ).fetchall()
    before = sum(line[:1].isdigit() for line in lines[:at])
    (begin, *middle, end) = text.splitlines()
    assert begin.startswith("0 log version=") and middle == [f"{before} {gap}"]
    assert end.startswith(f"{len(records(log))} end ")
    assert run("convert", out, "-", "-F", "csv") == log.read_bytes()


def test_the_number_of_notes_affects_neither_the_footer_nor_the_memory(tmp_path):
    def parquet_of(name, snapshots, often):
        log, out = tmp_path / f"{name}.csv", tmp_path / f"{name}.parquet"
        with log.open("w") as file:
            file.write("time,snapshot,laddr,srtt\n")
            for number in range(1, snapshots + 1):
                time = f"{handmade.START + number // 20}.{number % 20 * 50_000_000 + number * 7919 % 99_991:09d}"
                if number % often == 0:
                    file.write(f"{time},{number},192.0.2.1,20000\n")
                count = int(number % often == 0)
                file.write(
                    f"# snapshot snapshot={number} time={time} walk_us={number * 31 % 977} seen={count} matched={count} "
                    f"records={count} missed=0 missed_ticks=0 flags=0\n"
                )
        process = subprocess.Popen([TCPSTATS, "convert", log, out])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        assert run("convert", out, "-", "-F", "csv") == log.read_bytes()
        data = out.read_bytes()
        return usage.ru_maxrss, int.from_bytes(data[-8:-4], "little"), len(data) / snapshots

    (small, footer, _), (large, long_footer, each) = parquet_of("short", 1000, 10), parquet_of("long", 60_000, 10)
    assert long_footer < footer + 1000
    assert large < small + 5_000, (small, large)
    assert each < 32
    assert duckdb.sql(f"select count(*) from '{tmp_path / 'long.parquet'}'").fetchone() == (6000,)


def by_duckdb_with(codec):
    return lambda path, out: duckdb.sql(f"copy (from '{path}') to '{out}' (format parquet, compression {codec})")


def by_pyarrow_with(**options):
    return lambda path, out: pyarrow.parquet.write_table(pyarrow.parquet.read_table(path), out, **options)


REWRITERS = {
    **{f"duckdb {codec}": by_duckdb_with(codec) for codec in ("snappy", "gzip", "lz4", "lz4_raw", "brotli", "zstd")},
    **{f"pyarrow {codec}": by_pyarrow_with(compression=codec) for codec in ("snappy", "gzip", "lz4", "brotli", "none")},
    "pyarrow v1 int96": by_pyarrow_with(version="1.0", use_deprecated_int96_timestamps=True),
    "pyarrow milliseconds": by_pyarrow_with(coerce_timestamps="ms", allow_truncated_timestamps=True),
    "polars": lambda path, out: polars.read_parquet(path).write_parquet(out),
    "pandas": lambda path, out: pyarrow.parquet.read_table(path).to_pandas().to_parquet(out),
    "clickhouse": lambda path, out: chdb.query(f"select * from file('{path}') into outfile '{out}' format Parquet"),
}


def records_of(path):
    return [line for line in run("convert", path, "-", "-F", "csv").decode().splitlines() if line[:1].isdigit()]


@pytest.mark.parametrize("name", REWRITERS)
def test_a_file_rewritten_by_another_program_has_the_same_records(name, parquet, real, tmp_path):  # noqa: F811
    out = tmp_path / "again.parquet"
    REWRITERS[name](parquet, out)
    assert records_of(out) == records(real / "all.csv")
    assert run("check", out).startswith(b"no problems: ")
    assert run("show", "-d", out, "-o", "lport,srtt", "-n") == run("show", "-d", parquet, "-o", "lport,srtt", "-n")


def test_a_file_rewritten_by_spark_has_the_same_records(spark, parquet, real, tmp_path):  # noqa: F811
    spark.read.parquet(str(parquet)).coalesce(1).write.parquet(str(tmp_path / "again"))
    (out,) = (tmp_path / "again").glob("*.parquet")
    assert records_of(out) == records(real / "all.csv")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "int96", "duckdb"])
def test_a_time_has_the_unit_that_the_file_declares(unit, parquet, real, tmp_path):  # noqa: F811
    out = tmp_path / "again.parquet"
    table = pyarrow.parquet.read_table(parquet).drop_columns(["time_ns"])
    if unit == "duckdb":
        # As in the examples, with an additional column.
        duckdb.sql(f"copy (select * exclude (time_ns), 'web1' as host from '{parquet}') to '{out}'")
    elif unit == "int96":
        pyarrow.parquet.write_table(table, out, use_deprecated_int96_timestamps=True)
    else:
        times = table["time"].cast(pyarrow.timestamp(unit, tz="UTC"), safe=False)
        pyarrow.parquet.write_table(table.set_column(0, "time", times), out)
    digits = {"s": 0, "ms": 3}.get(unit, 6)
    expected = [re.sub(r"\.\d{9}", lambda found: found[0][: 1 + digits].ljust(10, "0"), line, count=1)
                for line in records(real / "all.csv")]
    assert records_of(out) == expected


def test_a_time_without_a_unit_is_refused(parquet, tmp_path):
    out = tmp_path / "again.parquet"
    for kind in "epoch_us(time)", "epoch(time)", "time::varchar":
        duckdb.sql(f"copy (select * exclude (time_ns) replace ({kind} as time) from '{parquet}') to '{out}'")
        message = f"{out}: column time has no unit; expected a TIMESTAMP or an additional column time_ns"
        assert refuse("convert", out, "-", "-F", "csv") == message


def test_an_invalid_value_is_reported_with_its_row(parquet, tmp_path):
    out = tmp_path / "again.parquet"
    for change, message in {
        "-1::bigint as srtt": "expected srtt, a 32-bit number",
        "4294967296::bigint as srtt": "expected srtt, a 32-bit number",
        "0.5::double as srtt": "expected srtt, a 32-bit number",
        "70000::integer as lport": "expected lport, a 16-bit number",
        "'nowhere' as laddr": "expected laddr, an IPv4 or IPv6 address",
        "timestamp '1960-01-01' as time": "expected a time after 1970",
    }.items():
        drop = "time_ns" if " as time" in change else "mark"
        duckdb.sql(f"copy (select * exclude ({drop}) replace ({change}) from '{parquet}') to '{out}'")
        assert message_of(start("convert", out, "-", "-F", "csv")) == f"{out}: row 1: {message}"
    for change, column in ("date '2026-01-01' as lport", "lport"), ("[srtt] as srtt", "srtt"):
        duckdb.sql(f"copy (select * replace ({change}) from '{parquet}') to '{out}'")
        message = f"{out}: column {column} has an unexpected type; expected a file written by tcpstats convert"
        assert refuse("convert", out, "-", "-F", "csv") == message


def test_notes_in_rows_are_read(parquet, real, tmp_path):  # noqa: F811
    out = tmp_path / "rows.parquet"
    (begin, *_) = (real / "all.csv").read_text().splitlines()
    note = begin.removeprefix("# ").replace("'", "''")
    duckdb.sql(
        f"copy (select * exclude (first) from ("
        f"select 1 as first, null::varchar as note, * exclude (time_ns, log_start) from '{parquet}' "
        f"union all by name select 0 as first, '{note}' as note) order by first, snapshot) to '{out}'"
    )
    text = run("convert", out, "-", "-F", "csv").decode()
    assert text.splitlines()[0] == begin
    assert len(records_of(out)) == len(records(real / "all.csv"))


def test_damaged_notes_are_an_error_and_a_copy_has_no_notes(parquet, tmp_path):
    data = parquet.read_bytes()
    at = data.index(b"TCPSNOTE")
    for position in at, at + 30:
        bad = tmp_path / "bad.parquet"
        bad.write_bytes(data[:position] + bytes([data[position] ^ 255]) + data[position + 1 :])
        assert message_of(start("convert", bad, "-", "-F", "csv")).startswith(f"{bad}: after row 0: cannot read the notes: ")
    # Arrow copies the metadata, including the positions of the notes.
    copy = tmp_path / "copy.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(parquet), copy)
    assert b"tcpstats.notes.chunks" in copy.read_bytes()
    run("check", copy)


def test_a_truncated_file_is_an_error(parquet, tmp_path):
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(parquet.read_bytes()[:-100])
    assert refuse("summary", bad).startswith(f"{bad}: cannot read the metadata: ")


def test_row_groups_are_in_chronological_order(real, tmp_path):  # noqa: F811
    log, out = tmp_path / "log.csv", tmp_path / "out.parquet"
    head, *rows = (real / "basic.csv").read_text().splitlines(keepends=True)
    with log.open("w") as file:
        file.write(head + rows[0])
        for second in range(1_764_000_000, 1_764_000_800):
            for line in rows[1:500]:
                if line[0].isdigit():
                    file.write(f"{second}{line[10:]}")
                elif line.startswith("# snapshot"):
                    file.write(line)
    run("convert", log, out)
    groups = duckdb.sql(
        f"select row_group_id, any_value(row_group_num_rows) from parquet_metadata('{out}') group by 1 order by 1"
    ).fetchall()
    assert len(groups) > 2 and all(rows >= 131_072 for _, rows in groups[:-1])
    assert run("convert", out, "-", "-F", "csv") == log.read_bytes()


