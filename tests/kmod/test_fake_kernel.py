# SPDX-License-Identifier: BSD-2-Clause
"""Runs the built amd64 modules in a fake kernel: see fake/README.md."""

import os
import pathlib
import platform
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = {release: ROOT / f"target/kmod/{release}-amd64/fake/run" for release in ("14", "15")}

# Of the fuzzer, and a seed that is given when a failure is to be seen again.
FUZZ_SECONDS = os.environ.get("KMOD_FUZZ_SECONDS", "60")
FUZZ_SEED = os.environ.get("KMOD_FUZZ_SEED")

# What the fake kernel says of each thing that a bad module would do.
MISDEEDS = {
    "copy_under_connection": r'uiomove\(\) with "tcpinp" held',
    "copy_under_mutex": r'uiomove\(\) with "one" held',
    "destroy_device_under_mutex": r'destroy_dev\(\) with "one" held',
    "find_interface_outside_epoch": r"ifnet_byindex\(\) outside the network epoch",
    "follow_what_is_gone": "page fault",
    "free_twice": "page fault",
    "leak": r'leak: 8 bytes of malloc type "misbehave"',
    "leave_connection_locked": 'read ends with "tcpinp" held',
    "leave_epoch_entered": "it returns in the network epoch",
    "leave_mutex_locked": 'read ends with "one" held',
    "leave_network_stack": "read ends with a current network stack left",
    "lock_in_both_orders": 'lock order reversal: "one" after "other"',
    "lock_twice": '"one" is locked by the thread that holds it',
    "lock_what_is_no_lock": "a lock is used that was not initialised",
    "look_without_lock": r"tcp_compute_pipe\(\) of a connection that is not locked",
    "pause_in_epoch": r"pause_sbt\(\) in the network epoch",
    "pause_under_connection": r'pause_sbt\(\) with "tcpinp" held',
    "say_neither_wait_nor_not": "neither M_WAITOK nor M_NOWAIT",
    "signal_under_connection": r'sig_intr\(\) with "tcpinp" held',
    "sx_under_connection": 'locking sx "sleepable" with "tcpinp" held',
    "unlock_twice": '"one" is unlocked by a thread that does not hold it',
    "use_after_free": "page fault",
    "use_after_last_reference": "page fault",
    "wait_under_connection": r'malloc\(M_WAITOK\) with "tcpinp" held',
    "wait_under_mutex": r'malloc\(M_WAITOK\) with "one" held',
    "walk_on_after_unlock": r"inp_next\(\) after a connection that is not locked any more",
    "walk_on_from_freed": r"inp_next\(\) after a connection that is not in the list",
    "write_behind": "bytes behind a block of 8 were written",
    "write_far_behind": "page fault",
    "yield_under_connection": r'kern_yield\(\) with "tcpinp" held',
}

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the module's code is amd64's")


def program(release):
    path = PROGRAMS[release]
    assert path.exists(), "make kmod-test builds it"
    return path


def names(command):
    """What a program lists; none where there is no program, which the test of the programs says."""
    path = PROGRAMS["14"]
    if platform.machine() != "x86_64" or not path.exists():
        return []
    return subprocess.run([path, command], check=True, capture_output=True, text=True).stdout.split()


def run(release, *arguments, seconds=120):
    return subprocess.run(
        [program(release), *arguments], capture_output=True, text=True, errors="replace", timeout=seconds
    )


def succeeds(result):
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
def test_in_the_fake_kernel(release, scenario):
    succeeds(run(release, scenario))


def test_a_scenario_that_does_not_exist_does_not_succeed():
    assert run("14", "no_such_scenario").returncode == 2


def test_every_misdeed_is_listed():
    assert sorted(MISDEEDS) == names("list-misdeeds")


@pytest.mark.parametrize("deed", MISDEEDS)
def test_the_fake_kernel_catches(deed):
    result = run("14", "misbehave", deed)
    assert result.returncode == -6, result
    assert re.search("^fake kernel: .*" + MISDEEDS[deed], result.stderr, re.MULTILINE), result.stderr


def test_what_a_read_costs_can_be_measured():
    rows = [line.split("\t") for line in run("14", "measure", "500").stdout.splitlines()]
    assert [row[0] for row in rows] == ["binary", "text", "reject"]
    times, ns, size, memory, walk = map(float, rows[0][1:])
    assert times > 1 and ns > 0 and walk > 0 and 512 < size < 513 and memory > size


@pytest.mark.parametrize("release", PROGRAMS)
def test_the_module_survives_the_fuzzer(release, record_property):
    seed = FUZZ_SEED or str(int.from_bytes(os.urandom(6), "big"))
    output = succeeds(run(release, "fuzz", FUZZ_SECONDS, seed, seconds=int(FUZZ_SECONDS) + 120))
    found = re.search(r"^(\d+) executions in \d+ s.*; no failure$", output, re.MULTILINE)
    assert found, output[-4000:]
    print(f"seed {seed}: {found[0]}")
    assert int(found[1]) > 0
