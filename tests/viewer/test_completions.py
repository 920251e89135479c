# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Completion scripts and the manual page cover all commands and options."""

import re
import subprocess

import logger
import pytest
from logger import ROOT
from viewer import TCPSTATS, run

PAGE = ROOT / "man/tcpstats.1"


def commands():
    """Returns the commands in --help."""
    text = run("--help").decode()
    (listed,) = re.findall(r"^Commands:\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^  (\w+)", listed, re.MULTILINE)


def flags(command):
    """Returns the options of a command in --help, including aliases."""
    text = run(command, "--help").decode()
    # Continuation lines are indented further.
    listed = re.findall(r"^ {2,6}(-.*?)(?= {2}|$)", text, re.MULTILINE)
    named = {name for line in listed for name in re.findall(r"(?<!\S)(--?[\w-]+)", line)}
    aliases = re.findall(r"\[(?:short )?alias(?:es)?: ([^\]]*)\]", text)
    return named | {name for each in aliases for name in re.findall(r"--?[\w-]+", each)}


def part(title):
    """Returns a section of the page."""
    return re.search(rf"^\.Sh {title}\n(.*?)(?=^\.Sh )", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completions")
    for shell in "bash", "zsh", "fish":
        (folder / shell).write_bytes(run("completions", shell))
    return folder


def complete(scripts, *words):
    """Returns the completions of the last word in bash."""
    line = f"""source {scripts}/bash
        COMP_WORDS=(tcpstats {' '.join(f"'{word}'" for word in words)}) COMP_CWORD={len(words)}
        _tcpstats tcpstats "${{COMP_WORDS[-1]}}" "${{COMP_WORDS[-2]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    return set(subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True).stdout.split())


def test_bash_completes_commands_options_and_files(scripts, tmp_path):
    assert {"top", "show", "check", "completions"} <= set(commands()) <= complete(scripts, "")
    for command in commands():
        assert flags(command) <= complete(scripts, command, "-") | {"-h"}, command
    assert complete(scripts, "completions", "f") == {"fish"}
    (tmp_path / "a.log").touch()
    assert complete(scripts, "show", "-d", f"{tmp_path}/a") == {f"{tmp_path}/a.log"}


def test_fish_completes_commands(scripts):
    fish = ["fish", "--no-config", "-c", f"source {scripts}/fish; complete -C 'tcpstats '"]
    listed = subprocess.run(fish, check=True, capture_output=True, text=True).stdout
    assert set(commands()) <= {line.split("\t")[0] for line in listed.splitlines()}


def test_zsh_accepts_its_script(scripts):
    subprocess.run(["zsh", "-n", scripts / "zsh"], check=True)
    text = (scripts / "zsh").read_text()
    assert text.startswith("#compdef tcpstats")
    for command in commands():
        # An asterisk precedes an option that can be repeated.
        assert all(any(form in text for form in (f"'{flag}", f"'*{flag}", f"{flag}[")) for flag in flags(command)), command


def test_every_command_and_option_is_in_the_manual():
    sections = dict(re.findall(r"^\.Ss tcpstats (\w+)\n(.*?)(?=^\.Ss |\Z)", part("DESCRIPTION"), re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(commands())
    for command, text in sections.items():
        items = re.findall(r"^\.It (Fl .*)$", text, re.MULTILINE)
        documented = {"-" + name.replace("\\", "") for item in items for name in re.findall(r"Fl (\S+)", item)}
        assert documented | {"-h", "--help"} == flags(command), command
    synopsis = re.findall(r"^\.Cm (\w+)$", part("SYNOPSIS"), re.MULTILINE)
    assert synopsis == commands()


def test_the_manual_is_clean_mdoc():
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", PAGE], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_examples_in_the_manual_work(tmp_path):
    """Runs the examples without a terminal, with /var/log/tcpstats in the directory of the test."""
    text = part("EXAMPLES").replace("\\(aq", "'").replace("\\-", "-")
    examples = re.findall(r"^\.Dl (.*)$", text, re.MULTILINE)
    examples += re.findall(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed$", text, re.MULTILINE | re.DOTALL)
    ours = [example for example in examples if "tcpstats " in example]
    assert len(ours) == len(examples) >= 6
    logger.run("-o", tmp_path / "tcpstats.log", "-c", 2, "-s", 1000)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tcpstats").symlink_to(TCPSTATS)
    for example in ours:
        line = example.replace("/var/log/tcpstats", str(tmp_path))
        path = f"{tmp_path}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), (example, done)
