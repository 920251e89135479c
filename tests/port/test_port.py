# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The port with bmake, with replacements for the ports framework and for compilers, and without the framework."""

import itertools
import os
import pathlib
import re
import shutil
import subprocess
import tomllib

import pytest

from plist import FRAMEWORK, ROOT, packed

OPTIONS = ["DOCS", "EXAMPLES", "VIEWER"]
COMBINATIONS = [without for count in range(4) for without in itertools.combinations(OPTIONS, count)]
GEN = ROOT / "target/debug/siftr_cdev_gen"
WORKSPACE = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]

# Each records its arguments, and creates files that can be installed.
TOOLS = {
    "cargo": """\
echo "cargo $* RUSTFLAGS=$RUSTFLAGS" >> "$CALLS"
built=${CARGO_TARGET_DIR:-target}/$CARGO_BUILD_TARGET/release
mkdir -p "$built"
case $* in *--package=siftr_cdev_gen*) cp "$TOOLS/gen" "$built/siftr_cdev_gen" ;; esac
case $* in *--package=siftr_cdev_logger*) cp "$LOGGER" "$built/siftr_cdev_logger" ;; esac
case $* in *--package=tcpstats_viewer*) cp "$VIEWER_BUILT" "$built/tcpstats" ;; esac
""",
    "gen": """\
case $1 in bindings) echo > "$3" ;; header) echo > "$2" ;; esac
""",
    "rustc": """\
echo "rustc $* RUSTFLAGS=$RUSTFLAGS" >> "$CALLS"
while [ $# -gt 0 ]; do [ "$1" != -o ] || echo > "$2"; shift; done
""",
    "ar": """\
echo > libsiftr_cdev.siftr_cdev.0.o
""",
    "kldxref": """\
echo "kldxref $*" >> "$CALLS"
""",
}


class Tree:
    """A copy of the tree, in which bmake runs."""

    def __init__(self, folder):
        self.top = folder / "siftr_cdev"
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split("\0")
        for name in filter(None, files):
            if (ROOT / name).exists():
                (self.top / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.top / name, follow_symlinks=False)
        tools = folder / "tools"
        tools.mkdir()
        for name, script in TOOLS.items():
            (tools / name).write_text("#!/bin/sh\nset -eu\n: \"${RUSTFLAGS=}\" \"${CARGO_BUILD_TARGET=}\"\n" + script)
            (tools / name).chmod(0o755)
        self.source = folder / "src"
        for name, content in {"sys/sys/param.h": "#define __FreeBSD_version 1402000\n", "core/src/lib.rs": ""}.items():
            (self.source / name).parent.mkdir(parents=True)
            (self.source / name).write_text(content)
        self.calls = folder / "calls"
        self.work = folder / "work"
        self.environment = {
            "PATH": f"{tools}:/usr/bin:/bin", "TOOLS": tools, "CALLS": self.calls, "LOGGER": ROOT / "siftr_cdev_logger",
            "VIEWER_BUILT": ROOT / "tcpstats",
            "RUST_SRC": self.source, "SYSDIR": self.source / "sys",
        }

    def make(self, *arguments, portsdir="/nonexistent", exit_status=0):
        done = subprocess.run(
            ["bmake", "-m", FRAMEWORK / "Mk", f"PORTSDIR={portsdir}", *arguments], cwd=self.top, env=self.environment,
            capture_output=True, text=True,
        )
        assert done.returncode == exit_status, done.stdout + done.stderr
        return done.stdout if exit_status == 0 else done.stderr

    def port(self, *arguments):
        """Runs make with the replacement for the framework."""
        return self.make(f"WORK={self.work}", f"SRC_BASE={self.source}", *arguments, portsdir=FRAMEWORK)

    def variable(self, name):
        return self.port("-V", f"${{{name}}}").strip()

    def state(self):
        """Returns the contents of all files in the tree."""
        return {path: path.read_bytes() for path in self.top.rglob("*") if path.is_file()}


def files(folder):
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_the_metadata_follows_the_porters_handbook(tree):
    comment = tree.variable("COMMENT")
    assert len(comment) <= 70 and not re.match(r"(A|An|The) ", comment) and not comment.endswith(".")
    assert re.match("https?://", tree.variable("WWW")) and "@" in tree.variable("MAINTAINER")
    assert (tree.variable("LICENSE"), WORKSPACE["package"]["license"]) == ("BSD2CLAUSE", "BSD-2-Clause")
    assert tree.variable("DISTVERSION") == WORKSPACE["package"]["version"]
    assert set(tree.variable("USES").split()) >= {"cargo", "kmod"}
    assert sorted(tree.variable("OPTIONS_DEFINE").split()) == OPTIONS
    assert all(tree.variable(f"{name}_DESC") for name in OPTIONS if name not in ("DOCS", "EXAMPLES"))
    # The port supports exactly the architectures that are described.
    assert set(tree.variable("ONLY_FOR_ARCHS").split()) == {path.name for path in (ROOT / "freebsd/arch").iterdir()}
    assert "${PREFIX}/man" not in (ROOT / "Makefile").read_text()


