# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""A running `tcpstats serve`, and a client of it."""

import collections
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import urllib.parse

from logger import wait_for
from sockets import ThisNamespace
from viewer import TCPSTATS

OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
Answer = collections.namedtuple("Answer", "status headers body")


class Client:
    """A client in a network namespace."""

    def __init__(self, port, inside=ThisNamespace):
        self.port, self.inside = port, inside

    def connect(self, seconds=20, receive=None):
        with self.inside.inside():
            connection = socket.socket()
        connection.settimeout(seconds)
        if receive:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        try:
            connection.connect(("127.0.0.1", self.port))
        except OSError:
            connection.close()
            raise
        return connection

    def get(self, path="/metrics", headers=None, method="GET"):
        http_connection = http.client.HTTPConnection("127.0.0.1", self.port)
        http_connection.sock = self.connect()
        http_connection.request(method, path, headers=headers or {})
        response = http_connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read().decode())
        http_connection.close()
        return answer

    def media_type(self, accept):
        """Returns the media type of the metrics for an Accept header."""
        head = self.raw(f"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
        return re.search(r"\r\ncontent-type: (.*)\r\n", head.decode())[1]

    def raw(self, request):
        """Sends bytes and returns everything that is answered until the server closes the connection."""
        with self.connect() as connection:
            answer = b""
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(65536):
                    answer += data
            except OSError:
                # The server has closed the connection although data was on its way.
                pass
        return answer


SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\.)*)"(?:,|$)')


def parse(text):
    """Returns the samples of a text by name and labels. Every line must be well-formed, and no sample may occur twice."""
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert LABEL.sub("", labels or "") == "", line
            key = name, tuple(sorted(LABEL.findall(labels or "")))
            assert key not in samples, line
            samples[key] = float(value)
    return samples


def total(samples, name, **labels):
    """Returns the sum of the samples with this name and these labels."""
    wanted = set(labels.items())
    return sum(value for (other, pairs), value in samples.items() if other == name and wanted <= set(pairs))


class Serving(Client):
    """`tcpstats serve` on a port, by default a free one, until the end of the block."""

    def __init__(self, directory, *arguments, inside=ThisNamespace, wrap=(), port=0, **options):
        self.messages_file = directory / "serve.messages"
        with self.messages_file.open("wb") as messages:
            line = [*inside.enter, *map(str, wrap), TCPSTATS, "serve", "--listen", f"127.0.0.1:{port}", *map(str, arguments)]
            self.process = subprocess.Popen(line, stderr=messages, stdout=messages, **options)

        def chosen():
            assert self.process.poll() is None, self.messages()
            return re.search(r"serving http://127\.0\.0\.1:(\d+)/(?:metrics)?\n", self.messages())

        super().__init__(int(wait_for(chosen, "the port").group(1)), inside)

    def messages(self):
        return self.messages_file.read_text()

    def samples(self):
        return parse(self.get(headers=OPEN_METRICS).body)

    def wait_for_snapshots(self, count):
        """Waits until `count` further snapshots have been taken."""
        end = self.samples()["tcpstats_snapshots_total", ()] + count
        wait_for(lambda: self.samples()["tcpstats_snapshots_total", ()] >= end, f"{count} snapshots")

    def wait_for_end(self):
        """Waits until a log has been read."""
        wait_for(lambda: "end of the log" in self.messages(), "the end of the log", 60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.process.poll() is None, self.messages()
        for process in self.children():
            os.kill(process, signal.SIGTERM)
        self.process.wait(timeout=20)

    def children(self):
        """Returns the process, or its children if it is wrapped in a command that waits for them."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [*map(int, children)] or [self.process.pid]


class Prometheus(Client):
    """A Prometheus server that scrapes a server every second, or has another configuration in this directory."""

    def __init__(self, directory, served, *arguments, configuration=None):
        with served.inside.inside(), socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = directory / "prometheus.yml"
        target = f"127.0.0.1:{served.port}"
        config.write_text(configuration or (
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: tcpstats, static_configs: [{{targets: ['{target}']}}]}}]\n"
        ))
        line = [*served.inside.enter, "prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
        line += [f"--storage.tsdb.path={directory / 'tsdb'}", *arguments]
        self.log = (directory / "prometheus.log").open("wb")
        self.process = subprocess.Popen(line, stderr=self.log, stdout=self.log)
        super().__init__(port, served.inside)

    def api(self, path, **parameters):
        """Returns the data of a response, or None until Prometheus has started."""
        try:
            answer = self.get(f"/api/v1/{path}?" + urllib.parse.urlencode(parameters))
        except ConnectionRefusedError:
            return None
        if answer.status == 503:
            return None
        found = json.loads(answer.body)
        assert found["status"] == "success", found
        return found["data"]

    def results(self, expression):
        """Returns the results of an expression, which are empty until Prometheus has started."""
        data = self.api("query", query=expression)
        return data["result"] if data else []

    def query(self, expression):
        """Returns the values of an expression with their labels. That of a native histogram is the number of observations."""
        value = lambda row: row["value"][1] if "value" in row else row["histogram"][1]["count"]  # noqa: E731
        return [(row["metric"], float(value(row))) for row in self.results(expression)]

    def scraped(self, metric):
        """Returns the samples of the only series of a metric, with the times of their scrapes."""
        (row,) = self.results(f"{metric}[10m]")
        return [(float(time), float(value)) for time, value in row["values"]]

    def value(self, expression):
        """Waits until an expression has a value, and returns it."""
        ((_, value),) = wait_for(lambda: self.query(expression), expression, 30)
        return value

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()
