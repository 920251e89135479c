# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""tcpstats.h has the same layout and numbers in C and C++ as the crate has in Rust."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLVM = pathlib.Path(os.environ.get("LLVM", "/usr/lib/llvm-19")) / "bin"
TARGETS = [(release, arch) for release in ("14", "15") for arch in ("x86_64", "aarch64")]
# The oldest standard of each language that has static assertions.
LANGUAGES = {"c": "c11", "c++": "c++11"}


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    path = tmp_path_factory.mktemp("header") / "tcpstats.h"
    subprocess.run([ROOT / "target/debug/siftr_cdev_gen", "header", path], check=True)
    return path


@pytest.fixture(scope="module")
def layout():
    """The layout of the crate, as lists of words."""
    command = ["cargo", "run", "-q", "--locked", "-p", "tcpstats", "--example", "layout"]
    text = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = [line.split() for line in text.splitlines()]
    assert len(lines) > 150
    return lines


def assertions(layout):
    """Returns a program that compiles only if the header matches the layout."""
    text = ['#include "tcpstats.h"', "#ifndef __cplusplus", "#define static_assert _Static_assert", "#endif"]

    def holds(left, right):
        text.append(f'static_assert({left} == {right}, "{left}");')

    for kind, *words in layout:
        if kind == "size":
            of, size = words
            of, _, inner = of.partition(".")
            what = f"sizeof(((struct tcpstats_{of} *)0)->{inner})" if inner else f"sizeof(struct tcpstats_{of})"
            holds(what, size)
        elif kind == "member":
            of, name, offset, size = words
            holds(f"__builtin_offsetof(struct tcpstats_{of}, {name})", offset)
            holds(f"sizeof(((struct tcpstats_{of} *)0)->{name})", size)
        else:
            assert kind == "number"
            name, number = words
            holds(f"TCPSTATS_{name}", number)
    return "\n".join(text) + "\n"


def compile_for(release, arch, language, header, program):
    headers = ROOT / f"target/kmod/headers/{release}"
    command = [
        LLVM / "clang", f"--target={arch}-unknown-freebsd{release}.0", "-nostdinc",
        "-isystem", headers / f"{arch}-freebsd-none", "-isystem", headers / "generic-freebsd", "-I", header.parent,
        "-x", language, f"-std={LANGUAGES[language]}", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-",
    ]  # fmt: skip
    return subprocess.run([str(word) for word in command], input=program, capture_output=True, text=True)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("release, arch", TARGETS)
def test_sizes_offsets_and_numbers_are_those_of_the_crate(release, arch, language, header, layout):
    result = compile_for(release, arch, language, header, assertions(layout))
    assert result.returncode == 0, result.stderr[-4000:]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_difference_does_not_compile(language, header, layout):
    for wrong in (["size", "record", "513"], ["member", "record", "srtt", "9", "4"], ["number", "GET_INFO", "1"]):
        result = compile_for("14", "x86_64", language, header, assertions([wrong]))
        assert result.returncode != 0 and "static assertion failed" in result.stderr, result.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_header_requires_no_other(language, header):
    result = compile_for("14", "x86_64", language, header, '#include "tcpstats.h"\n#include "tcpstats.h"\n')
    assert result.returncode == 0, result.stderr


def test_every_member_and_every_number_of_the_header_is_checked(header, layout):
    text = header.read_text()
    written = {
        (of, member)
        for of, body in re.findall(r"^struct tcpstats_(\w+) \{\n(.*?)^\};", text, re.MULTILINE | re.DOTALL)
        for member in re.findall(r"^\t\w+\s+(\w+)(?:\[\d+\])*;", body, re.MULTILINE)
        if member != "zero"
    }
    assert len(written) > 100
    assert written == {(words[1], words[2]) for words in layout if words[0] == "member"}
    numbers = set(re.findall(r"^#define\s+TCPSTATS_(\w+)\s", text, re.MULTILINE))
    assert numbers == {words[1] for words in layout if words[0] == "number"}
