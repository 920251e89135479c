# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Code that breaks the rules of the kernel does not compile: sleeping with a mutex or a connection locked, or keeping
a reference to what a lock protects.  Each case is added to the driver, and the compiler must reject it for that reason.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "target/kmod/14-amd64"

USE = """
#![allow(dead_code, unused_imports, unused_mut)]
use crate::kpi::{self, Block, Pcb, Selected, Sleepable, Step, Sx, Uio, Visitor, Vnet, Wait, each_vnet};
use crate::registry::REGISTRY;
"""

# A visitor whose methods a case defines.
VISITOR = """
struct V<'a>(&'a mut Sleepable);
impl Visitor for V<'_> {
    fn visit(&mut self, pcb: &Pcb<'_>) -> Step { VISIT Step::Continue }
    fn skip(&mut self) -> Step { Step::Continue }
    fn pause(&mut self, pause: fn(&mut Sleepable), sleepable: &mut Sleepable) { pause(sleepable) }
}
"""

ALLOWED = {
    "sleep_without_a_lock": "fn case(s: &mut Sleepable) { s.yield_cpu(); s.pause_ns(1).ok(); s.quiesce().ok(); }",
    "wait_for_memory": "fn case(s: &mut Sleepable) { drop(Block::new(1, Wait::Yes(s))) }",
    "sleep_with_an_sx_lock": "fn case(sx: &Sx<u8>, s: &mut Sleepable) { let g = sx.lock(s); s.yield_cpu(); drop(g) }",
    "sleep_between_two_walks": "fn case(s: &mut Sleepable) { each_vnet(true, s, |_, s| s.yield_cpu()); s.yield_cpu() }",
    "sleep_when_a_walk_yields": VISITOR.replace("VISIT", ""),
    "allocate_without_waiting_under_a_mutex": "fn case() { REGISTRY.with(|_| drop(Block::new(1, Wait::No))) }",
    "allocate_without_waiting_with_a_connection_locked":
        VISITOR.replace("VISIT", "drop(Block::new(1, Wait::No));"),
}  # fmt: skip

CANNOT_BE_SENT = r"E0277.*cannot be sent between threads safely"
BORROWED = r"E0499|E0500|E0501"
ESCAPES = r"lifetime may not live long enough|E0521"

FORBIDDEN = {
    "yield_with_a_connection_locked": (
        VISITOR.replace("VISIT", "self.0.yield_cpu();")
        + "fn case(vnet: &Vnet, s: &mut Sleepable) { vnet.each_connection(Selected::ALL, s, &mut V(s)) }",
        BORROWED,
    ),
    "wait_for_memory_with_a_connection_locked": (
        VISITOR.replace("VISIT", "drop(Block::new(1, Wait::Yes(self.0)));")
        + "fn case(s: &mut Sleepable) { each_vnet(false, s, |vnet, _| vnet.each_connection(Selected::ALL, s, &mut V(s))) }",
        BORROWED,
    ),
    "wait_for_memory_with_an_entry_of_the_syn_cache_locked": (
        "fn case(vnet: &Vnet, s: &mut Sleepable) {"
        " vnet.each_half_open(s, |_| drop(Block::new(1, Wait::Yes(s)))) }",
        BORROWED,
    ),
    "yield_under_a_mutex": ("fn case(s: &mut Sleepable) { REGISTRY.with(|_| s.yield_cpu()) }", CANNOT_BE_SENT),
    "pause_under_a_mutex": ("fn case(s: &mut Sleepable) { REGISTRY.with(|_| s.pause_ns(1).ok()); }", CANNOT_BE_SENT),
    "wait_for_memory_under_a_mutex": (
        "fn case(s: &mut Sleepable) { REGISTRY.with(|_| drop(Block::new(1, Wait::Yes(s)))) }",
        CANNOT_BE_SENT,
    ),
    "lock_an_sx_lock_under_a_mutex": (
        "fn case(sx: &Sx<u8>, s: &mut Sleepable) { REGISTRY.with(|_| drop(sx.lock(s))) }",
        CANNOT_BE_SENT,
    ),
    "copy_to_the_reader_under_a_mutex": (
        "fn case(uio: &mut Uio<'_>, s: &mut Sleepable) { REGISTRY.with(|_| uio.put(&[], s).ok()); }",
        CANNOT_BE_SENT,
    ),
    "walk_under_a_mutex": ("fn case(s: &mut Sleepable) { REGISTRY.with(|_| each_vnet(true, s, |_, _| ())) }", CANNOT_BE_SENT),
    "hide_permission_in_a_structure": (
        "struct S<'a>(&'a mut Sleepable); fn case(s: S<'_>) { REGISTRY.with(move |_| { let s = s; s.0.yield_cpu() }) }",
        CANNOT_BE_SENT,
    ),
    "sleep_without_permission": ("fn case(sx: &Sx<u8>) { drop(sx.lock()) }", "E0061.*takes 1 argument"),
    "create_permission": ("fn case() { Sleepable::new().yield_cpu() }", "E0624.*`new` is private"),
    "copy_permission": ("fn case(s: &mut Sleepable) { let mut s = *s; s.yield_cpu() }", "E0507.*cannot move out of"),
    "keep_a_connection_after_its_visit": (
        "struct V<'a>(Option<&'a Pcb<'a>>);"
        "impl Visitor for V<'_> {"
        " fn visit(&mut self, pcb: &Pcb<'_>) -> Step { self.0 = Some(pcb); Step::Yield }"
        " fn skip(&mut self) -> Step { Step::End }"
        " fn pause(&mut self, p: fn(&mut Sleepable), s: &mut Sleepable) { p(s) } }",
        ESCAPES,
    ),
    "keep_the_value_after_its_mutex_is_unlocked": (
        "fn case() -> u32 { REGISTRY.with(|registry| &registry.limits).opened() }",
        ESCAPES,
    ),
    "keep_the_value_of_an_sx_lock": (
        "fn case<'a>(sx: &'a Sx<u8>, s: &mut Sleepable) -> Option<&'a u8> {"
        " let guard = sx.lock(s).ok()?; let value: &u8 = &guard; Some(value) }",
        r"E0515.*cannot return value referencing local variable",
    ),
    "walk_after_the_network_stack_is_left": (
        "fn case(s: &mut Sleepable) { let mut kept = None;"
        " each_vnet(false, s, |vnet, _| kept = Some(vnet)); kept.unwrap().connections(); }",
        ESCAPES,
    ),
    "use_the_bindings_in_the_driver": ("use crate::kpi::raw;", "E0603.*module `raw` is private"),
    "use_unsafe_code_in_the_driver": (
        "fn case(p: *const u8) -> u8 { unsafe { *p } }",
        "usage of an `unsafe` block",
    ),
}  # fmt: skip


