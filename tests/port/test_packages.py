# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The packages and the repository for pkg(8), made by the scripts that `make package` and `make repository` run, and parsed
without pkg(8).  The programs in them are stand-ins: any executable file can be packed."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tomllib

import pytest

from plist import ROOT, packages

VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
EPOCH = 1_700_000_000
TARGETS = [("14", "amd64", "1402000"), ("15", "aarch64", "1500068")]
NAMES = ["siftr_cdev", "siftr_cdev-kmod"]
LEGACY_ARCH = {"amd64": "x86:64", "aarch64": "aarch64:64"}


def built(name):
    """siftr_cdev_pkg and siftr_cdev_gen, which `make package` builds, or the debug build of the unit tests if it is newer."""
    builds = [ROOT / "target" / profile / name for profile in ("release", "debug")]
    if not any(build.exists() for build in builds):
        subprocess.run(["cargo", "build", "--locked", "-q", "-p", name], cwd=ROOT, check=True)
    return max((build for build in builds if build.exists()), key=lambda build: build.stat().st_mtime)


def members(path):
    """The members of a package or catalogue and their contents, in order."""
    data = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    # tarfile drops the slash of absolute names, which pkg(8) needs.
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = []
        for member in archive.getmembers():
            raw = data[member.offset : member.offset + 100].split(b"\0")[0].decode()
            found.append((raw, member, archive.extractfile(member).read()))
        return found


def environment(**variables):
    return {
        **{key: os.environ[key] for key in ("PATH", "HOME", "CARGO_HOME") if key in os.environ},
        "GEN": built("siftr_cdev_gen"), "PKG": built("siftr_cdev_pkg"), "TCPSTATS": ROOT / "tcpstats", "SOURCE_DATE_EPOCH": str(EPOCH),
        **variables,
    }


def package(folder, release, arch, top=ROOT, **variables):
    """Runs package.sh on stand-ins for what is built."""
    build = folder / "build"
    build.mkdir(parents=True, exist_ok=True)
    for name in ("siftr_cdev_logger", "tcpstats"):
        shutil.copy("/bin/true", build / name)
    (folder / "siftr_cdev.ko").write_bytes(b"module of " + arch.encode())
    out = folder / f"{release}-{arch}"
    subprocess.run(
        ["sh", top / "freebsd/package.sh", release, arch, build, folder / "siftr_cdev.ko", out],
        check=True, env=environment(**variables),
    )
    return out


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    return {(release, arch): package(folder, release, arch) for release, arch, _ in TARGETS}


@pytest.fixture(params=[(target, name) for target in TARGETS for name in NAMES], ids=lambda value: f"{value[1]}-{value[0][0]}-{value[0][1]}")
def one(request, written):
    """A package: its target, its name, its path and its members."""
    target, name = request.param
    path = written[target[:2]] / f"{name}-{VERSION}.{target[2]}.pkg"
    return target, name, path, members(path)


def manifest(package, name="+MANIFEST"):
    (content,) = [content for member, _, content in package if member == name]
    return json.loads(content)


def test_two_packages_are_written_and_nothing_else(written):
    for release, arch, osversion in TARGETS:
        names = sorted(path.name for path in written[release, arch].iterdir())
        assert names == [f"{name}-{VERSION}.{osversion}.pkg" for name in NAMES]


def test_the_files_are_those_of_the_port(one):
    (_, _, osversion), name, _, found = one
    assert [member for member, _, _ in found][:2] == ["+COMPACT_MANIFEST", "+MANIFEST"]
    files = {member.removeprefix("/"): info.mode for member, info, _ in found[2:]}
    # The framework adds the licence.
    licence = f"usr/local/share/licenses/{name}-{VERSION}.{osversion}/BSD2CLAUSE"
    assert files == {**packages()[name], licence: 0o644}
    assert [content.decode() for member, _, content in found if member == f"/{licence}"] == [(ROOT / "LICENSE").read_text()]
    assert all(member.startswith("/") and info.isfile() for member, info, _ in found[2:])


def test_every_file_belongs_to_root_and_has_the_time_of_the_source(one):
    _, _, _, found = one
    assert {(info.uid, info.gid, info.uname, info.gname, info.mtime) for _, info, _ in found} == {(0, 0, "root", "wheel", EPOCH)}


def test_the_manifest_lists_each_file_with_its_sum_and_mode(one):
    _, _, _, found = one
    listed = manifest(found)["files"]
    assert set(listed) == {member for member, _, _ in found[2:]}
    for member, info, content in found[2:]:
        expected = {"sum": f"1${hashlib.sha256(content).hexdigest()}", "uname": "root", "gname": "wheel", "perm": f"{info.mode:04o}"}
        assert listed[member] == expected
    assert manifest(found)["flatsize"] == sum(info.size for _, info, _ in found[2:])


