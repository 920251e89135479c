# SPDX-License-Identifier: BSD-2-Clause
"""Whether a log is whole, told by `tcpstats check`."""

import re

import pytest
from bin_log import snapshots
from logs import frames, real  # noqa: F401
from viewer import refuse, run, start

WHOLE = re.compile(r"whole: (\d+) snapshots, (\d+) records, [\d.]+ s from \d+\.\d{3}(, changes only)?\n")


def problems(*logs, **options):
    """The problems that are told of a log that is not whole, without its name."""
    done = start("check", "-a", *logs, **options)
    assert (done.returncode, done.stderr) == (1, b"")
    *lines, verdict = done.stdout.decode().splitlines()
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    assert verdict.startswith(f"not whole, {count}: ")
    names = [str(log) for log in logs] if logs != ("-",) else ["standard input"]
    found = [re.fullmatch(f"({'|'.join(map(re.escape, names))}): (.*)", line) for line in lines]
    assert all(found), lines
    return [match[2] for match in found]


@pytest.fixture
def lines(real):  # noqa: F811
    """The lines of a whole CSV log."""
    text = (real / "basic.csv").read_text()
    return [line for line in text.splitlines(keepends=True) if not line.startswith("# missed")]


@pytest.fixture
def check(tmp_path, lines):
    """Checks a log with some lines of the whole one replaced."""

    def check_with(change):
        log = tmp_path / "log.csv"
        log.write_text("".join(change(list(lines))))
        return problems(log)

    return check_with


def index(lines, begin):
    return next(i for i, line in enumerate(lines) if line.startswith(begin))


@pytest.mark.parametrize("name", ["basic.csv", "all.json", "all.siftr", "all.bin", "changes.csv", "changes.bin"])
def test_a_log_that_the_logger_wrote_is_whole(real, frames, name):  # noqa: F811
    told = run("check", real / name).decode()
    match = WHOLE.fullmatch(told)
    assert match, told
    shots = snapshots(frames.read_bytes())
    if name != "all.siftr":
        assert int(match[1]) == len(shots)
    if name == "basic.csv":
        assert int(match[2]) == sum(shot["written"] for shot in shots)
    assert bool(match[3]) == name.startswith("changes")
    assert run("check", "-q", real / name) == b""
    assert run("check", "-", input=(real / name).read_bytes()).decode() == told


def test_lines_that_are_torn_are_told_one_by_one(check):
    row, cells = "", 0

    def tear(lines):
        nonlocal row, cells
        cells = lines[index(lines, "time,")].count(",") + 1
        at = index(lines, "# snapshot snapshot=3 ") - 2
        row = ",".join(lines[at].split(",")[:5])
        lines[at] = row + "\n"
        lines[at + 4] = lines[at + 4][:20] + lines[at + 5]
        del lines[at + 5]
        return lines

    torn, third, merged, fourth = check(tear)
    assert re.fullmatch(rf"line \d+: at byte {len(row) + 1}: expected {cells} cells in the row", torn)
    assert re.match(r"line \d+: at byte \d+: expected ", merged)
    for number, told in (3, third), (4, fourth):
        assert re.search(rf"snapshot {number} has \d+ records; it says \d+", told)


def test_a_snapshot_that_is_missing_is_told_unless_a_note_tells_it(check, lines):
    def remove(lines, note=None):
        begin, end = index(lines, "# snapshot snapshot=4 ") + 1, index(lines, "# snapshot snapshot=6 ") + 1
        lines[begin:end] = [note] if note else []
        return lines

    missing, counts = check(remove)
    assert missing.endswith("2 snapshots are missing between 4 and 7, and no note tells of it")
    assert "the closing line says" in counts
    note = '# gap snapshots=2 records=9 first=5 last=6 why="No space left on device"\n'
    gap, _ = check(lambda lines: remove(lines, note))
    assert gap.endswith("2 snapshots with 9 records were dropped, from number 5 to 6: No space left on device")


def test_missed_ticks_a_lost_source_and_torn_bytes_are_told(check):
    def insert(lines):
        at = index(lines, "# snapshot snapshot=4 ") + 1
        lines[at:at] = [
            "# missed ticks=3 total=3\n",
            '# source_lost time=1.000000000 missed_ticks=3 why="gone"\n',
            "# torn bytes=17\n",
        ]
        return lines

    missed, lost, torn = check(insert)
    assert missed.endswith(": 3 ticks were missed")
    assert lost.endswith(": the source was lost: gone")
    assert torn.endswith(": 17 bytes that a crash had torn were removed here")


