# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The files in examples/prometheus: checked by promtool, and used by a real Prometheus that scrapes tcpstats serve."""

import contextlib
import copy
import json
import pathlib
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import time

import dashboard
import pytest
import yaml
from logger import ROOT, wait_for
from serving import Prometheus, Serving
from sockets import Connections, Link, Namespace, exchange
from test_ledger import talk
from viewer import TCPSTATS

EXAMPLES = ROOT / "examples/prometheus"
RULES = yaml.safe_load((EXAMPLES / "tcpstats.rules.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
TESTS = yaml.safe_load((EXAMPLES / "tcpstats.test.yml").read_text())
DASHBOARD = json.loads((EXAMPLES / "dashboard.json").read_text())

def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def remote(text):
    """Returns the configuration with its commented job for other hosts."""
    before, after = text.split("#  - job_name")
    return before + "  - job_name" + re.sub(r"^#", "", after, flags=re.MULTILINE)


def test_promtool_accepts_the_configuration_and_the_rules(tmp_path):
    promtool("check", "config", EXAMPLES / "prometheus.yml")
    assert "15 rules found" in promtool("check", "rules", EXAMPLES / "tcpstats.rules.yml")
    for path in EXAMPLES.glob("*.yml"):
        shutil.copy(path, tmp_path)
    text = remote((EXAMPLES / "prometheus.yml").read_text())
    for name in "tcpstats-ca.pem", "tcpstats.password":
        text = text.replace(f"/etc/prometheus/{name}", str(tmp_path / name))
        (tmp_path / name).write_text("")
    (tmp_path / "prometheus.yml").write_text(text)
    promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")
    assert [job["job_name"] for job in yaml.safe_load(text)["scrape_configs"]] == ["tcpstats", "tcpstats-remote"]


def test_the_unit_tests_of_the_rules_pass():
    assert "SUCCESS" in promtool("test", "rules", EXAMPLES / "tcpstats.test.yml")


def test_every_alert_is_complete():
    assert len(ALERTS) == 8
    for name, rule in ALERTS.items():
        assert rule["for"] and rule["labels"]["severity"] in ("info", "warning", "critical"), name
        assert set(rule["annotations"]) == {"summary", "description"} and "tcpstats " in rule["annotations"]["description"], name


def test_every_alert_has_unit_tests_that_it_fires_resolves_and_is_silent():
    for name in ALERTS:
        tests = [[each for each in test.get("alert_rule_test", ()) if each["alertname"] == name] for test in TESTS["tests"]]
        # Silent before, and after.
        assert any([bool(each["exp_alerts"]) for each in test] == [False, True, False] for test in tests), name
        silent = {test["name"] for test in TESTS["tests"] for each in test["alert_rule_test"] if each["alertname"] == name and not each["exp_alerts"]}
        assert {"a quiet host", "a busy host"} <= silent, name


def commands(text):
    return re.findall(r"`(tcpstats [^`]+)`", text)


def run(command, log, directory, enter=()):
    """Runs a command of a description.  The interactive list prints one snapshot."""
    words = shlex.split(command.replace("/var/log/tcpstats/tcpstats.log", str(log)))
    line = [*enter, pathlib.Path(TCPSTATS).resolve(), *words[1:]]
    done = subprocess.run(line, capture_output=True, text=True, cwd=directory, stdin=subprocess.DEVNULL)
    # A loaded machine misses ticks while it logs, which check reports with status 1.
    assert done.stderr == "" and done.returncode in ((0, 1) if words[1] == "check" else (0,)), (command, done)
    return done.stdout


def test_the_commands_in_the_descriptions_work(transfer, tmp_path):
    alerts = [alert for test in TESTS["tests"] for each in test["alert_rule_test"] for alert in each["exp_alerts"]]
    found = {command for alert in alerts for command in commands(alert["exp_annotations"]["description"])}
    assert len(found) >= 12
    for number, command in enumerate(sorted(found)):
        directory = tmp_path / str(number)
        directory.mkdir()
        run(command, transfer, directory)


def names_in(expressions):
    """Returns the names of metrics, without those that rules record."""
    return {name for expression in expressions for name in re.findall(r"(?<![\w:])tcpstats_\w+(?![\w:])", expression)}


def expressions_of_rules():
    return [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]


def test_every_metric_in_the_examples_exists(tmp_path):
    in_rules, in_dashboard = names_in(expressions_of_rules()), names_in(dashboard.expressions_of(DASHBOARD))
    in_tests = names_in(series["series"] for test in TESTS["tests"] for series in test["input_series"])
    with Namespace() as alone, Connections("127.0.0.1", 1, alone, alone), Serving(tmp_path, "-s", 100_000, inside=alone) as served:
        served.wait_for_snapshots(1)
        talk(alone, "127.0.0.1", 1)
        served.wait_for_snapshots(2)
        exist = {name for name, _ in served.samples()}
    assert in_rules - exist == set() and in_tests <= in_rules
    assert in_dashboard - exist == set()
    # The dashboard contains every metric of the program.
    families = {re.sub(r"_(total|info|created|count|sum|bucket)$", "", name) for name in exist}
    assert families - {re.sub(r"_(total|info|bucket)$", "", name) for name in in_dashboard} == set()


def test_the_dashboard_passes_the_rules_of_the_linter():
    assert list(dashboard.lint(DASHBOARD)) == []


BREAK = [
    ("uneditable-dashboard", lambda found: found.update(editable=True)),
    ("template-datasource-rule", lambda found: found["templating"]["list"][0].update(label="x")),
    ("template-job-rule", lambda found: found["templating"]["list"][1].update(allValue=".*")),
    ("template-on-time-change-reload-rule: group", lambda found: found["templating"]["list"][4].update(refresh=1)),
    ("panel-datasource-rule: Sent", lambda found: found["panels"][1].update(datasource={"type": "prometheus", "uid": "abc"})),
    ("panel-title-description-rule: Sent", lambda found: found["panels"][1].update(description="")),
    ("panel-units-rule: Sent", lambda found: found["panels"][1]["fieldConfig"]["defaults"].update(unit="bananas")),
    ("target-rate-interval-rule: Sent", lambda found: replace(found, "$__rate_interval", "5m")),
    ("target-instance-rule: Sent", lambda found: replace(found, 'instance=~"$instance"', 'instance=~".+"')),
    ("target-counter-agg-rule: Sent", lambda found: replace(found, "rate(", "deriv(")),
]


def replace(found, old, new):
    target = found["panels"][1]["targets"][0]
    assert old in target["expr"]
    target["expr"] = target["expr"].replace(old, new)


@pytest.mark.parametrize(("rule", "broken"), BREAK, ids=[rule for rule, _ in BREAK])
def test_the_linter_reports(rule, broken):
    found = copy.deepcopy(DASHBOARD)
    broken(found)
    assert list(dashboard.lint(found)) == [rule]


def test_the_structure_of_the_dashboard_is_that_of_grafana():
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] and DASHBOARD["title"]
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
    assert {panel["type"] for panel in panels} == {"row", "timeseries", "heatmap"}
    assert panels[-1]["gridPos"]["y"] == max(panel["gridPos"]["y"] for panel in panels)


def test_promtool_parses_every_expression_of_the_dashboard(tmp_path):
    annotation = dashboard.evaluated(DASHBOARD["annotations"]["list"][0]["expr"])
    expressions = [*dashboard.expressions_of(DASHBOARD), annotation]
    rules = [{"record": f"panel_{number}", "expr": expression} for number, expression in enumerate(expressions)]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", path)


def faster(text):
    """Returns the rules or the configuration with durations of seconds instead of minutes."""
    for old, new in [
        (r"(scrape|evaluation)_interval: 15s", r"\1_interval: 1s"),
        (r"\bfor: \d+m", "for: 2s"),
        (r"\[5m\]|\[2m\]", "[10s]"),
        (r"\[1h\]", "[30s]"),
        (r"offset 10m", "offset 10s"),
    ]:
        text = re.sub(old, new, text)
    return text


class Monitored:
    """Two hosts, one of which runs tcpstats serve and a Prometheus with the files of the example."""

    def __init__(self, stack, directory):
        self.near, self.far = stack.enter_context(Namespace()), stack.enter_context(Namespace())
        self.link = Link(self.near, self.far)
        self.directory = directory
        # Each port is a group, including those of the clients of Prometheus.
        served = stack.enter_context(Serving(directory, "-s", 200_000, "--series-max", 40_000, inside=self.near))
        text = faster((EXAMPLES / "prometheus.yml").read_text()).replace("localhost:9812", f"localhost:{served.port}")
        text = text.replace("sample_limit: 4000", "sample_limit: 40000")
        (directory / "tcpstats.rules.yml").write_text(faster((EXAMPLES / "tcpstats.rules.yml").read_text()))
        self.prometheus = stack.enter_context(Prometheus(directory, served, configuration=text))
        self.wait_for(lambda: self.prometheus.query("up == 1"), "a scrape")

    @staticmethod
    def wait_for(condition, what):
        """Waits with few requests, because each is a connection that is counted."""

        def slow():
            time.sleep(0.5)
            return condition()

        return wait_for(slow, what, 60)

    def alert(self, name, port):
        """Waits for an alert, and returns it."""

        def firing():
            alerts = (self.prometheus.api("alerts") or {"alerts": []})["alerts"]
            wanted = {"alertname": name, "port": str(port)}
            return [alert for alert in alerts if alert["state"] == "firing" and wanted.items() <= alert["labels"].items()]

        (alert,) = self.wait_for(firing, f"{name} for port {port}")
        return alert

    def open(self, sockets, port, backlog, source, count):
        """Listens on a port of the host without accepting connections, and connects to it from an address of the other."""
        with self.near.inside():
            listener = sockets.enter_context(socket.socket())
        listener.bind((self.link.near4, port))
        listener.listen(backlog)
        for _ in range(count):
            with self.far.inside():
                client = sockets.enter_context(socket.socket())
            client.bind((source, 0))
            client.setblocking(False)
            client.connect_ex((self.link.near4, port))

    def run(self, alert):
        """Runs the command in the description of an alert."""
        (command,) = commands(alert["annotations"]["description"])
        return run(command, "/nonexistent", self.directory, self.near.enter)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield Monitored(stack, tmp_path_factory.mktemp("monitored"))


def test_prometheus_loads_the_rules(monitored):
    groups = monitored.prometheus.api("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == sum(len(group["rules"]) for group in RULES["groups"])

    def evaluated():
        groups = monitored.prometheus.api("rules")["groups"]
        return all(rule["health"] != "unknown" for group in groups for rule in group["rules"]) and groups

    for group in monitored.wait_for(evaluated, "the rules"):
        assert [rule for rule in group["rules"] if rule["health"] != "ok"] == []


def test_every_panel_has_data(monitored):
    with Connections(monitored.link.near4, 1, monitored.far, monitored.near) as connections:
        exchange(connections.clients[0], connections.servers[0], 100_000)
        talk(monitored.near, "127.0.0.1", 3)
        for expression in dashboard.expressions_of(DASHBOARD):
            assert monitored.prometheus.query(expression) or monitored.wait_for(
                lambda: monitored.prometheus.query(expression), expression  # noqa: B023
            )


def test_connections_that_stay_half_open_fire_an_alert(monitored):
    link = monitored.link
    link.cut()
    with contextlib.ExitStack() as sockets:
        monitored.open(sockets, 80, 200, link.cut4, 80)
        alert = monitored.alert("TcpstatsSynBacklog", 80)
        assert alert["annotations"]["summary"].endswith("are half-open")
        found = monitored.run(alert)
        assert found.count(link.cut4) > 50, found


def test_a_listen_queue_that_is_full_fires_an_alert(monitored):
    with contextlib.ExitStack() as sockets:
        monitored.open(sockets, 81, 1, monitored.link.far4, 4)
        alert = monitored.alert("TcpstatsListenQueueFull", 81)
        assert alert["annotations"]["summary"].endswith("is full")
        assert " 81 " in monitored.run(alert)


def proxy_configuration():
    page = (ROOT / "man/tcpstats.1").read_text()
    return re.search(r"^server \{\n.*?^\}\n", page, re.MULTILINE | re.DOTALL)[0]


@contextlib.contextmanager
def nginx(directory, port, inside):
    """Runs nginx with the configuration in tcpstats(1)."""
    text = proxy_configuration().replace("127.0.0.1:9812", f"127.0.0.1:{port}")
    for name in "/etc/ssl/metrics.pem", "/etc/ssl/metrics.key", "/etc/nginx/tcpstats.users":
        assert name in text
        text = text.replace(name, str(directory / pathlib.Path(name).name))
    paths = "".join(f"{name}_temp_path {directory}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    # The worker reads the passwords, so it must be the user of the directory.
    main = f"user root;\npid {directory}/nginx.pid;\nerror_log {directory}/error.log;\ndaemon off;\nevents {{}}\n"
    (directory / "nginx.conf").write_text(f"{main}http {{\naccess_log off;\n{paths}{text}}}\n")
    process = subprocess.Popen([*inside.enter, "nginx", "-c", directory / "nginx.conf", "-e", directory / "error.log"])
    try:
        yield
        assert process.poll() is None, (directory / "error.log").read_text()
    finally:
        process.terminate()
        process.wait(timeout=20)


NAME = "metrics.example.org"


@pytest.fixture
def proxied(tmp_path):
    """A namespace in which nginx on port 9813 is a proxy for tcpstats serve, and a directory with its files."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext",
         f"subjectAltName=DNS:{NAME}", "-keyout", tmp_path / "metrics.key", "-out", tmp_path / "metrics.pem"],
        check=True, capture_output=True,
    )
    password = subprocess.run(["openssl", "passwd", "-apr1", "secret"], check=True, capture_output=True, text=True).stdout
    (tmp_path / "tcpstats.users").write_text(f"prometheus:{password}")
    with contextlib.ExitStack() as stack:
        inside = stack.enter_context(Namespace())
        # ip-netns(8) replaces /etc/hosts by this file.
        hosts = pathlib.Path("/etc/netns") / inside.name / "hosts"
        stack.callback(shutil.rmtree, hosts.parent, ignore_errors=True)
        hosts.parent.mkdir(parents=True)
        hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
        served = stack.enter_context(Serving(tmp_path, "-s", 200_000, "--host-name", NAME, inside=inside))
        stack.enter_context(nginx(tmp_path, served.port, inside))
        yield served


def over_tls(served, certificate, *headers, host=NAME, path="/metrics"):
    """Returns the status of a response through the proxy, and the response."""
    context = ssl.create_default_context(cafile=certificate)
    with served.inside.inside():
        plain = socket.socket()
    with plain:
        plain.settimeout(20)
        plain.connect(("127.0.0.1", 9813))
        with context.wrap_socket(plain, server_hostname=NAME) as connection:
            lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
            connection.sendall("\r\n".join(lines).encode())
            answer = b""
            while data := connection.recv(65536):
                answer += data
    return int(answer.split(b" ")[1]), answer.decode()


def listens(served, port):
    with served.inside.inside(), socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def test_the_proxy_in_the_manual_asks_for_a_password_and_passes_the_name_on(proxied, tmp_path):
    wait_for(lambda: listens(proxied, 9813), "nginx")
    certificate = tmp_path / "metrics.pem"
    assert over_tls(proxied, certificate)[0] == 401
    login = "Authorization: Basic cHJvbWV0aGV1czpzZWNyZXQ="
    status, answer = over_tls(proxied, certificate, login)
    assert status == 200 and "tcpstats_snapshots_total " in answer
    assert over_tls(proxied, certificate, login, host=f"{NAME}:9813")[0] == 200
    # nginx passes on a name that is not its own, which tcpstats serve refuses.
    assert over_tls(proxied, certificate, login, host="evil.example")[0] == 421


def test_prometheus_scrapes_through_the_proxy_with_the_configuration_of_the_example(proxied, tmp_path):
    text = faster(remote((EXAMPLES / "prometheus.yml").read_text())).replace("localhost:9812", f"localhost:{proxied.port}")
    for name, file in ("tcpstats-ca.pem", "metrics.pem"), ("tcpstats.password", "password"):
        text = text.replace(f"/etc/prometheus/{name}", str(tmp_path / file))
    (tmp_path / "password").write_text("secret\n")
    shutil.copy(EXAMPLES / "tcpstats.rules.yml", tmp_path)
    with Prometheus(tmp_path, proxied, configuration=text) as prometheus:
        wait_for(lambda: len(prometheus.query("up == 1")) == 2, "both jobs", 30)
        assert prometheus.value('tcpstats_source_up{job="tcpstats-remote"}') == 1