def test_the_subpackages_are_those_of_the_packing_list(tree):
    subpackages = tree.variable("SUBPACKAGES").split()
    assert set(re.findall(r"^@@(\w+)@@", (ROOT / "pkg-plist").read_text(), re.MULTILINE)) == set(subpackages)
    for name in subpackages:
        comment = tree.variable(f"COMMENT.{name}")
        assert len(comment) <= 70 and not comment.endswith(".")
    # The main package needs the others, and files with variables are templates of the port.
    assert tree.variable("SELF_DEPENDS").split() == subpackages
    assert all((ROOT / f"files/{name}.in").exists() for name in tree.variable("SUB_FILES").split())
    variables = set(re.findall(r"%%(\w+)%%", (ROOT / "files/pkg-pre-install.kmod.in").read_text()))
    assert variables == {tree.variable("SUB_LIST").split("=")[0]}


@pytest.mark.parametrize("without", COMBINATIONS, ids=lambda names: " ".join(names) or "all")
def test_both_makefiles_list_the_same_files(tree, without):
    options = f"WITHOUT={' '.join(without)}"
    lines = tree.port(options, "plist").splitlines()
    assert tree.make(options, "plist").splitlines() == [line for line in lines if not line.startswith("@@")]
    listed = [line.removeprefix("@@kmod@@") for line in lines if line.startswith("@@")]
    assert tree.make(options, "SUBPACKAGE=kmod", "plist").splitlines() == listed


@pytest.mark.parametrize("name", ["pkg-descr", "pkg-descr.kmod"])
def test_the_description_is_short_ascii_without_address(name):
    text = (ROOT / name).read_text(encoding="ascii")
    assert text.endswith("\n") and len(text.splitlines()) <= 24
    assert all(len(line) <= 80 for line in text.splitlines()) and "WWW:" not in text


@pytest.mark.parametrize("name", ["pkg-message", "pkg-message.kmod"])
def test_the_message_is_ucl(name):
    """It is a list of objects, each with an occasion and a text."""
    text = (ROOT / name).read_text()
    entry = r"\{ type: (\w+)\n  message: <<EOM\n((?:(?!EOM\n).*\n)+)EOM\n\}\n"
    assert re.fullmatch(rf"\[\n(?:{entry})+\]\n", text)
    messages = dict(re.findall(entry, text))
    assert set(messages) == {"install", "upgrade", "remove"}
    rc = "".join(path.read_text() for path in (ROOT / "rc.d").iterdir())
    for name in re.findall(r"sysrc (?:-f \S+ )?(?:-x )?(\w+)", text):
        assert f'rcvar="{name}"' in rc or name == "siftr_cdev_load"
    assert all(path in rc for path in re.findall(r"/var/\S+", text))


@pytest.mark.parametrize("without", COMBINATIONS, ids=lambda names: " ".join(names) or "all")
def test_staged_files_are_those_of_the_package(tree, without):
    before = tree.state()
    tree.port(f"WITHOUT={' '.join(without)}", "stage")
    assert files(tree.work / "stage") == packed(without)
    # The port does not build in the tree.
    assert tree.state() == before


@pytest.mark.parametrize("without", COMBINATIONS, ids=lambda names: " ".join(names) or "all")
def test_the_same_files_are_installed_without_a_ports_tree(tree, tmp_path, without):
    arguments = [f"WITHOUT={' '.join(without)}", f"DESTDIR={tmp_path}/root"]
    tree.make("-j4", *arguments)
    tree.make("-j4", *arguments, "install")
    assert files(tmp_path / "root") == packed(without)
    assert f"kldxref {tmp_path}/root/boot/modules\n" in tree.calls.read_text()


def test_prefix_and_module_directory_can_be_chosen(tree, tmp_path):
    tree.make()
    tree.make("install", f"DESTDIR={tmp_path}/root", "PREFIX=/opt/x", "KMODDIR=/boot/other")
    names = {re.sub("^usr/local/", "opt/x/", name).replace("boot/modules", "boot/other") for name in packed()}
    assert set(files(tmp_path / "root")) == names
    for name, line in ("logger", 'command="/opt/x/sbin/siftr_cdev_logger"'), ("serve", 'procname="/opt/x/bin/tcpstats"'):
        script = (tmp_path / f"root/opt/x/etc/rc.d/tcpstats_{name}").read_text()
        assert line in script and "%%PREFIX%%" not in script


