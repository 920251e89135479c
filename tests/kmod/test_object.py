# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The object code of the built modules, checked against the requirements of the kernel."""

import os
import pathlib
import re
import struct
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLVM = pathlib.Path(os.environ.get("LLVM", "/usr/lib/llvm-19")) / "bin"
BUILDS = [f"{release.name}-{arch.name}" for release in sorted(ROOT.glob("freebsd/release/*")) for arch in sorted(ROOT.glob("freebsd/arch/*"))]

# A kernel thread has a stack of 16 KB, which the rest of the system call uses too.
LARGEST_FRAME = 3072


def run(*command, **more):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, **more).stdout


@pytest.fixture(params=BUILDS)
def build(request):
    folder = ROOT / "target/kmod" / request.param
    assert (folder / "siftr_cdev.ko").exists(), "built by make kmod"
    return folder


def is_amd64(build):
    return build.name.endswith("amd64")


def instructions(build):
    lines = run(LLVM / "llvm-objdump", "-d", "--no-show-raw-insn", build / "siftr_cdev.kld").splitlines()
    found = [line.split(None, 1)[1] for line in lines if re.match(r"\s*[0-9a-f]+:\s", line)]
    assert len(found) > 1000
    return found


def test_only_relocations_that_the_kernel_supports_are_used(build):
    kinds = set(re.findall(r"R_(?:X86_64|AARCH64)_\w+", run(LLVM / "llvm-readelf", "-r", build / "siftr_cdev.ko")))
    # amd64/amd64/elf_machdep.c and arm64/arm64/elf_machdep.c, elf_reloc_internal().
    known = (
        {"R_X86_64_64", "R_X86_64_32S", "R_X86_64_PC32", "R_X86_64_PLT32"}
        if is_amd64(build)
        else {"R_AARCH64_ABS64", "R_AARCH64_GLOB_DAT", "R_AARCH64_JUMP_SLOT", "R_AARCH64_RELATIVE"}
    )
    assert kinds and kinds <= known


def test_only_listed_symbols_of_the_kernel_are_used(build):
    lines = [line.split() for line in (pathlib.Path(__file__).parent / "kpi.txt").read_text().splitlines()]
    needed = {name for line in lines if line[0] not in ("#", "weak") for name in line}
    optional = {name for line in lines if line[0] == "weak" for name in line[1:]}
    used = [line.split() for line in run(LLVM / "llvm-nm", "-u", build / "siftr_cdev.ko").splitlines()]
    # The linker defines these symbols from the names of sections.
    used = {(kind, name) for kind, name in used if not re.match(r"__(start|stop)_set_", name)}
    # The kernel's linker refuses a module with an unknown symbol, unless the symbol is weak.
    assert {name for kind, name in used if kind == "U"} <= needed
    assert {name for kind, name in used if kind != "U"} == optional


def test_no_panic_of_rust_is_reachable(build):
    undefined = run(LLVM / "llvm-nm", "-u", build / "siftr_cdev_rust.o")
    assert "siftr_cdev_malloc" in undefined
    # The panic handler calls it.  If no code panics, the handler itself is removed.
    assert "siftr_cdev_panic" not in undefined
    symbols = run(LLVM / "llvm-nm", build / "siftr_cdev.kld")
    assert not re.search(r"panicking|unwrap_failed|expect_failed|_Unwind|eh_personality", symbols)


def test_no_floating_point_or_vector_register_is_used(build):
    pattern = r"%[xyz]mm|%mm\d|%st\b" if is_amd64(build) else r"\b[qdshbv]\d+\b(?!\()"
    touching = [line for line in instructions(build) if re.search(pattern, line.split("//")[0].split("<")[0])]
    assert touching == []


def test_nothing_is_stored_below_the_stack_pointer(build):
    if not is_amd64(build):
        pytest.skip("aarch64 has no red zone")
    assert [line for line in instructions(build) if re.search(r"-0x[0-9a-f]+\(%rsp", line)] == []


