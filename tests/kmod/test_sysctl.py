# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The structures of sysctls from which the owners of connections are derived have the layout that the crate expects."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLVM = pathlib.Path(os.environ.get("LLVM", "/usr/lib/llvm-19")) / "bin"
TARGETS = [(release, arch) for release in ("14", "15") for arch in ("x86_64", "aarch64")]
TABLES = ROOT / "src/source/src/owners/freebsd/tables.rs"
HEADERS = (
    "stddef.h", "sys/param.h", "sys/queue.h", "sys/socket.h", "sys/socketvar.h", "sys/file.h", "sys/user.h",
    "netinet/in.h", "netinet/in_pcb.h", "netinet/tcp.h", "netinet/tcp_var.h",
)  # fmt: skip


def numbers():
    """Returns the numbers of the crate, and what each is in C."""
    return re.findall(r"^    pub const \w+: \w+ = (\d+); // (.+)$", TABLES.read_text(), re.MULTILINE)


def compile_for(release, arch, numbers):
    headers = ROOT / f"target/kmod/headers/{release}"
    command = [
        LLVM / "clang", f"--target={arch}-unknown-freebsd{release}.0", "-nostdinc",
        "-isystem", headers / f"{arch}-freebsd-none", "-isystem", headers / "generic-freebsd",
        "-x", "c", "-std=gnu17", "-fsyntax-only", "-",
    ]  # fmt: skip
    program = [f"#include <{header}>" for header in HEADERS]
    program += [f'_Static_assert({meaning} == {number}, "{meaning}");' for number, meaning in numbers]
    return subprocess.run([str(word) for word in command], input="\n".join(program), capture_output=True, text=True)


@pytest.mark.parametrize("release, arch", TARGETS)
def test_sizes_and_offsets_are_those_of_the_kernel(release, arch):
    assert len(numbers()) > 20
    result = compile_for(release, arch, numbers())
    assert result.returncode == 0, result.stderr[-4000:]


def test_a_difference_does_not_compile():
    result = compile_for("14", "x86_64", [("57", "offsetof(struct xfile, xf_data)")])
    assert result.returncode != 0 and "static assertion failed" in result.stderr, result.stderr
