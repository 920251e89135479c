# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""tcpstats check: complete logs have no problems, and problems are reported with their position."""

import re

import pytest
from bin_log import snapshots
from logs import frames, real  # noqa: F401
from viewer import refuse, run, start

COMPLETE = re.compile(r"no problems: (\d+) snapshots, (\d+) records, [\d.]+ s from \d+\.\d{3}(, changes only)?\n")


def problems(*logs, **options):
    """Returns the problems that are reported, without the name of the log."""
    done = start("check", "-a", *logs, **options)
    assert (done.returncode, done.stderr) == (1, b"")
    *lines, verdict = done.stdout.decode().splitlines()
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    assert verdict.startswith(f"{count}: ")
    names = [str(log) for log in logs] if logs != ("-",) else ["standard input"]
    found = [re.fullmatch(f"({'|'.join(map(re.escape, names))}): (.*)", line) for line in lines]
    assert all(found), lines
    return [match[2] for match in found]


@pytest.fixture
def lines(real):  # noqa: F811
    """The lines of a complete CSV log."""
    text = (real / "basic.csv").read_text()
    return [line for line in text.splitlines(keepends=True) if not line.startswith("# missed")]


@pytest.fixture
def check(tmp_path, lines):
    """Checks a log in which some lines of the complete one are replaced."""

    def check_with(change):
        log = tmp_path / "log.csv"
        log.write_text("".join(change(list(lines))))
        return problems(log)

    return check_with


def index(lines, begin):
    return next(i for i, line in enumerate(lines) if line.startswith(begin))


@pytest.mark.parametrize("name", ["basic.csv", "all.json", "all.siftr", "all.bin", "changes.csv", "changes.bin"])
def test_logs_of_the_logger_have_no_problems(real, frames, name):  # noqa: F811
    output = run("check", real / name).decode()
    match = COMPLETE.fullmatch(output)
    assert match, output
    shots = snapshots(frames.read_bytes())
    if name != "all.siftr":
        assert int(match[1]) == len(shots)
    if name == "basic.csv":
        assert int(match[2]) == sum(shot["written"] for shot in shots)
    assert bool(match[3]) == name.startswith("changes")
    assert run("check", "-q", real / name) == b""
    assert run("check", "-", input=(real / name).read_bytes()).decode() == output


def test_each_truncated_or_merged_line_is_reported(check):
    row, cells = "", 0

    def damage(lines):
        nonlocal row, cells
        cells = lines[index(lines, "time,")].count(",") + 1
        at = index(lines, "# snapshot snapshot=3 ") - 2
        row = ",".join(lines[at].split(",")[:5])
        lines[at] = row + "\n"
        lines[at + 4] = lines[at + 4][:20] + lines[at + 5]
        del lines[at + 5]
        return lines

    truncated, third, merged, fourth = check(damage)
    assert re.fullmatch(rf"line \d+: at byte {len(row) + 1}: expected {cells} cells in the row", truncated)
    assert re.match(r"line \d+: at byte \d+: expected ", merged)
    for number, problem in (3, third), (4, fourth):
        assert re.search(rf"snapshot {number} has \d+ records; expected \d+", problem)


def test_missing_snapshots_are_reported_with_or_without_a_note(check, lines):
    def remove(lines, note=None):
        begin, end = index(lines, "# snapshot snapshot=4 ") + 1, index(lines, "# snapshot snapshot=6 ") + 1
        lines[begin:end] = [note] if note else []
        return lines

    missing, counts = check(remove)
    assert missing.endswith("2 snapshots are missing between 4 and 7, without a note")
    assert "the closing line counts" in counts
    note = '# gap snapshots=2 records=9 first=5 last=6 why="No space left on device"\n'
    gap, _ = check(lambda lines: remove(lines, note))
    assert gap.endswith("dropped 2 snapshots with 9 records, from number 5 to 6: No space left on device")


def test_missed_ticks_a_lost_source_and_removed_bytes_are_reported(check):
    def insert(lines):
        at = index(lines, "# snapshot snapshot=4 ") + 1
        lines[at:at] = [
            "# missed ticks=3 total=3\n",
            '# source_lost time=1.000000000 missed_ticks=3 why="gone"\n',
            "# torn bytes=17\n",
        ]
        return lines

    missed, lost, removed = check(insert)
    assert missed.endswith(": missed 3 ticks")
    assert lost.endswith(": the source was lost: gone")
    assert removed.endswith(": 17 bytes of an incomplete line or frame were removed here after a crash")


def test_steps_of_the_clock_are_reported(check):
    def step(lines, seconds):
        at = index(lines, "# snapshot snapshot=9 ")
        for i in range(at, len(lines)):
            lines[i] = re.sub(
                r"^(\d+)|(?<= time=)(\d+)", lambda match: str(int(match[0]) + seconds), lines[i], count=1
            )
        return lines

    (forward,) = check(lambda lines: step(lines, 100))
    assert re.search(r"the clock steps forward by (99|100)\.\d+ s between snapshots 8 and 9$", forward)
    (back,) = check(lambda lines: step(lines, -100))
    assert re.search(r"the clock steps back by (99|100)\.\d+ s between snapshots 8 and 9$", back)


