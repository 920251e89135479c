# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""A reader of bin logs, written only from the documentation of the format."""

import struct
import zlib

from logger import parse_note

HEADER = struct.Struct("=4sHHIIQQQQQQQQQQIIIIIIQQ")
NAMES = """magic version kind header_len record_len payload_len sequence wall_ns mono_ns walk_ns seen matched written
    missed missed_ticks flags hz crc module_len osversion zero ended ended_lost""".split()
SNAPSHOT, NOTE = 1, 2
CRC_FLAG = 8


def frames_of(data):
    """Returns the complete frames at the start of the data, and their total length.  Checks every CRC."""
    found, at = [], 0
    while at + HEADER.size <= len(data):
        frame = dict(zip(NAMES, HEADER.unpack_from(data, at), strict=True))
        assert (frame["magic"], frame["version"], frame["header_len"]) == (b"TCPS", 2, HEADER.size), f"at {at}"
        end = at + HEADER.size + frame["payload_len"]
        if end > len(data):
            break
        assert frame["flags"] & CRC_FLAG
        assert zlib.crc32(data[at : at + 104] + bytes(4) + data[at + 108 : end]) == frame["crc"], f"at {at}"
        frame["payload"] = data[at + HEADER.size : end]
        frame["at"], frame["end"] = at, end
        assert frame["kind"] in (SNAPSHOT, NOTE)
        if frame["kind"] == SNAPSHOT:
            assert frame["written"] * frame["record_len"] == frame["payload_len"]
        else:
            frame["note"] = parse_note(frame["payload"].decode())
        found.append(frame)
        at = end
    return found, at


def only_frames(data):
    """Returns the frames of data that must contain complete frames and nothing else."""
    frames, end = frames_of(data)
    assert end == len(data)
    return frames


def snapshots(data):
    """Returns the snapshots at the start of the data."""
    return [frame for frame in frames_of(data)[0] if frame["kind"] == SNAPSHOT]


def notes(data):
    """Returns the notes at the start of the data."""
    return [frame["note"] for frame in frames_of(data)[0] if frame["kind"] == NOTE]