def test_steps_of_the_clock_are_told(check):
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
    assert re.search(r"the clock goes back by (99|100)\.\d+ s between snapshots 8 and 9$", back)


def test_the_monotonic_clock_of_frames_shows_small_steps(real, tmp_path):  # noqa: F811
    data = bytearray((real / "all.bin").read_bytes())
    for shot in snapshots(bytes(data))[5:]:
        at = shot["at"]
        data[at + 32 : at + 40] = (shot["wall_ns"] + 200_000_000).to_bytes(8, "little")
        # Without the flag that there is a CRC there need be none.
        data[at + 96] &= ~8
    log = tmp_path / "log.bin"
    log.write_bytes(data)
    (step,) = problems(log)
    assert re.search(r"the clock steps forward by 0\.(199|200)\d* s between snapshots 5 and 6$", step)


def test_truncated_and_interrupted_snapshots_are_told(check):
    def truncate(lines):
        at = index(lines, "# snapshot snapshot=2 ")
        matched = int(re.search(r"matched=(\d+)", lines[at])[1])
        lines[at] = lines[at].replace(f"matched={matched}", f"matched={matched + 5}").replace(" missed=0", " missed=5")
        lines[at] = lines[at].replace("flags=0", "flags=1")
        at = index(lines, "# snapshot snapshot=3 ")
        lines[at] = lines[at].replace("flags=0", "flags=4")
        at = index(lines, "# snapshot snapshot=4 ")
        lines[at] = re.sub(r"matched=\d+", "matched=9999", lines[at])
        return lines

    truncated, interrupted, contradiction = check(truncate)
    assert truncated.endswith("snapshot 2 is truncated: 5 connections are missing")
    assert "snapshot 3: the kernel's tables changed meanwhile" in interrupted
    assert "snapshot 4 says that 9999 connections matched" in contradiction


def test_records_without_their_snapshot_are_told(check):
    def cut(lines):
        del lines[index(lines, "# snapshot snapshot=4 ")]
        return lines

    unfinished, missing, _ = check(cut)
    assert re.search(r"snapshot 4 is cut off: \d+ of its records are there, and not its closing line", unfinished)
    assert "1 snapshots are missing between 3 and 5" in missing


def test_an_end_without_a_closing_line_is_told(check):
    assert check(lambda lines: lines[:-1]) == [
        "at its end: there is no closing line: the logger was killed, or it still runs"
    ]


def test_rotated_files_are_whole_together_and_not_without_one_of_them(tmp_path, lines):
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
    told = run("check", *logs).decode()
    assert WHOLE.fullmatch(told)
    missing, _ = problems(logs[0], logs[2])
    assert missing.endswith("10 snapshots are missing between 10 and 21, and no note tells of it")


def test_damaged_frames_are_told_and_what_follows_is_read(frames, tmp_path):  # noqa: F811
    data = bytearray(frames.read_bytes())
    shots = snapshots(frames.read_bytes())
    data[shots[2]["end"] - 5] ^= 1
    data[shots[4]["at"] : shots[4]["at"] + 4] = b"XXXX"
    log = tmp_path / "log.bin"
    log.write_bytes(data)
    told = problems(log)
    assert f"at byte {shots[2]['at']}: the frame is damaged (CRC mismatch)" in told
    assert f"at byte {shots[4]['at']}: no frame starts here (bad magic)" in told
    assert any("1 snapshots are missing between 2 and 4" in problem for problem in told)
    assert any("1 snapshots are missing between 4 and 6" in problem for problem in told)
    assert f": {len(shots) - 2} snapshots, " in start("check", log).stdout.decode()


def test_changes_without_a_keyframe_are_told(real, tmp_path):  # noqa: F811
    text = (real / "changes.csv").read_text().splitlines(keepends=True)
    at = index(text, "# snapshot snapshot=1 ") + 1
    log = tmp_path / "log.csv"
    log.write_text("".join([*text[:2], *text[at:]]))
    assert "snapshot 2 has changes only, and no keyframe before it" in problems(log)[0]


def test_what_is_no_log_is_refused():
    assert refuse("check", "/etc/passwd").startswith("/etc/passwd: not a tcpstats log ")
    assert refuse("check", "/nowhere") == "/nowhere: No such file or directory"
