# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""What a release publishes besides packages: the source, the bills of materials, the port and the signed checksums."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
import urllib.parse

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from plist import FRAMEWORK, ROOT
from test_packages import built

EPOCH = 1_700_000_000
PROGRAMS = {"siftr_cdev_logger": "siftr_cdev_logger", "tcpstats": "tcpstats_viewer"}
TARGETS = {
    "freebsd": ["x86_64-unknown-freebsd", "aarch64-unknown-freebsd"],
    "linux": ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"],
}

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a release is made from git")


def write(out, **variables):
    """Runs dist.sh on the last commit."""
    environment = {**os.environ, "GEN": built("siftr_cdev_gen"), "SOURCE_DATE_EPOCH": str(EPOCH), **variables}
    subprocess.run(["sh", ROOT / "freebsd/dist.sh", "HEAD", out], cwd=ROOT, check=True, env=environment)
    return out


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    return write(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def source(dist, tmp_path_factory):
    """The source, unpacked."""
    (archive,) = dist.glob("*.tar.gz")
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    assert f"{top.name}.tar.gz" == archive.name
    return top


@pytest.fixture(scope="module", params=TARGETS)
def bill(request, dist):
    (path,) = dist.glob(f"*-{request.param}.cdx.json")
    return request.param, json.loads(path.read_text())


def components(document):
    """What is linked into each part."""
    return {part["name"]: part["components"] for part in document["components"]}


def references(document):
    """The references of all components."""
    return [each["bom-ref"] for part in document["components"] for each in [part, *part["components"]]]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_commit_gives_the_same_files(dist, tmp_path):
    again = write(tmp_path / "some/where/else", TZ="Asia/Tokyo", LC_ALL="C")
    assert files(again) == files(dist)


def test_the_source_is_the_commit(source):
    names = subprocess.run(["git", "ls-tree", "-r", "--name-only", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert sorted(str(path.relative_to(source)) for path in source.rglob("*") if not path.is_dir()) == sorted(names.stdout.splitlines())


def test_the_bill_is_valid_cyclonedx(bill):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill[1])) is None


def test_the_bill_has_the_time_of_the_commit_and_no_serial_number(bill, source):
    version = tomllib.loads((source / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    said = bill[1]["metadata"]
    assert (said["timestamp"], "serialNumber" in bill[1]) == ("2023-11-14T22:13:20Z", False)
    assert (said["component"]["name"], said["component"]["version"]) == ("siftr_cdev", version)


def test_no_path_of_the_build_is_in_the_bill(bill, source):
    text = json.dumps(bill[1])
    assert str(source) not in text and str(ROOT) not in text and os.path.expanduser("~") not in text


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_crates_are_those_that_cargo_links_into_the_program(bill, source, name):
    """Cargo's plan of the build lists the crates that it compiles for the target, rather than for the compiler."""
    system, document = bill
    expected = set()
    for target in TARGETS[system]:
        plan = subprocess.run(
            ["cargo", "build", "--release", "--locked", "-p", PROGRAMS[name], "--target", target, "-Zunstable-options", "--unit-graph"],
            cwd=source, check=True, capture_output=True, env={**os.environ, "RUSTC_BOOTSTRAP": "1"},
        )
        units = [unit for unit in json.loads(plan.stdout)["units"] if unit["platform"] == target and unit["mode"] == "build"]
        for unit in units:
            # registry+https://…#name@version or path+file:///…/folder#version
            expected.add(tuple(re.search(r"([\w.+-]+)[@#]([^@#]+)$", unit["pkg_id"]).groups()))
    if name == "tcpstats":
        assert len(expected) > 100
    crates = components(document)[name]
    assert {each["name"] for each in crates if "purl" not in each} == {PROGRAMS[name], "tcpstats", "tcpstats_log", "tcpstats_sandbox", "tcpstats_source"}
    # The plan has the folder of a crate of ours and not always its name.
    lock = {(entry["name"], entry["version"]) for entry in tomllib.loads((source / "Cargo.lock").read_text())["package"] if "source" in entry}
    assert {(each["name"], each["version"]) for each in crates if each.get("purl", "").startswith("pkg:cargo/")} == expected & lock


def test_every_crate_has_its_checksum_and_a_package_url(bill, source):
    lock = {(entry["name"], entry["version"]): entry for entry in tomllib.loads((source / "Cargo.lock").read_text())["package"]}
    crates = [each for part in components(bill[1]).values() for each in part if each.get("purl", "").startswith("pkg:cargo/")]
    assert len(crates) > 100
    for each in crates:
        assert each["hashes"] == [{"alg": "SHA-256", "content": lock[each["name"], each["version"]]["checksum"]}]
        assert urllib.parse.unquote(each["purl"]) == f"pkg:cargo/{each['name']}@{each['version']}" and "+" not in each["purl"]
        assert each["licenses"][0]["expression"] and "/" not in each["licenses"][0]["expression"]


def test_every_reference_is_a_component_and_every_component_is_needed(bill):
    _, document = bill
    known = ["siftr_cdev", *references(document)]
    assert len(set(known)) == len(known)
    depends = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    assert sorted(depends) == sorted(known)
    found, left = {"siftr_cdev"}, ["siftr_cdev"]
    while left:
        new = set(depends[left.pop()]) - found
        found |= new
        left += new
    assert found == set(known)


def test_code_that_is_not_from_a_crate_is_listed(bill, source):
    system, document = bill
    names = {part: {each["name"] for each in linked} for part, linked in components(document).items()}
    assert "std" in names["siftr_cdev_logger"] & names["tcpstats"]
    # C code in crates, and files that are embedded in the viewer.
    (zstd,) = [each for each in components(document)["tcpstats"] if each["name"] == "zstd" and "hashes" not in each]
    assert re.search(rf'name = "zstd-sys"\nversion = "[^+]*\+zstd\.{re.escape(zstd["version"])}"', (source / "Cargo.lock").read_text())
    vendor = {path.name for path in (source / "src/viewer/vendor").iterdir() if path.is_dir()}
    assert vendor <= {name.lower().split()[0] for name in names["tcpstats"]}
    # The module links the library without its dependencies, and core.
    assert names.get("siftr_cdev.ko") == ({"core", "tcpstats"} if system == "freebsd" else None)


def test_an_unknown_operating_system_is_an_error(tmp_path):
    done = subprocess.run([built("siftr_cdev_gen"), "sbom", "windows", "2026-01-01T00:00:00Z", tmp_path / "x"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "siftr_cdev_gen: windows: unknown operating system; expected freebsd or linux\n")


def test_the_port_fetches_the_source(dist, source):
    archive = dist / f"{source.name}.tar.gz"
    lines = (dist / "port/distinfo").read_text().splitlines()
    sum_of_source = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert lines[:3] == [
        f"TIMESTAMP = {EPOCH}", f"SHA256 ({archive.name}) = {sum_of_source}", f"SIZE ({archive.name}) = {archive.stat().st_size}"
    ]
    assert lines[3:] == (source / "distinfo").read_text().splitlines()[1:]


def test_the_port_has_no_part_of_the_source(dist, source):
    port = dist / "port"
    assert {str(path.relative_to(port)) for path in port.rglob("*") if path.is_file()} == {
        "Makefile", "Makefile.crates", "distinfo", "pkg-descr", "pkg-descr.kmod", "pkg-message", "pkg-message.kmod", "pkg-plist",
        "files/pkg-pre-install.kmod.in", "files/tcpstats_logger.in", "files/tcpstats_serve.in",
    }
    text = (port / "Makefile").read_text()
    assert text.startswith("PORTNAME=\tsiftr_cdev\n") and text.endswith("\n.include <bsd.port.post.mk>\n")
    assert "TREE" not in text and "tree.mk" not in text and ".if" not in text
    assert not any(path.is_symlink() or path.stat().st_mode & 0o111 for path in port.rglob("*") if path.is_file())


def bmake(folder, *arguments):
    return subprocess.run(
        ["bmake", "-m", FRAMEWORK / "Mk", f"PORTSDIR={FRAMEWORK}", "WORK=/nonexistent", *arguments], cwd=folder, check=True,
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    ).stdout


def test_the_port_packs_the_same_files_from_the_source_and_the_crates(dist, source):
    assert bmake(dist / "port", "plist") == bmake(source, "plist") != ""
    crates = bmake(source, "-V", "${DISTFILES}").split()
    assert len(crates) > 100 and bmake(dist / "port", "-V", "${DISTFILES}").split() == [f"{source.name}.tar.gz", *crates]


# How a user verifies a release, from SECURITY.md.
VERIFY = re.search(r"^    (signify-openbsd .*)$|^(signify-openbsd .*)$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)


class Download:
    """What a user downloads: a signed release, and the public key."""

    def __init__(self, folder):
        self.folder = folder / "dist"
        for name in ("siftr_cdev-2.0.0.tar.gz", "siftr_cdev-2.0.0-linux.cdx.json", "packages/14-amd64/x.pkg", "port/Makefile"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(name)
        self.keys = folder / "keys"
        self.keys.mkdir()
        self.key("siftr_cdev")
        self.make("checksums")
        self.make("sign-release", f"KEY={self.keys}/siftr_cdev.sec")
        shutil.copy(self.keys / "siftr_cdev.pub", self.folder)

    def key(self, name):
        subprocess.run(["signify-openbsd", "-G", "-n", "-p", f"{name}.pub", "-s", f"{name}.sec"], cwd=self.keys, check=True)

    def make(self, *arguments, exit_status=0):
        done = subprocess.run(["make", "-s", f"DIST={self.folder}", *arguments], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode == 0) == (exit_status == 0), done.stdout + done.stderr
        return done.stderr

    def verify(self, *names, **replaced):
        """Runs the documented command, for all files or for some."""
        command = VERIFY[0].split()[:-1]
        command = [replaced.get(word.split(".")[-1], word) for word in command]
        return subprocess.run([*command, *names], cwd=self.folder, capture_output=True, text=True)


@pytest.fixture
def download(tmp_path):
    return Download(tmp_path)


def test_all_files_but_the_port_are_signed(download):
    done = download.verify()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Signature Verified", "packages/14-amd64/x.pkg: OK", "siftr_cdev-2.0.0-linux.cdx.json: OK", "siftr_cdev-2.0.0.tar.gz: OK"
    ]


def test_one_file_is_verified_without_the_others(download):
    (download.folder / "siftr_cdev-2.0.0-linux.cdx.json").unlink()
    done = download.verify("siftr_cdev-2.0.0.tar.gz")
    assert (done.returncode, done.stdout) == (0, "Signature Verified\nsiftr_cdev-2.0.0.tar.gz: OK\n")


@pytest.mark.parametrize("name", ["siftr_cdev-2.0.0.tar.gz", "siftr_cdev-2.0.0-linux.cdx.json", "packages/14-amd64/x.pkg"])
def test_an_altered_file_is_refused(download, name):
    with (download.folder / name).open("a") as file:
        file.write("x")
    for names in ((), (name,)):
        done = download.verify(*names)
        assert done.returncode != 0 and f"{name}: FAIL" in done.stderr


def test_an_altered_list_is_refused(download):
    path = download.folder / "SHA256.sig"
    text = path.read_text()
    path.write_text(text.replace(re.search(r"= (\w+)$", text, re.MULTILINE)[1], "0" * 64))
    done = download.verify()
    assert done.returncode != 0 and "signature verification failed" in done.stderr and "OK" not in done.stdout


def test_another_key_is_refused(download):
    download.key("other")
    done = download.verify(pub=str(download.keys / "other.pub"))
    assert done.returncode != 0 and "OK" not in done.stdout


def test_signing_without_a_key_or_a_release_reports_what_to_do(download):
    assert "make sign-release: set KEY to a secret key generated with signify-openbsd -G\n" in download.make("sign-release", exit_status=2)
    (download.folder / "SHA256").unlink()
    assert "SHA256: file not found; run make release\n" in download.make("sign-release", "KEY=x", exit_status=2)
