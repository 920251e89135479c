#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""words.py: fails if a tracked text contains a word or phrase that we do not use, and prints what to write instead.

The rules match prose, in documents as well as in comments, messages and names of tests.  A phrase that is broken over
two lines is found too.
"""

import fnmatch
import pathlib
import re
import subprocess
import sys

# A phrase to avoid and what to write instead.
RULES = {
    r"\b(tell|tells|telling|told)\b": "print, report, document, list",
    r"\bsa(y|ys|id) of\b": "report, document",
    r"\bstands? (in|behind|for|among)\b": "is (in, after), follows",
    r"\bbehind (a|an|the|its|each|every|all|them|it|those|that)\b": "after",
    r"\bthe begin\b": "the start, the beginning",
    r"\banew\b": "again",
    r"\bso (many|much|long|often)\b(?! (that|as)\b)": "N, for N seconds, every N",
    r"\b(go|goes|going|went) on\b": "continue, resume",
    r"\bnone (where|if|once|until)\b": "`None` if, absent if",
    r"(?<![Tt]here )\b(is|are) no (?!longer\b|more\b|[a-z]+ (that|which|to)\b)[a-z]+": "is not a",
    r"\b(is|are) nothing for\b": "cannot write ... to",
    r"\bha(s|ve) it (do|go|run|write|reach|had)\b": "make it do, let it do",
    r"\bno trouble\b": "informational messages",
    r"\bwhat others (made|write|wrote)\b": "third-party files",
    r"\brights that are not needed\b": "drop privileges, enter the sandbox",
    r"\bvanish(es|ed|ing)?\b": "disappear",
    r"\b(is|are|be|was|were|and|not) waited for\b": "the logger retries, is delayed",
    r"\bthe place is\b": "the position is",
    r"\bkn(ow|ows|ew|own) of\b": "know, support",
    r"\bcut(s|ting)? off\b": "truncate",
    r"\b(is|are|was|were|be|had|never) torn\b|\btorn (end|frame|last|line|log|row)s?\b": "truncated",
    r"\b(is|are|be|was|were|taken|or) whole\b": "complete, intact",
    r"\blook(s|ed|ing)? at\b": "inspect, view, check",
    r"\bsum(s|med|ming)? (it |them |\w+ logs? |a log )?up\b": "summarize",
    r"\b(is|are) another than\b": "differs from",
    r"\bof (which|whom|what) every\b": "every ... of which",
    r"\b([Mm]ost|[Ll]east) (bytes|descriptors|microseconds) (of|between)\b": "maximum, minimum",
    r"\bit is there already\b": "file exists",
    r"\bfor want of\b": "because ... is missing",
    r"\bof late\b": "recent",
    r"\bgives? (whether|how many|which)\b": "returns",
    r"\b(Told|Reported|Given) (is|are)\b": "subject first: lines that ... are reported",
    r"\bneed(s)? not be there\b": "may be missing",
    r"\bas it is(?=\s*([,.;:)]|$))": "unchanged",
}
# British spelling, where words are not names in a program.
SPELLING = {
    r"\b(behavior|color|favor|neighbor|honor)(s|ed|ing)?\b": "-our",
    r"\blicense(s)?\b": "licence (the noun)",
    r"\b(center|gray|catalog)(s)?\b": "centre, grey, catalogue",
}
PROSE = "*.md", "man/*", "pkg-descr*", "pkg-message*"

# Not ours, or not prose.
SKIPPED = (
    "*.bin", "*.lock", "*.parquet", "*.png", "*.ttf", "*.zst", "LICENSE", "*/LICENSE", "Makefile.crates", "distinfo", "pkg-plist",
    "fuzz/seeds/*", "src/tcpstats/tests/golden/*", "src/viewer/vendor/*/*.js", "src/viewer/vendor/*/*.css", "tests/words.py",
)
# Names and quotations: the path, and the text around a match.
ALLOWED = {
    ("*", "`torn`"),
}


def matches(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def flowing(text):
    """The text in one line, without comment markers and with names as words; and the line number of each character."""
    line_start = re.compile(r"[ \t]*(//[/!]?|#+|\*|--|\.\\\"|\.[A-Z][a-z]\b)?[ \t]*")
    parts, numbers = [], []
    for number, line in enumerate(text.splitlines(), 1):
        line = line[line_start.match(line).end() :].replace("_", " ") + " "
        parts.append(line)
        numbers += [number] * len(line)
    return "".join(parts), numbers


def findings(path, text):
    rules = RULES | SPELLING if matches(path, PROSE) else RULES
    line, numbers = flowing(text)
    for pattern, instead in rules.items():
        for match in re.finditer(pattern, line):
            around = line[max(0, match.start() - 20) : match.end() + 20]
            if not any(fnmatch.fnmatch(path, where) and quotation in around for where, quotation in ALLOWED):
                yield numbers[match.start()], f'{path}:{numbers[match.start()]}: "{match[0]}"; write: {instead}'


def main():
    root = pathlib.Path(__file__).resolve().parents[1]
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    paths = sys.argv[1:] or [path for path in tracked.split("\0") if path and not matches(path, SKIPPED)]
    found = []
    for path in paths:
        if (root / path).is_file():
            found += (text for _, text in sorted(findings(path, (root / path).read_text())))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
