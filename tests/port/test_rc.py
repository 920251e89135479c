# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The rc scripts, with a replacement for rc.subr that prints what it would do."""

import getpass
import pathlib
import re
import shlex
import stat
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "rc.d/tcpstats_logger"
LOGGER = "%%PREFIX%%/sbin/siftr_cdev_logger"
PIDFILE = "/var/run/siftr_cdev_logger.pid"
SERVE = ROOT / "rc.d/tcpstats_serve"
BOTH = pytest.mark.parametrize("script", [SCRIPT, SERVE], ids=lambda path: path.name)


def runner(folder, script, program):
    """Returns a function that runs a command of a script with variables of rc.conf, and returns its output and the
    arguments of the program."""
    stub = folder / "program"
    stub.write_text("#!/bin/sh\nprintf '%s\\n' 'the program:' \"$@\"\n")
    stub.chmod(0o755)
    text = script.read_text()
    for name, replacement in (("/etc/rc.subr", pathlib.Path(__file__).parent / "rc.subr"), (program, stub)):
        assert text.count(name) == 1
        text = text.replace(name, str(replacement))
    copy = folder / script.name
    copy.write_text(text)

    def run(command, exit_status=0, **variables):
        conf = folder / "rc.conf"
        conf.write_text("".join(f"{script.name}_{name}={shlex.quote(value)}\n" for name, value in variables.items()))
        done = subprocess.run(
            ["sh", copy, command], env={"PATH": "/usr/bin:/bin", "RC_CONF": str(conf)},
            capture_output=True, text=True,
        )
        assert (done.returncode, done.stderr) == (exit_status, "")
        lines = done.stdout.splitlines()
        if "the program:" not in lines:
            return lines, None
        at = lines.index("the program:")
        return lines[:at], lines[at + 1:]

    return run


@pytest.fixture
def rc(tmp_path):
    """Runs a command of the script of the logger."""
    return runner(tmp_path, SCRIPT, LOGGER)


@pytest.fixture
def serve(tmp_path):
    """Runs a command of the script of tcpstats serve, with a replacement for daemon(8)."""
    return runner(tmp_path, SERVE, "/usr/sbin/daemon")


@BOTH
def test_shells_and_shellcheck_accept_the_script(script):
    for shell in (["sh"], ["bash", "--posix"]):
        subprocess.run([*shell, "-n", script], check=True)
    subprocess.run(["shellcheck", script, *sorted(ROOT.glob("freebsd/*.sh")), pathlib.Path(__file__).parent / "rc.subr"], check=True)
    assert script.stat().st_mode & stat.S_IXUSR


@BOTH
def test_the_ports_framework_uses_the_same_script(script):
    assert (ROOT / f"files/{script.name}.in").resolve() == script


@BOTH
def test_the_script_has_the_keywords_of_rcorder(script):
    head = dict(re.findall(r"^# ([A-Z]+): (.+)$", script.read_text(), re.MULTILINE))
    assert head == {"PROVIDE": script.name, "REQUIRE": "NETWORKING syslogd", "KEYWORD": "nojail shutdown"}


def test_the_logger_is_not_enabled_by_default(rc):
    assert rc("rcvar") == (["tcpstats_logger_enable=NO"], None)
    assert rc("start", exit_status=1) == (["not enabled"], None)


def test_the_script_supports_reload(rc):
    assert rc("commands")[0] == ["start stop restart status reload"]
    assert rc("pidfile")[0] == [PIDFILE]


def test_start_loads_the_module_and_starts_the_logger_as_root(rc, tmp_path):
    lines, arguments = rc("start", enable="YES", output=str(tmp_path / "x.log"))
    # There is no su: the logger opens the device as root, and then drops root privileges.
    assert lines == ["kldload siftr_cdev", "svcj NO"]
    assert arguments == [
        "-b", "-p", PIDFILE, "-o", str(tmp_path / "x.log"), "-s", "1000000", "-F", "csv", "-u", "nobody"
    ]


def test_the_logger_is_not_started_in_a_service_jail(rc, tmp_path):
    lines, _ = rc("start", enable="YES", output=str(tmp_path / "x.log"), svcj="YES")
    assert "svcj NO" in lines


@pytest.mark.parametrize("text", ["port 443 and srtt > 100ms", "(cc cubic)", "it's \"$HOME\" `id` $(id) \\ ; & | * #"])
def test_every_variable_is_passed_to_the_logger_unchanged(rc, tmp_path, text):
    _, arguments = rc(
        "start", enable="YES", output=str(tmp_path / "a b's"), interval="50000", format="bin", filter=text,
        user="root", flags="-x -k 10",
    )
    assert arguments == [
        "-x", "-k", "10", "-b", "-p", PIDFILE,
        "-o", str(tmp_path / "a b's"), "-s", "50000", "-F", "bin", "-e", text, "-u", "root",
    ]


