# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""A bin log, complete, truncated and damaged, and read by an independent reader."""

import random
import subprocess
import zlib

from bin_log import HEADER, NAMES, SNAPSHOT, frames_of, notes, only_frames, snapshots
from logger import CsvLog, command, refuse, replay, run


def lengths(data):
    """Returns lengths to which to truncate the data: at frames, after their first byte, and elsewhere.  They are
    always the same, so that a failure can be reproduced."""
    edges = [frame["at"] for frame in frames_of(data)[0]][1:]
    return sorted({1, *edges, *(edge + 1 for edge in edges), *random.Random(1).sample(range(1, len(data)), 20)})


def test_every_frame_of_a_bin_log_matches_its_crc_and_nothing_is_between_frames(frames):
    data = frames.read_bytes()
    assert only_frames(data)
    shots = snapshots(data)
    assert [shot["sequence"] for shot in shots] == [1, 2, 3]
    assert [shot["mono_ns"] for shot in shots] == sorted(shot["mono_ns"] for shot in shots)
    about, *_, end = notes(data)
    assert (about["note"], end["note"]) == ("log", "end")
    assert (end["snapshots"], end["records"]) == (3, sum(shot["written"] for shot in shots)) == (3, 3 * 22)


def test_a_bin_log_truncated_anywhere_is_read_up_to_its_last_complete_snapshot(frames, tmp_path):
    data = frames.read_bytes()
    all_rows = replay(frames).rows
    cut = tmp_path / "cut.bin"
    for length in lengths(data):
        cut.write_bytes(data[:length])
        expected, end = frames_of(data[:length])
        expected = [frame for frame in expected if frame["kind"] == SNAPSHOT]
        out = tmp_path / f"{length}.csv"
        if end == length:
            run("-d", cut, "-s", 1000, "-o", out)
        else:
            assert "truncated" in refuse("-d", cut, "-s", 1000, "-o", out)
        read = CsvLog(out.read_text())
        assert [note["snapshot"] for note in read.noted("snapshot")] == [shot["sequence"] for shot in expected], length
        assert read.rows == all_rows[: sum(shot["written"] for shot in expected)], length


def test_a_bin_log_truncated_anywhere_is_continued_with_complete_frames(frames, tmp_path):
    data = frames.read_bytes()
    log = tmp_path / "x.bin"
    for length in lengths(data):
        log.write_bytes(data[:length])
        _, end = frames_of(data[:length])
        run("-F", "bin", "-o", log, "-c", 1)
        again = log.read_bytes()
        assert again[:end] == data[:end]
        assert only_frames(again)
        assert [note["bytes"] for note in notes(again) if note["note"] == "torn"] == [length - end] * (length > end)
        assert len(snapshots(again)) == len(snapshots(data[:end])) + 1


def test_a_flipped_bit_is_detected_and_not_logged(frames, tmp_path):
    data = bytearray(frames.read_bytes())
    third = snapshots(data)[2]
    data[third["at"] + HEADER.size + third["payload_len"] // 2] ^= 4
    bad, out = tmp_path / "bad.bin", tmp_path / "x.csv"
    bad.write_bytes(data)
    assert f"at byte {third['at']}: the frame is damaged" in refuse("-d", bad, "-s", 1000, "-o", out)
    assert [note["snapshot"] for note in CsvLog(out.read_text()).noted("snapshot")] == [1, 2]


def test_frames_that_are_read_and_written_keep_every_byte_of_their_records(frames, tmp_path):
    copy = tmp_path / "copy.bin"
    run("-d", frames, "-s", 1000, "-F", "bin", "-o", copy)
    kept = "payload record_len sequence wall_ns mono_ns walk_ns seen matched written missed hz flags".split()
    before, after = ([[shot[name] for name in kept] for shot in snapshots(x.read_bytes())] for x in (frames, copy))
    assert before == after and len(before) == 3


def test_frames_are_read_from_a_pipe_too(frames):
    with subprocess.Popen(["cat", frames], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(
            command("-d", "/dev/stdin", "-s", 1000, "-o", "-"), stdin=cat.stdout, capture_output=True, text=True
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert CsvLog(done.stdout).rows == replay(frames).rows


def doubled(data, osversion):
    """Returns the log with the first record of each snapshot repeated after the last, from a kernel of this version."""
    out = b""
    for frame in frames_of(data)[0]:
        if frame["kind"] == SNAPSHOT:
            frame["payload"] += frame["payload"][: frame["record_len"]]
            frame |= {"payload_len": len(frame["payload"]), "osversion": osversion, "crc": 0}
            frame |= {count: frame[count] + 1 for count in ("seen", "matched", "written")}
        fields = [frame[name] for name in NAMES]
        if frame["kind"] == SNAPSHOT:
            fields[NAMES.index("crc")] = zlib.crc32(HEADER.pack(*fields) + frame["payload"])
        out += HEADER.pack(*fields) + frame["payload"]
    return out


def test_a_connection_that_freebsd_16_returns_twice_in_a_walk_is_logged_once(frames, tmp_path):
    data = frames.read_bytes()
    twice = tmp_path / "twice.bin"
    # Kernels before 16 have one list without repeated connections, so that all records are kept.
    for osversion, repeated in ((1500068, 1), (1600001, 0)):
        twice.write_bytes(doubled(data, osversion))
        log = replay(twice)
        assert [note["records"] for note in log.noted("snapshot")] == [22 + repeated] * 3
        assert [note["seen"] for note in log.noted("snapshot")] == [22 + repeated] * 3