def test_the_manifest_names_what_the_package_is_for(one):
    (release, arch, osversion), name, _, found = one
    said = manifest(found)
    assert (said["name"], said["version"]) == (name, f"{VERSION}.{osversion}")
    assert (said["abi"], said["arch"]) == (f"FreeBSD:{release}:{arch}", f"freebsd:{release}:{LEGACY_ARCH[arch]}")
    # The framework annotates a subpackage.
    subpackage = {"subpackage": "kmod"} if name == "siftr_cdev-kmod" else {}
    assert said["annotations"] == {"FreeBSD_version": osversion, **subpackage}
    assert said["categories"] == ["net", "net-mgmt", "kld"]
    assert (said["origin"], said["prefix"], said["licenses"]) == ("net/siftr_cdev", "/usr/local", ["BSD2CLAUSE"])
    suffix = name.removeprefix("siftr_cdev").replace("-", ".")
    assert said["desc"] == (ROOT / f"pkg-descr{suffix}").read_text().strip()
    messages = re.findall(r"type: (\w+)\n  message: <<EOM\n(.*?)\nEOM\n", (ROOT / f"pkg-message{suffix}").read_text(), re.DOTALL)
    assert [(each["type"], each["message"]) for each in said["messages"]] == messages
    # The compact manifest is the same without files and scripts.
    for key in ("files", "scripts", "lua_scripts"):
        said.pop(key, None)
    assert manifest(found, "+COMPACT_MANIFEST") == said


def test_the_programs_depend_on_the_module(written):
    for release, arch, osversion in TARGETS:
        said = manifest(members(written[release, arch] / f"siftr_cdev-{VERSION}.{osversion}.pkg"))
        assert said["deps"] == {"siftr_cdev-kmod": {"origin": "net/siftr_cdev", "version": f"{VERSION}.{osversion}"}}
        assert said["options"] == {"DOCS": "on", "EXAMPLES": "on", "VIEWER": "on"}
        assert "deps" not in manifest(members(written[release, arch] / f"siftr_cdev-kmod-{VERSION}.{osversion}.pkg"))


def test_the_samples_are_copied_by_lua(written):
    said = manifest(members(written["14", "amd64"] / f"siftr_cdev-{VERSION}.1402000.pkg"))
    (install,), (deinstall,) = said["lua_scripts"]["post-install"], said["lua_scripts"]["pre-deinstall"]
    name = "etc/newsyslog.conf.d/tcpstats_logger.conf"
    for script in (install, deinstall):
        assert f'local sample = pkg.prefixed_path("{name}.sample")\nlocal target = pkg.prefixed_path("{name}")\n' in script
    assert "pkg.copy(sample, target)" in install and "os.remove(target)" in deinstall
    assert "scripts" not in said


# Decodes a script of a manifest, and runs it with a sysctl(8) that reports this kernel version.
def run_script(script, folder, osreldate, **variables):
    (folder / "sysctl").write_text(f"#!/bin/sh\necho {osreldate}\n")
    (folder / "kldxref").write_text('#!/bin/sh\necho "kldxref $*"\n')
    for tool in ("sysctl", "kldxref"):
        (folder / tool).chmod(0o755)
    script = re.sub("%(..)", lambda match: chr(int(match[1], 16)), script)
    script = script.replace("/sbin/sysctl", str(folder / "sysctl")).replace("/usr/sbin/kldxref", str(folder / "kldxref"))
    environment = {"PATH": "/usr/bin:/bin", "PKG_NAME": "siftr_cdev-kmod", "PKG_ROOTDIR": "/", **variables}
    return subprocess.run(["sh", "-c", f"set -- name\n{script}"], env=environment, capture_output=True, text=True)


def test_the_index_of_modules_is_updated_in_the_root_directory(written, tmp_path):
    scripts = manifest(members(written["14", "amd64"] / f"siftr_cdev-kmod-{VERSION}.1402000.pkg"))["scripts"]
    assert set(scripts) == {"pre-install", "post-install", "post-deinstall"}
    for when in ("post-install", "post-deinstall"):
        assert run_script(scripts[when], tmp_path, 0, PKG_ROOTDIR="/mnt").stdout == "kldxref /mnt/boot/modules\n"