def test_indirect_branches_find_landing_pads(build):
    if is_amd64(build):
        pytest.skip("kernels for amd64 do not require landing pads")
    # The linker sets a bit of the property only if all objects have it.
    properties = re.search(r"aarch64 feature: (.*)", run(LLVM / "llvm-readelf", "-n", build / "siftr_cdev.ko"))
    assert properties and {"BTI", "PAC"} <= set(properties[1].split(", "))


def test_no_function_uses_much_stack(build):
    pattern = r"subq?\s+\$(0x[0-9a-f]+), %rsp" if is_amd64(build) else r"sub\s+sp, sp, #(0x[0-9a-f]+)(, lsl #12)?"
    frames = [re.search(pattern, line) for line in instructions(build)]
    sizes = [int(found[1], 16) << (12 if found.lastindex == 2 else 0) for found in frames if found]
    assert sizes and max(sizes) <= LARGEST_FRAME


def test_the_linker_sets_exist(build):
    sections = run(LLVM / "llvm-readelf", "-S", "-W", build / "siftr_cdev.ko")
    for name in ("set_sysinit_set", "set_sysuninit_set", "set_modmetadata_set", "set_sysctl_set", "set_sdt_probes_set"):
        assert name in sections, name


def test_the_module_contains_no_path_of_the_build(build):
    assert str(ROOT).encode() not in (build / "siftr_cdev.ko").read_bytes()


def layout(object_file, command, **more):
    """Returns the numbers of the array LAYOUT in an object file that the command creates."""
    run(*command, "-o", object_file, **more)
    symbols = run(LLVM / "llvm-nm", "-S", object_file).splitlines()
    start, size = next((int(line.split()[0], 16), int(line.split()[1], 16)) for line in symbols if line.endswith(" LAYOUT"))
    sections = re.findall(r"\] (\.rodata\S*) ", run(LLVM / "llvm-readelf", "-S", "-W", object_file))
    assert len(sections) == 1, sections
    raw = object_file.with_suffix(".bin")
    run(LLVM / "llvm-objcopy", "-O", "binary", f"--only-section={sections[0]}", object_file, raw)
    data = raw.read_bytes()[start:start + size]
    assert len(data) == size
    return struct.unpack(f"<{size // 4}I", data)


def test_structures_have_the_layout_of_the_c_compiler(build):
    rust, c = build / "layout.rs", build / "layout.c"
    run(ROOT / "target/debug/siftr_cdev_gen", "layout", rust, c)
    # The build keeps the arguments that it gave to its compilers.
    clang = (build / "clang.args").read_text().splitlines()
    rustc = (build / "rustc.args").read_text().splitlines()
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1", "BINDINGS": str(build / "bindings.rs")}
    by_clang = layout(build / "layout-c.o", [LLVM / "clang", *clang, "-O2", "-c", c])
    by_rust = layout(
        build / "layout-rust.o", [*rustc, "--crate-type", "lib", "--emit", "obj", rust], env=environment
    )
    assert len(by_clang) > 50
    assert by_rust == by_clang


def test_clippy_has_no_warnings(build):
    # The workspace's lints do not cover code that is compiled only for the kernel.
    rustc = (build / "rustc.args").read_text().splitlines()
    library = build / "libtcpstats.rlib"
    lints = ["-Dwarnings", "-Dclippy::pedantic", "-Dclippy::undocumented_unsafe_blocks"]
    run(
        "clippy-driver", "--sysroot", "/usr", *rustc[1:], "--crate-type", "lib", "--crate-name", "siftr_cdev",
        "--extern", f"tcpstats={library}", "--emit=metadata", "-o", build / "clippy.rmeta", *lints,
        ROOT / "src/kmod/src/lib.rs",
        env={"PATH": "/usr/bin", "RUSTC_BOOTSTRAP": "1", "BINDINGS": str(build / "bindings.rs")},
    )
