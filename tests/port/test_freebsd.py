# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The programs and the archive of `make freebsd`."""

import gzip
import os
import pathlib
import re
import shlex
import subprocess
import tarfile

import pytest

from plist import ROOT, packed


def target(arch):
    """Returns the description of an architecture in freebsd/arch."""
    lines = (ROOT / "freebsd/arch" / arch).read_text().splitlines()
    return dict(shlex.split(line)[0].split("=", 1) for line in lines if "=" in line)


RELEASE = os.environ.get("FREEBSD_RELEASE", "14")
ARCH = os.environ.get("FREEBSD_ARCH", "amd64")
TARGET = target(ARCH)
BUILT = ROOT / "target/freebsd"
LLVM = pathlib.Path(os.environ.get("LLVM", "/usr/lib/llvm-19")) / "bin"

MACHINES = {"aarch64": "AArch64", "amd64": "Advanced Micro Devices X86-64"}
PROGRAMS = ["siftr_cdev_logger", "tcpstats", "vmsuite"]

# The programs in the archive.
PACKED = ["usr/local/bin/tcpstats", "usr/local/sbin/siftr_cdev_logger"]


def readelf(*arguments):
    return subprocess.run(
        [LLVM / "llvm-readelf", "-W", *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def tar(tmp_path_factory):
    """The members of the archive, and the directory into which they were extracted."""
    folder = tmp_path_factory.mktemp("root")
    with tarfile.open(BUILT / f"siftr_cdev-freebsd{RELEASE}-{ARCH}.tar.gz") as archive:
        archive.extractall(folder)
        return archive.getmembers(), folder


@pytest.fixture(params=[*PROGRAMS, *PACKED])
def program(request, tar):
    """A program in the build directory or in the archive."""
    return (tar[1] if request.param in PACKED else BUILT / ARCH) / request.param


def test_the_kernel_recognizes_a_program_of_freebsd(program):
    header = readelf("--file-header", program)
    assert re.search(r"OS/ABI:\s+UNIX - FreeBSD$", header, re.MULTILINE)
    assert re.search(rf"Machine:\s+{MACHINES[ARCH]}$", header, re.MULTILINE)
    assert "Requesting program interpreter: /libexec/ld-elf.so.1]" in readelf("--program-headers", program)
    # The ABI note contains the release, which sys/kern/imgact_elf.c uses as osreldate.
    assert re.search(r"^\s+FreeBSD\s+0x\w+\s+NT_FREEBSD_ABI_TAG", readelf("--notes", program), re.MULTILINE)


def test_only_libraries_of_the_base_system_are_required(program):
    needed = set(re.findall(r"\(NEEDED\)\s+Shared library: \[(\S+)\]", readelf("--dynamic", program)))
    assert {"libc.so.7", "libthr.so.3"} <= needed <= {"libc.so.7", "libm.so.5", "libthr.so.3"}


def test_all_symbols_exist_in_freebsd_14(program):
    symbols = [line.split()[-1] for line in readelf("--dyn-syms", program).splitlines() if " UND " in line]
    versioned = [name.partition("@") for name in symbols if "@" in name]
    assert len(versioned) > 50
    # FBSD_1.7 is the last version of symbols in 14.0, and FBSDprivate is reserved for the base system.
    assert {version.strip("@") for _, _, version in versioned} <= {f"FBSD_1.{minor}" for minor in range(8)}
    names = {name for name, _, _ in versioned}
    assert "__error" in names and any(name.startswith("pthread_") for name in names)
    # Symbols that only glibc and Linux have.
    assert not {name for name in names if re.match(r"__errno_location|__libc_start_main|gnu_get|epoll_|inotify_", name)}


def test_the_archive_contains_no_path_of_the_build(tar):
    _, folder = tar
    for name in packed():
        content = (folder / name).read_bytes()
        for path in (ROOT, pathlib.Path.home()):
            assert bytes(path) + b"/" not in content, name


def test_the_archive_contains_the_files_of_the_package_and_no_directories(tar):
    members, _ = tar
    assert {member.name: member.mode for member in members} == packed()
    assert {(member.uid, member.uname, member.gid, member.gname) for member in members} == {(0, "root", 0, "wheel")}
    assert all(member.isfile() for member in members)


def test_archived_files_are_those_of_the_tree(tar):
    _, folder = tar
    assert (folder / "boot/modules/siftr_cdev.ko").read_bytes() == (ROOT / f"target/kmod/{RELEASE}-{ARCH}/siftr_cdev.ko").read_bytes()
    page = folder / "usr/local/share/man/man8/siftr_cdev_logger.8.gz"
    assert gzip.decompress(page.read_bytes()) == (ROOT / "man/siftr_cdev_logger.8").read_bytes()
    for name in "tcpstats_logger", "tcpstats_serve":
        script = (folder / "usr/local/etc/rc.d" / name).read_text()
        assert script == (ROOT / "rc.d" / name).read_text().replace("%%PREFIX%%", "/usr/local")


def test_a_c_program_for_freebsd_can_use_the_header(tar, tmp_path):
    _, folder = tar
    source = tmp_path / "x.c"
    source.write_text(
        "#include <netinet/tcpstats.h>\n"
        "_Static_assert(sizeof(struct tcpstats_header) == 136, \"header\");\n"
        "unsigned long x = TCPSTATS_GET_INFO + sizeof(struct tcpstats_record);\n"
    )
    zig = BUILT / "zig/ziglang/zig"
    command = [zig, "cc", "-target", f"{TARGET['ZIG_TARGET']}.14.0", "-Wall", "-Wextra", "-Werror", "-I", folder / "usr/local/include"]
    subprocess.run([*command, "-c", source, "-o", tmp_path / "x.o"], check=True)