def test_install_without_build_reports_what_to_do(tree, tmp_path):
    message = tree.make("install", f"DESTDIR={tmp_path}/root", exit_status=1)
    assert "siftr_cdev.ko: file not found; run make first" in message and not (tmp_path / "root").exists()


def test_the_targets_in_the_readme_work_without_a_ports_tree(tree):
    before = tree.state()
    tree.make("siftr_cdev_logger")
    assert (tree.top / "siftr_cdev_logger").exists() and not (tree.top / "siftr_cdev.ko").exists()
    tree.make()
    assert all((tree.top / name).exists() for name in ("siftr_cdev.ko", "siftr_cdev_logger", "tcpstats"))
    tree.make("test")
    assert "cargo test --release --locked " in tree.calls.read_text()
    tree.make("clean")
    assert tree.state() == before


def test_the_targets_in_the_readme_work_with_a_ports_tree(tree):
    before = tree.state()
    tree.port("siftr_cdev_logger")
    assert (tree.top / "siftr_cdev_logger").exists()
    tree.port("clean")
    assert tree.state() == before and not tree.work.exists()


def test_the_module_is_built_from_every_c_file(tree):
    sources = tree.make("-C", "src/kmod", "-V", "${SRCS:M*.c}").split()
    assert sorted(sources) == sorted(path.name for path in (ROOT / "src/kmod").glob("*.c"))


def test_flags_of_the_programs_are_not_used_for_the_module(tree):
    tree.port("build")
    calls = tree.calls.read_text().splitlines()
    (cargo,) = [line for line in calls if line.startswith("cargo ")]
    rustc = [line for line in calls if line.startswith("rustc ")]
    packages = re.findall(r"--package=(\w+)", cargo)
    assert packages == ["siftr_cdev_gen", "siftr_cdev_logger", "tcpstats_viewer"]
    source = tree.work / f"siftr_cdev-{WORKSPACE['package']['version']}"
    assert f"--remap-path-prefix={source}=siftr_cdev" in cargo and "link-arg=-for-programs" in cargo
    assert len(rustc) == 4 and all(line.endswith("RUSTFLAGS=") and "for-programs" not in line for line in rustc)
    environment = (tree.work / "kmod/build.env").read_text()
    assert f"SYSDIR={tree.source}/sys\n" in environment and "LIBCLANG_PATH=/llvm/lib\n" in environment


def test_built_and_tested_packages_are_in_the_workspace(tree):
    names = {tomllib.loads((ROOT / member / "Cargo.toml").read_text())["package"]["name"] for member in WORKSPACE["members"]}
    for variable in ("CARGO_BUILD_ARGS", "CARGO_TEST_ARGS", "VIEWER_VARS"):
        named = re.findall(r"--package=(\w+)", tree.variable(variable))
        assert named and set(named) <= names, variable
    # The port copies all files that cargo needs for the workspace.
    copied = tree.variable("TREE").split()
    assert all(member.split("/")[0] in copied for member in WORKSPACE["members"])


@pytest.fixture(scope="module")
def crates(tmp_path_factory):
    """Makefile.crates and distinfo, generated again."""
    folder = tmp_path_factory.mktemp("crates")
    subprocess.run([GEN, "crates", folder], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("name", ["Makefile.crates", "distinfo"])
def test_files_generated_from_cargo_lock_are_up_to_date(crates, name):
    assert (crates / name).read_bytes() == (ROOT / name).read_bytes(), "run make crates"


def test_cargo_needs_only_these_crates(tree, crates, tmp_path):
    """The crates are extracted the way cargo.mk extracts them."""
    cache = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry/cache"
    vendor = tmp_path / "vendor"
    vendor.mkdir()
    checksums = re.findall(r"^SHA256 \(rust/crates/(.*)\.crate\) = (\w+)$", (crates / "distinfo").read_text(), re.MULTILINE)
    assert [crate for crate, _ in checksums] == tree.variable("CARGO_CRATES").split()
    for crate, checksum in checksums:
        subprocess.run(["tar", "-xzf", next(cache.glob(f"*/{crate}.crate")), "--no-same-owner", "-C", vendor], check=True)
        (vendor / crate / ".cargo-checksum.json").write_text(f'{{"package":"{checksum}","files":{{}}}}')
    (tmp_path / ".cargo").mkdir()
    (tmp_path / ".cargo/config.toml").write_text(
        f"[source.cargo]\ndirectory = '{vendor}'\n[source.crates-io]\nreplace-with = 'cargo'\n"
    )
    lock = (tree.top / "Cargo.lock").read_text()
    subprocess.run(["cargo", "update", "--quiet"], cwd=tree.top, check=True)
    assert (tree.top / "Cargo.lock").read_text() == lock
    subprocess.run(["cargo", "metadata", "--frozen", "--format-version=1"], cwd=tree.top, check=True, stdout=subprocess.DEVNULL)
