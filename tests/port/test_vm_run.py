# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""tests/vm/run with a replacement for qemu that acts as the guest."""

import pathlib
import subprocess
import sys
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Acts as a guest that uses the second disk and writes $RESULTS.
GUEST = '''\
import os, pathlib, sys
arguments = sys.argv[1:]
drives = [arguments[i + 1] for i, word in enumerate(arguments) if word == "-drive"]
serials = [arguments[i + 1] for i, word in enumerate(arguments) if word == "-serial"]
assert "format=raw" in drives[0] and "snapshot=on" in drives[0] and serials[0] == "stdio"
pathlib.Path("drive").write_text(drives[1].split(",")[0].removeprefix("file="))
print("FreeBSD/amd64 (x) (ttyu0)\\n\\nlogin: ", end="", flush=True)
assert sys.stdin.readline() == "root\\n"
print("root@x:~ # ", end="", flush=True)
assert sys.stdin.readline() == "/bin/sh\\n"
print("# ", end="", flush=True)
sys.stdin.readline()
sys.stdin.readline()
print(os.environ.get("CONSOLE", ""), flush=True)
pathlib.Path(serials[1].removeprefix("file:")).write_text(os.environ["RESULTS"])
print("suite finished", end="", flush=True)
sys.stdin.readline()
'''


@pytest.fixture
def vm(tmp_path):
    """Runs tests/vm/run, and returns exit status, standard output and standard error."""
    (tmp_path / "qemu.py").write_text(GUEST)
    for name in ("image", "x.tar.gz", "vmsuite"):
        (tmp_path / name).write_text(name)

    def run(results="", image="image", arguments=(), **environment):
        done = subprocess.run(
            [ROOT / "tests/vm/run", image, "x.tar.gz", "vmsuite", *arguments], cwd=tmp_path, capture_output=True, text=True,
            env={"PATH": "/usr/bin:/bin", "QEMU": f"{sys.executable} qemu.py", "RESULTS": results, "VM_TIMEOUT": "20", **environment},
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_without_an_image_the_suite_is_skipped_and_the_image_is_named(vm):
    status, output, _ = vm(image="")
    assert status == 0
    assert output.startswith("skipped: FREEBSD_IMAGE ") and "BASIC-CI-ufs.raw.xz" in output


def test_a_suite_without_failures_passes(vm):
    results = "ok 1 - it is\r\n1..1\r\n# suite.sh ended with 0\r\n"
    assert vm(results) == (0, results.replace("\r", ""), "")


@pytest.mark.parametrize("results", [
    "ok 1 - it is\nnot ok 2 - it is not\n1..2\n# suite.sh ended with 1\n",
    "ok 1 - it is\nnot ok 2 - it is not\n1..2\n# suite.sh ended with 0\n",
    "ok 1 - it is\n1..1\n# suite.sh ended with 1\n",
    "sh: suite.sh: not found\n# suite.sh ended with 0\n",
])
def test_a_suite_with_a_failure_fails(vm, results):
    status, output, _ = vm(results)
    assert (status, output) == (1, results)


@pytest.mark.parametrize("results", ["", "ok 1 - it is\n", "ok 1 - it is\n# suite.sh ended with 0\nmore\n"])
def test_an_incomplete_suite_is_an_error(vm, results):
    status, output, error = vm(results)
    assert (status, output) == (2, "") and "last line of the results is missing" in error
    assert results.strip() in error


def test_a_panic_is_an_error(vm):
    status, _, error = vm("ok 1 - it is\n# suite.sh ended with 0\n", CONSOLE="x\npanic: vm_fault\n")
    assert status == 2 and "the kernel panicked" in error


def test_a_machine_without_output_times_out(vm, tmp_path):
    (tmp_path / "qemu.py").write_text("import time\ntime.sleep(60)\n")
    status, _, error = vm(VM_TIMEOUT="1")
    assert status == 2 and "expected 'login: ' on the console: timed out" in error


def test_a_machine_that_does_not_start_is_an_error(vm, tmp_path):
    (tmp_path / "qemu.py").write_text("")
    status, _, error = vm()
    assert status == 2 and "the machine has stopped" in error


@pytest.mark.parametrize("environment, program, options", [
    ({}, "qemu-system-x86_64", ""),
    ({"FREEBSD_ARCH": "amd64"}, "qemu-system-x86_64", ""),
    ({"FREEBSD_ARCH": "aarch64"}, "qemu-system-aarch64", "-M virt -cpu max,pauth-impdef=on -bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd "),
])
def test_the_machine_has_the_architecture_of_the_image(vm, tmp_path, environment, program, options):
    qemu = tmp_path / program
    qemu.write_text(f'#!/bin/sh\necho "$@" > arguments\nexec {sys.executable} qemu.py "$@"\n')
    qemu.chmod(0o755)
    assert vm("ok 1 - it is\n# suite.sh ended with 0\n", QEMU="", PATH=f"{tmp_path}:/usr/bin:/bin", **environment)[0] == 0
    assert (tmp_path / "arguments").read_text().startswith(f"{options}-m ")


def test_an_unknown_architecture_is_an_error(vm):
    status, output, error = vm(QEMU="", FREEBSD_ARCH="vax")
    assert (status, output) == (2, "") and error == "run: FREEBSD_ARCH: vax: unknown architecture; expected one of amd64 aarch64\n"


def test_the_second_disk_contains_everything_that_the_guest_needs(vm, tmp_path):
    assert vm("ok 1 - it is\n# suite.sh ended with 0\n", arguments=["3", "5"])[0] == 0
    second = tmp_path / (tmp_path / "drive").read_text()
    assert second.stat().st_size % 512 == 0
    with tarfile.open(second) as archive:
        assert set(archive.getnames()) == {"siftr_cdev.tar.gz", "vmsuite", "suite.sh", "tap.sh", "guest.sh"}
        assert archive.extractfile("vmsuite").read() == b"vmsuite"
        assert archive.getmember("vmsuite").mode == (tmp_path / "vmsuite").stat().st_mode & 0o777
        script = archive.extractfile("guest.sh").read().decode()
    assert "sh suite.sh 3 5\n" in script
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