def test_a_kernel_of_another_release_is_refused_with_a_message(written, tmp_path):
    script = manifest(members(written["14", "amd64"] / f"siftr_cdev-kmod-{VERSION}.1402000.pkg"))["scripts"]["pre-install"]
    assert run_script(script, tmp_path, 1402000).returncode == 0
    for variables in ({"PKG_ROOTDIR": "/mnt"}, {"PKG_CHROOTED": "true"}, {"IGNORE_OSVERSION": "yes"}):
        assert run_script(script, tmp_path, 1403000, **variables).returncode == 0, variables
    done = run_script(script, tmp_path, 1403000)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "siftr_cdev-kmod: this package is for FreeBSD 14.2 (__FreeBSD_version 1402000), but the kernel is FreeBSD 14.3 "
        "(__FreeBSD_version 1403000); install the package for the kernel's release, from the repository whose URL ends in "
        "/${ABI}/${VERSION_MINOR}\n"
    )


def test_a_module_for_another_minor_release_has_its_version(tmp_path):
    out = package(tmp_path, "14", "amd64", OSVERSION="1403000")
    found = members(out / f"siftr_cdev-kmod-{VERSION}.1403000.pkg")
    assert manifest(found)["annotations"] == {"FreeBSD_version": "1403000", "subpackage": "kmod"}
    assert "1403000" in manifest(found)["scripts"]["pre-install"] and "1402000" not in manifest(found)["scripts"]["pre-install"]