def test_small_steps_are_found_with_the_monotonic_clock_of_frames(real, tmp_path):  # noqa: F811
    data = bytearray((real / "all.bin").read_bytes())
    for shot in snapshots(bytes(data))[5:]:
        at = shot["at"]
        data[at + 32 : at + 40] = (shot["wall_ns"] + 200_000_000).to_bytes(8, "little")
        # Clear the flag for the CRC, which is no longer right.
        data[at + 96] &= ~8
    log = tmp_path / "log.bin"
    log.write_bytes(data)
    (step,) = problems(log)
    assert re.search(r"the clock steps forward by 0\.(199|200)\d* s between snapshots 5 and 6$", step)


def test_truncated_and_interrupted_snapshots_are_reported(check):
    def truncate(lines):
        at = index(lines, "# snapshot snapshot=2 ")
        matched = int(re.search(r"matched=(\d+)", lines[at])[1])
        lines[at] = lines[at].replace(f"matched={matched}", f"matched={matched + 5}").replace(" missed=0", " missed=5")
        lines[at] = lines[at].replace("flags=64", "flags=65")
        at = index(lines, "# snapshot snapshot=3 ")
        lines[at] = lines[at].replace("flags=64", "flags=68")
        at = index(lines, "# snapshot snapshot=4 ")
        lines[at] = re.sub(r"matched=\d+", "matched=9999", lines[at])
        return lines

    truncated, interrupted, contradiction = check(truncate)
    assert truncated.endswith("snapshot 2 is truncated and lacks 5 connections")
    assert "snapshot 3: the kernel's tables changed during the walk" in interrupted
    assert "snapshot 4 is inconsistent: 9999 connections matched" in contradiction


def test_records_without_the_line_of_their_snapshot_are_reported(check):
    def cut(lines):
        del lines[index(lines, "# snapshot snapshot=4 ")]
        return lines

    unfinished, missing, _ = check(cut)
    assert re.search(r"snapshot 4 is truncated: found \d+ records but no closing line", unfinished)
    assert "1 snapshot is missing between 3 and 5" in missing


def test_a_missing_closing_line_is_reported(check):
    assert check(lambda lines: lines[:-1]) == [
        "at its end: no closing line: the logger was killed or is still running"
    ]


def test_rotated_files_are_complete_together_and_not_if_one_is_missing(tmp_path, lines):
    head = lines[:2]
    cuts = [index(lines, f"# snapshot snapshot={number} ") + 1 for number in (10, 20)]
    rotated = "# rotated time=1.000000000 snapshots=1 records=1 missed_ticks=0 dropped=0\n"
    parts = [
        [*lines[: cuts[0]], rotated],
        [*head, *lines[cuts[0] : cuts[1]], rotated],
        [*head, *lines[cuts[1] :]],
    ]
    logs = [tmp_path / f"log.{number}" for number in range(3)]
    for log, part in zip(logs, parts, strict=True):
        log.write_text("".join(part))
    output = run("check", *logs).decode()
    assert COMPLETE.fullmatch(output)
    missing, _ = problems(logs[0], logs[2])
    assert missing.endswith("10 snapshots are missing between 10 and 21, without a note")


def test_damaged_frames_are_reported_and_skipped(frames, tmp_path):  # noqa: F811
    data = bytearray(frames.read_bytes())
    shots = snapshots(frames.read_bytes())
    data[shots[2]["end"] - 5] ^= 1
    data[shots[4]["at"] : shots[4]["at"] + 4] = b"XXXX"
    log = tmp_path / "log.bin"
    log.write_bytes(data)
    output = problems(log)
    assert f"at byte {shots[2]['at']}: the frame is damaged (CRC mismatch)" in output
    assert f"at byte {shots[4]['at']}: no frame starts here (bad magic)" in output
    assert any("1 snapshot is missing between 2 and 4" in problem for problem in output)
    assert any("1 snapshot is missing between 4 and 6" in problem for problem in output)
    assert f": {len(shots) - 2} snapshots, " in start("check", log).stdout.decode()


def test_changes_without_a_keyframe_are_reported(real, tmp_path):  # noqa: F811
    text = (real / "changes.csv").read_text().splitlines(keepends=True)
    at = index(text, "# snapshot snapshot=1 ") + 1
    log = tmp_path / "log.csv"
    log.write_text("".join([*text[:2], *text[at:]]))
    assert "snapshot 2 has changes only and follows no keyframe" in problems(log)[0]


def test_a_file_that_is_not_a_log_is_refused():
    assert refuse("check", "/etc/passwd").startswith("/etc/passwd: not a tcpstats log ")
    assert refuse("check", "/nowhere") == "/nowhere: No such file or directory"