def test_empty_variables_add_no_options(rc):
    _, arguments = rc("start", enable="YES", output="", user="", flags="-l local0")
    assert arguments == ["-l", "local0", "-b", "-p", PIDFILE, "-s", "1000000", "-F", "csv"]


def test_the_directory_of_the_log_is_created_once(rc, tmp_path):
    folder = tmp_path / "logs"
    user = getpass.getuser()
    rc("start", enable="YES", output=str(folder / "x.log"), user=f"{user}:{user}")
    assert (stat.S_IMODE(folder.stat().st_mode), folder.owner(), folder.group()) == (0o750, user, user)
    folder.chmod(0o711)
    rc("start", enable="YES", output=str(folder / "x.log"), user=user)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711


DAEMON = ["-f", "-p", "/var/run/tcpstats_serve.pid", "-T", "tcpstats_serve", "--"]
NOBODY = ["/usr/sbin/chroot", "-u", "nobody", "-g", "wheel", "-G", "wheel", "/"]
PROGRAM = "%%PREFIX%%/bin/tcpstats"


def test_serve_is_not_enabled_by_default(serve):
    assert serve("rcvar") == (["tcpstats_serve_enable=NO"], None)
    assert serve("start", exit_status=1) == (["not enabled"], None)


def test_serve_runs_under_daemon_as_nobody_and_loads_the_module(serve):
    lines, arguments = serve("start", enable="YES", svcj="YES")
    # There is no su: daemon(8) creates the pidfile as root.
    assert lines == ["kldload siftr_cdev", "svcj NO"]
    assert arguments == [*DAEMON, *NOBODY, PROGRAM, "serve", "-l", "127.0.0.1:9812", "--by", "port"]
    assert serve("pidfile")[0] == [DAEMON[2]]
    _, arguments = serve("start", enable="YES", user="stats", group="network")
    assert arguments[len(DAEMON):][1:7] == ["-u", "stats", "-g", "network", "-G", "network"]


@pytest.mark.parametrize("text", ["lport 443 and srtt > 100ms", "it's \"$HOME\" `id` $(id) \\ ; & | * #"])
def test_every_variable_is_passed_to_serve_unchanged(serve, text):
    _, arguments = serve(
        "start", enable="YES", listen="[::1]:9000", by="lport,cc", filter=text, user="", args="--series-max 5000", flags="-R 5"
    )
    assert arguments == ["-R", "5", *DAEMON, PROGRAM, "serve", "-l", "[::1]:9000", "--by", "lport,cc", "-e", text, "--series-max", "5000"]


def defaults(script):
    # A variable that may be set to an empty string has its default after "=" instead of ":=".
    return dict(re.findall(r"^: \"\$\{(tcpstats_\w+):?=(.*)\}\"$", script.read_text(), re.MULTILINE))


@BOTH
def test_the_script_documents_every_variable_with_its_default(script):
    documented = dict(re.findall(r"^# (tcpstats_\w+_\w+)\t(?:.*\n#\t)*?.*Default: (\S*)", script.read_text(), re.MULTILINE))
    used = defaults(script)
    assert len(used) == (7 if script == SCRIPT else 8)
    assert {name: "" if value.startswith("empty") else value.rstrip(",") for name, value in documented.items()} == used


@pytest.mark.parametrize(("script", "page"), [(SCRIPT, "siftr_cdev_logger.8"), (SERVE, "tcpstats.1")])
def test_the_manual_documents_every_variable_with_its_default(script, page):
    page = (ROOT / "man" / page).read_text()
    items = dict(re.findall(rf"^\.It Va ({script.name}_\w+)\n((?:(?!\.It |\.El).*\n)+)", page, re.MULTILINE))
    used = defaults(script)
    assert set(items) == set(used)
    assert all(default in items[name] for name, default in used.items())


def test_newsyslog_rotates_the_log_and_signals_the_process_of_the_script():
    lines = (ROOT / "files/newsyslog.conf.d/tcpstats_logger.conf").read_text().splitlines()
    (line,) = [line.split() for line in lines if line and not line.startswith("#")]
    log, owner, mode, _, _, _, flags, pidfile = line
    script = SCRIPT.read_text()
    assert f"tcpstats_logger_output={log}" in script and f"tcpstats_logger_user={owner.rstrip(':')}" in script
    assert f'pidfile="{pidfile}"' in script
    # Without B newsyslog(8) would insert a line into the log.
    assert "B" in flags and mode == "640"