def test_packages_of_the_same_files_are_identical(tmp_path, written):
    again = package(tmp_path, "14", "amd64")
    for path in written["14", "amd64"].iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_directory_of_the_source_does_not_matter(tmp_path, written):
    top = tmp_path / "a/directory/elsewhere"
    tree = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, tree):
        if (ROOT / name).exists():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, top / name, follow_symlinks=False)
    again = package(tmp_path, "14", "amd64", top)
    for path in written["14", "amd64"].iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def tool(*arguments, **variables):
    return subprocess.run(
        [built("siftr_cdev_pkg"), *arguments], env=environment(**variables), capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.parametrize(
    ("remove", "message"),
    [("boot/modules/siftr_cdev.ko", "No such file or directory"), ("plist", "No such file"), (None, "SOURCE_DATE_EPOCH")],
)
def test_what_cannot_be_packed_is_named_and_nothing_is_written(tmp_path, remove, message):
    (tmp_path / "root/boot/modules").mkdir(parents=True)
    for name, text in {"plist": "/boot/modules/siftr_cdev.ko\n", "descr": "x\n", "root/boot/modules/siftr_cdev.ko": "x"}.items():
        (tmp_path / name).write_text(text)
    if remove:
        (tmp_path / remove if remove == "plist" else tmp_path / "root" / remove).unlink()
    fields = [f"{key}=x" for key in ("name", "version", "origin", "comment", "maintainer", "www", "abi", "arch")] + ["prefix=/usr/local"]
    done = tool(
        "create", "-p", tmp_path / "plist", "-d", tmp_path / "descr", "-r", tmp_path / "root", "-o", tmp_path, *fields,
        SOURCE_DATE_EPOCH=str(EPOCH) if remove else "today",
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("siftr_cdev_pkg: ") and message in done.stderr and (remove or "today") in done.stderr
    assert not list(tmp_path.glob("*.pkg*"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    subprocess.run(["openssl", "genrsa", "-out", folder / "key", "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", folder / "key", "-pubout"], check=True, capture_output=True).stdout
    (folder / "public").write_bytes(public)
    return folder


def repository(folder, written, command):
    paths = sorted(path for out in written.values() for path in out.iterdir())
    return tool("repository", "-s", command, "-o", folder, *paths, SOURCE_DATE_EPOCH=str(EPOCH))


@pytest.fixture(scope="module")
def published(tmp_path_factory, written, keys):
    folder = tmp_path_factory.mktemp("repository")
    done = repository(folder, written, f"sh freebsd/sign.sh {keys}/key")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


PLACES = {("14", "amd64"): "FreeBSD:14:amd64/2", ("15", "aarch64"): "FreeBSD:15:aarch64/0"}


def test_each_minor_release_has_a_repository_with_its_packages(published, written):
    assert sorted(str(path.parent.relative_to(published)) for path in published.rglob("meta.conf")) == sorted(PLACES.values())
    for target, place in PLACES.items():
        names = sorted(path.name for path in written[target].iterdir())
        assert sorted(path.name for path in (published / place / "All").iterdir()) == names
        assert sorted(path.name for path in (published / place).iterdir()) == ["All", "data.pkg", "meta.conf", "packagesite.pkg"]


def test_the_catalogue_describes_each_package_with_its_sum(published):
    for place in PLACES.values():
        folder = published / place
        (_, _, (name, _, data)) = members(folder / "data.pkg")
        (_, _, (listed, _, lines)) = members(folder / "packagesite.pkg")
        assert (name, listed) == ("data", "packagesite.yaml")
        entries = json.loads(data)["packages"]
        assert [json.loads(line) for line in lines.splitlines()] == entries and len(entries) == 2
        for entry in entries:
            path = folder / entry["path"]
            assert entry.pop("path") == entry.pop("repopath") == f"All/{path.name}"
            assert (entry.pop("sum"), entry.pop("pkgsize")) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
            assert entry == manifest(members(path), "+COMPACT_MANIFEST")


def test_the_names_of_the_catalogues_are_those_of_the_meta_file(published):
    for path in published.rglob("meta.conf"):
        meta = dict(re.findall(r'^(\w+) = "?(\w[\w.]*)"?;$', path.read_text(), re.MULTILINE))
        assert (meta["version"], meta["packing_format"]) == ("2", "tzst")
        for catalogue, archive in (("manifests", "manifests_archive"), ("data", "data_archive")):
            assert members(path.parent / f"{meta[archive]}.pkg")[-1][0] == meta[catalogue]


def test_the_catalogues_are_signed_with_the_key(published, keys, tmp_path):
    for place in PLACES.values():
        for name in ("data.pkg", "packagesite.pkg"):
            (signature, _, signed), (public, _, key), (inner, _, content) = members(published / place / name)
            assert (signature, public) == (f"{inner}.sig", f"{inner}.pub") and key == (keys / "public").read_bytes()
            (tmp_path / "signature").write_bytes(signed)
            # pkg(8) verifies a signature of the digits of the sum.
            done = subprocess.run(
                ["openssl", "dgst", "-sha256", "-verify", keys / "public", "-signature", tmp_path / "signature"],
                input=hashlib.sha256(content).hexdigest().encode(), capture_output=True,
            )
            assert done.stdout == b"Verified OK\n"


def test_the_fingerprint_is_that_of_the_key(published, keys):
    key = (published / "siftr_cdev.pub").read_bytes()
    assert key == (keys / "public").read_bytes()
    text = (published / "siftr_cdev.fingerprint").read_text()
    assert text == f"function: sha256\nfingerprint: {hashlib.sha256(key).hexdigest()}\n"


def test_a_repository_of_the_same_packages_is_identical(published, written, keys, tmp_path):
    assert repository(tmp_path, written, f"sh freebsd/sign.sh {keys}/key").returncode == 0
    files = [path.relative_to(published) for path in published.rglob("*") if path.is_file()]
    assert files and all((tmp_path / name).read_bytes() == (published / name).read_bytes() for name in files)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sh freebsd/sign.sh /nonexistent", "sign.sh /nonexistent: exit status: 1"),
        ("exit 3", "exit 3: exit status: 3"),
        ("cat", "cat: expected SIGNATURE, a signature, CERT, a public key and END, each on its own line"),
    ],
)
def test_without_a_signature_there_is_no_catalogue(tmp_path, written, command, message):
    done = repository(tmp_path, written, command)
    assert done.returncode == 1 and message in done.stderr.splitlines()[-1], done.stderr
    assert not list(tmp_path.rglob("data.pkg")) and not list(tmp_path.glob("siftr_cdev.*"))


def test_a_file_that_is_not_a_package_is_named(tmp_path):
    (tmp_path / "x.pkg").write_text("x")
    done = tool("repository", "-s", "cat", "-o", tmp_path / "out", tmp_path / "x.pkg", SOURCE_DATE_EPOCH=str(EPOCH))
    assert done.returncode == 1 and done.stderr.startswith(f"siftr_cdev_pkg: {tmp_path}/x.pkg: ")
    assert not (tmp_path / "out").exists()


def test_the_source_archive_has_the_files_and_the_time_of_the_commit():
    path = ROOT / f"target/dist/siftr_cdev-{VERSION}.tar.gz"
    written = []
    for _ in range(2):
        subprocess.run(["make", "-s", "dist"], cwd=ROOT, check=True)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    output = ["git", "ls-tree", "-r", "--name-only", "-z", "HEAD"], ["git", "log", "-1", "--format=%ct"]
    names, epoch = (subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout for command in output)
    with tarfile.open(path) as archive:
        files = [member for member in archive.getmembers() if not member.isdir()]
    assert sorted(member.name for member in files) == sorted(f"siftr_cdev-{VERSION}/{name}" for name in names.split("\0") if name)
    assert {member.mtime for member in files} == {int(epoch)}
