# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Runs the built amd64 modules in a fake kernel: see fake/README.md."""

import os
import pathlib
import platform
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = {release: ROOT / f"target/kmod/{release}-amd64/fake/run" for release in ("14", "15")}

# The duration of the fuzzer, and a seed that reproduces a failure.
FUZZ_SECONDS = os.environ.get("KMOD_FUZZ_SECONDS", "60")
FUZZ_SEED = os.environ.get("KMOD_FUZZ_SEED")

# The message of the fake kernel for each thing that a faulty module would do.
MISUSES = {
    "allocate_under_connection": r'malloc\(M_WAITOK\) with "tcpinp" held',
    "allocate_under_mutex": r'malloc\(M_WAITOK\) with "one" held',
    "allocate_without_a_wait_flag": "neither M_WAITOK nor M_NOWAIT",
    "compute_pipe_without_lock": r"tcp_compute_pipe\(\) of a connection that is not locked",
    "continue_walk_after_unlock": r"inp_next\(\) after a connection that is not locked",
    "continue_walk_from_freed": r"inp_next\(\) after a connection that is not in the list",
    "copy_under_connection": r'uiomove\(\) with "tcpinp" held',
    "copy_under_mutex": r'uiomove\(\) with "one" held',
    "destroy_device_under_mutex": r'destroy_dev\(\) with "one" held',
    "find_interface_outside_epoch": r"ifnet_byindex\(\) outside the network epoch",
    "follow_unloaded_stack": "page fault",
    "free_twice": "page fault",
    "leak": r'leak: 8 bytes of malloc type "misbehave"',
    "leave_connection_locked": 'read ends with "tcpinp" held',
    "leave_epoch_entered": "the call ends in the network epoch",
    "leave_mutex_locked": 'read ends with "one" held',
    "leave_network_stack": "read ends with a current network stack",
    "lock_in_both_orders": 'lock order reversal: "one" after "other"',
    "lock_twice": '"one" is locked by the thread that holds it',
    "lock_without_initialization": "an uninitialized lock is used",
    "pause_in_epoch": r"pause_sbt\(\) in the network epoch",
    "pause_under_connection": r'pause_sbt\(\) with "tcpinp" held',
    "signal_under_connection": r'sig_intr\(\) with "tcpinp" held',
    "sx_under_connection": 'locking sx "sleepable" with "tcpinp" held',
    "unlock_twice": '"one" is unlocked by a thread that does not hold it',
    "use_after_free": "page fault",
    "use_after_last_reference": "page fault",
    "write_after_block": "bytes after a block of 8 were written",
    "write_after_page": "page fault",
    "yield_under_connection": r'kern_yield\(\) with "tcpinp" held',
}

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the module is built for amd64")


def program(release):
    path = PROGRAMS[release]
    assert path.exists(), "built by make kmod-test"
    return path


def names(command):
    """Returns the names that a program lists.  The list is empty if the program was not built, which another test reports."""
    path = PROGRAMS["14"]
    if platform.machine() != "x86_64" or not path.exists():
        return []
    return subprocess.run([path, command], check=True, capture_output=True, text=True).stdout.split()


def run(release, *arguments, seconds=120):
    return subprocess.run(
        [program(release), *arguments], capture_output=True, text=True, errors="replace", timeout=seconds
    )


def succeeds(result):
    """Checks that a program has succeeded, and returns its output."""
    output = result.stdout + result.stderr
    assert result.returncode == 0, output[-4000:]
    return output


@pytest.mark.parametrize("release", PROGRAMS)
def test_every_program_has_the_same_scenarios(release):
    listed = run(release, "list")
    assert succeeds(listed).split() == names("list")
    assert len(names("list")) > 100


@pytest.mark.parametrize("release", PROGRAMS)
@pytest.mark.parametrize("scenario", names("list"))
def test_scenario(release, scenario):
    succeeds(run(release, scenario))


def test_an_unknown_scenario_fails():
    assert run("14", "no_such_scenario").returncode == 2


def test_every_misuse_is_listed():
    assert sorted(MISUSES) == names("list-misuses")


@pytest.mark.parametrize("misuse", MISUSES)
def test_the_fake_kernel_detects(misuse):
    result = run("14", "misbehave", misuse)
    assert result.returncode == -6, result
    assert re.search("^fake kernel: .*" + MISUSES[misuse], result.stderr, re.MULTILINE), result.stderr


def test_the_cost_of_a_read_can_be_measured():
    rows = [line.split("\t") for line in run("14", "measure", "500").stdout.splitlines()]
    assert [row[0] for row in rows] == ["binary", "quiet", "text", "reject", "reject-locked"]
    times, ns, size, memory, walk = map(float, rows[0][1:])
    assert times > 1 and ns > 0 and walk > 0 and 536 < size < 537 and memory > size


@pytest.mark.parametrize("release", PROGRAMS)
def test_the_module_survives_the_fuzzer(release, record_property):
    seed = FUZZ_SEED or str(int.from_bytes(os.urandom(6), "big"))
    output = succeeds(run(release, "fuzz", FUZZ_SECONDS, seed, seconds=int(FUZZ_SECONDS) + 120))
    found = re.search(r"^(\d+) executions in \d+ s.*; no failure$", output, re.MULTILINE)
    assert found, output[-4000:]
    print(f"seed {seed}: {found[0]}")
    assert int(found[1]) > 0