# Each phase of the compiler runs only if the one before found no errors, so their cases are compiled separately.
PHASES = {"names": "E0603", "types": "E0277|E0061|E0624", "borrows": f"{BORROWED}|{ESCAPES}|E0507|E0515", "lints": "unsafe"}


def compile_with(folder, cases):
    """Compiles the driver with cases, and returns the errors of each, one per line."""
    source = folder / "src"
    shutil.copytree(ROOT / "src/kmod/src", source)
    library = source / "lib.rs"
    text = library.read_text()
    for name, code in cases.items():
        (source / f"{name}.rs").write_text(USE + code)
        text += f'#[cfg(target_os = "none")]\nmod {name};\n'
    library.write_text(text)
    rustc = (BUILD / "rustc.args").read_text().splitlines()
    command = [
        *rustc, "--crate-type", "lib", "--crate-name", "siftr_cdev", "--extern", f"tcpstats={BUILD / 'libtcpstats.rlib'}",
        "--emit=metadata", "-o", folder / "rules.rmeta", "--error-format=short", library,
    ]  # fmt: skip
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1", "BINDINGS": str(BUILD / "bindings.rs")}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    found = {name: [] for name in cases}
    for path, error in re.findall(r"^(\S+?):[\d:]+ (error.*)$", done.stderr, re.MULTILINE):
        found.setdefault(pathlib.Path(path).stem, []).append(error)
    assert done.returncode == (1 if any(found.values()) else 0), done.stderr
    return found


def phase_of(reason):
    (phase,) = (phase for phase, errors in PHASES.items() if re.search(errors, reason))
    return phase


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """The errors of each case that the compiler must reject."""
    found = {}
    for phase in PHASES:
        cases = {name: code for name, (code, reason) in FORBIDDEN.items() if phase_of(reason) == phase}
        found |= compile_with(tmp_path_factory.mktemp(phase), cases)
    return found


def test_the_compiler_allows_what_the_kernel_allows(tmp_path):
    assert compile_with(tmp_path, ALLOWED) == {name: [] for name in ALLOWED}


def test_the_compiler_rejects_nothing_but_the_cases(errors):
    assert set(errors) == set(FORBIDDEN)


@pytest.mark.parametrize("case", FORBIDDEN)
def test_the_compiler_rejects(case, errors):
    reason = FORBIDDEN[case][1]
    assert errors[case] and all(re.search(reason, error) for error in errors[case]), errors[case]
