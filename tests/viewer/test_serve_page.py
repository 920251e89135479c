# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""tcpstats serve: the page, in a browser and as a stream of events."""

import contextlib
import http.client
import json
import os
import pathlib
import random
import subprocess
import time
import urllib.parse

import pytest
from handmade import UNSET, CsvLog
from logger import ROOT, wait_for
from running import failing
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from serving import Serving
from sockets import Connections, Namespace, exchange

AXE = ROOT / ".venv/npm/node_modules/axe-core/axe.min.js"
STREAMS_MAX = 16
COLUMNS = "gencnt,laddr,lport,faddr,fport,state,srtt,snd_cwnd,snd_ssthresh,inflight,acked_bytes,received_bytes,rexmit_packs,cc"


def connection(number, second):
    """A row of a log: the higher the number, the more is sent, and the less received."""
    row = {"gencnt": number + 1, "laddr": "192.0.2.1", "lport": 443 if number % 2 else 80, "faddr": f"198.51.100.{number}"}
    row |= {"fport": 50_000 - number, "state": "ESTABLISHED", "cc": ["cubic", "reno", "bbr"][number % 3]}
    row |= {"srtt": 1000 * (number * 7 % 10) + 100 * second, "snd_cwnd": 14480 * (number + 1), "snd_ssthresh": UNSET}
    row |= {"acked_bytes": second * number * 125_000, "received_bytes": second * (9 - number) * 125}
    row |= {"inflight": 1448 * number, "rexmit_packs": second if number == 3 else 0}
    return row


def write_log(directory, count=9, seconds=5, change=lambda row, second: row):
    log = CsvLog(COLUMNS, 1)
    for second in range(seconds):
        rows = [change(connection(number, second), second) for number in range(count)]
        log.snapshot(*filter(None, rows))
    return log.write(directory / "page.csv")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """A server of a log of nine connections, which has been read."""
    directory = tmp_path_factory.mktemp("page")
    with Serving(directory, "-d", write_log(directory), "--by", "lport") as served:
        served.wait_for_end()
        # The page is computed after the metrics.
        with Events(served) as events:
            wait_for(lambda: events.next()["over"], "the end of the log")
        yield served


class Page:
    """The page of a server in the browser."""

    def __init__(self, browser, served, **query):
        self.browser, self.driver, self.served = browser, browser.driver, served
        self.origin = f"http://127.0.0.1:{served.port}/"
        self.query = "?" + urllib.parse.urlencode(query, doseq=True) if query else ""

    def open(self, **options):
        self.requested = self.browser.visit(self.origin + self.query, **options)
        self.wait(lambda: self.condition() in ("Live", "End of the log") and self.rows(), "connections")
        return self

    def wait(self, condition, what, seconds=20):
        return wait_for(condition, what, seconds)

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.browser.evaluate("return document.querySelector(arguments[0]).textContent", selector)

    def condition(self):
        return self.text("#condition")

    def rows(self, table="connections"):
        script = "return [...document.querySelectorAll(arguments[0] + ' tbody tr')]" \
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        return self.browser.evaluate(script, f"#{table}")

    def titles(self, table="connections"):
        return self.browser.evaluate("return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)",
                                     f"#{table} thead button")

    def column(self, title, table="connections"):
        at = self.titles(table).index(title)
        return [row[at] for row in self.rows(table)]

    def sorted_by(self, table="connections"):
        script = "const cell = document.querySelector(arguments[0]); return [cell.textContent, cell.ariaSort]"
        return tuple(self.browser.evaluate(script, f"#{table} [aria-sort]"))

    def sort(self, title, table="connections"):
        button = self.driver.find_elements("css selector", f"#{table} thead button")[self.titles(table).index(title)]
        before = self.sorted_by(table)
        self.driver.execute_script("arguments[0].click()", button)
        self.wait(lambda: self.sorted_by(table) != before, f"the order by {title}")
        return self.sorted_by(table)[1]

    def filter(self, text):
        self.find("#filter").send_keys(Keys.CONTROL, "a")
        self.find("#filter").send_keys(text or Keys.DELETE)

    def state(self):
        return urllib.parse.parse_qs(urllib.parse.urlparse(self.driver.current_url).query)

    def focused(self):
        return self.browser.evaluate("const it = document.activeElement; return it.id || it.ariaLabel || it.textContent")

    def press(self, *keys):
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def check(self, allowed=()):
        """There was no request to another host, and no error but those that contain one of these texts."""
        others = [url for url in [*self.requested, *self.browser.requests()] if not url.startswith((self.origin, "chrome"))]
        assert others == []
        assert [error for error in self.browser.errors() if not any(text in error["message"] for text in allowed)] == []


def ports(page):
    return [int(foreign.rsplit(":")[-1]) - 49_000 for foreign in page.column("foreign")]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_shows_connections_and_groups(theme, browser, replayed):
    page = Page(browser, replayed).open(theme=theme)
    assert page.titles()[:8] == ["local", "foreign", "state", "send b/s", "recv b/s", "rexm/s", "srtt", "snd_cwnd"]
    assert page.rows()[0][:8] == ["192.0.2.1:80", "198.51.100.8:49992", "ESTAB", "8.00M", "1.00k", "0", "6.40ms", "127k"]
    assert len(page.rows()) == 9 and page.text("#shown") == "9 connections"
    assert page.titles("groups") == ["lport", "connections", "send b/s", "recv b/s", "rexm/s", "srtt"]
    assert page.rows("groups") == [["80", "5", "20.0M", "25.0k", "0", "4.40ms"], ["443", "4", "16.0M", "20.0k", "1.0", "7.40ms"]]
    assert [page.text(f"#total-{name}") for name in ("connections", "send", "rexmit")] == ["9", "36.0Mbit/s", "1.0/s"]
    assert page.text("#states") == "ESTABLISHED 9"
    assert page.condition() == "End of the log"
    page.check()


def test_an_absent_value_is_an_empty_cell(browser, tmp_path):
    def without_srtt(row, second):
        return {key: value for key, value in row.items() if key not in ("srtt", "acked_bytes") or row["gencnt"] > 1}

    with Serving(tmp_path, "-d", write_log(tmp_path, 2, change=without_srtt)) as served:
        page = Page(browser, served).open()
        page.wait(lambda: page.condition() == "End of the log", "the end")
        assert page.column("srtt") == ["7.40ms", ""] and page.column("send b/s") == ["1.00M", ""]
        assert page.sort("send b/s") == "ascending"
        assert page.column("send b/s") == ["1.00M", ""], "absent values are last"
        page.check()


def test_every_column_sorts(browser, replayed):
    page = Page(browser, replayed).open()
    expected = {"send b/s": range(9), "recv b/s": [*range(8, -1, -1)], "srtt": sorted(range(9), key=lambda number: number * 7 % 10)}
    expected |= {"foreign": range(9), "snd_cwnd": range(9), "inflight": range(9)}
    assert page.sorted_by() == ("send b/s", "descending")
    for title in [*page.titles()[4:], *page.titles()[:4]]:
        first = page.sort(title)
        assert first == ("ascending" if title in ("local", "foreign", "state", "cc") else "descending"), title
        order = ports(page)
        if title in expected:
            ascending = [1000 - number for number in expected[title]]
            assert order == (ascending if first == "ascending" else ascending[::-1]), title
        again = page.sort(title)
        assert {first, again} == {"ascending", "descending"}
        if title in expected:
            assert ports(page) == order[::-1]
    assert page.state() == {"sort": ["send"], "order": ["asc"]} or page.state()["sort"]
    for title in page.titles("groups"):
        page.sort(title, "groups")
        page.sort(title, "groups")
    page.check()


def test_a_filter_applies_as_it_is_typed_and_an_error_is_shown_in_place(browser, replayed):
    page = Page(browser, replayed).open()
    page.filter("lport 443 and send")
    page.wait(lambda: page.text("#mistake"), "the mistake")
    assert page.text("#mistake").startswith("at character 15: expected ")
    assert (page.find("#filter").get_attribute("aria-invalid"), page.text("#place")) == ("true", " " * 14 + "^")
    assert len(page.rows()) == 9, "the last valid filter remains"
    page.filter("lport 443 and srtt > 5ms")
    page.wait(lambda: len(page.rows()) == 3, "the connections that match")
    assert set(page.column("local")) == {"192.0.2.1:443"} and page.text("#mistake") == ""
    assert page.rows("groups")[0][:2] == ["443", "3"]
    page.wait(lambda: page.text("#announcement") == "filtered: 3 connections, 1 group", "the announcement")
    assert page.state()["filter"] == ["lport 443 and srtt > 5ms"]
    page.driver.refresh()
    page.wait(lambda: len(page.rows()) == 3, "the filter of the address")
    assert page.find("#filter").get_attribute("value") == "lport 443 and srtt > 5ms"
    page.filter("")
    page.wait(lambda: len(page.rows()) == 9, "all connections")
    page.check()


def test_a_mistake_in_the_address_is_shown(browser, replayed):
    page = Page(browser, replayed, filter="lport", sort="srtt").open()
    page.wait(lambda: page.text("#mistake"), "the mistake")
    assert page.text("#mistake") and page.sorted_by() == ("srtt", "descending") and len(page.rows()) == 9
    page = Page(browser, replayed, by="nonsense").open()
    assert page.text("#trouble") == "by: the source does not have this label"
    page.check()


def test_connections_are_grouped_by_labels_and_a_group_can_be_selected(browser, replayed):
    page = Page(browser, replayed).open()
    page.find("#by input[value=cc]").click()
    page.wait(lambda: len(page.rows("groups")) == 6, "groups by two labels")
    assert page.titles("groups")[:2] == ["lport", "cc"] and page.state()["by"] == ["lport,cc"]
    first = page.rows("groups")[0]
    page.find("#groups tbody a").click()
    page.wait(lambda: len(page.rows()) == int(first[2]), "the connections of the group")
    assert set(page.column("cc")) == {first[1]} and page.state()["group"] == first[:2]
    assert len(page.rows("groups")) == 6
    page.driver.back()
    page.wait(lambda: len(page.rows()) == 9, "all connections")
    page.check()


def test_a_connection_has_the_charts_of_what_was_sent(browser, replayed):
    page = Page(browser, replayed).open()
    next(row for row in page.driver.find_elements("css selector", "#connections tbody a") if "198.51.100.3:" in row.accessible_name).click()
    page.wait(lambda: page.text("#opened-title") == "192.0.2.1:443 → 198.51.100.3:49997", "the connection")
    assert page.focused() == "opened-title"
    data = "return [...document.querySelectorAll('.canvas')].map((canvas) => canvas.plot.data)"
    (times, srtt), (_, send, receive), (_, window, threshold, inflight) = browser.evaluate(data)
    assert [at - times[0] for at in times] == pytest.approx(range(5))
    assert srtt == [1000 * (3 * 7 % 10) + 100 * second for second in range(5)]
    assert send == [None, *[3e6] * 4] and receive == [None, *[6000] * 4]
    assert (window, threshold, inflight) == ([14480 * 4] * 5, [None] * 5, [1448 * 3] * 5)
    label = page.find("#charts .canvas").get_attribute("aria-label")
    assert label == "Round-trip time over 4 s: srtt from 1 ms to 1.4 ms"
    fields = browser.evaluate("return [...document.querySelectorAll('#fields > div')].map((each) => [...each.children]"
                              ".map((part) => part.textContent))")
    assert ["snd_cwnd", "56.6k"] in fields and ["fport", "49997"] in fields
    address = page.driver.current_url
    page.find("#close").click()
    assert not page.find("#opened").is_displayed() and "198.51.100.3:49997" in page.focused()
    page.driver.get(address)
    page.wait(lambda: page.text("#opened-title") == "192.0.2.1:443 → 198.51.100.3:49997", "the connection of the address")
    page.check()


@pytest.fixture
def talking(tmp_path):
    """A server of live connections, and these."""
    with Connections("127.0.0.1", 4) as connections:
        with Serving(tmp_path, "-s", 100_000, "-e", f"port {connections.port}", "--by", "lport") as served:
            yield served, connections


def test_live_connections_are_updated_and_a_closed_one_keeps_its_values(browser, talking):
    served, connections = talking
    page = Page(browser, served).open()
    page.wait(lambda: len(page.rows()) == 9, "eight ends and a listening socket")
    client, server = connections.clients[0], connections.servers[0]
    exchange(client, server, 100_000)
    ends = f"127.0.0.1:{connections.port} → 127.0.0.1:{client.getsockname()[1]}"
    page.filter(f"fport {client.getsockname()[1]}")
    page.wait(lambda: len(page.rows()) == 1, "the connection")
    page.find("#connections tbody a").click()
    page.wait(lambda: page.text("#opened-title") == ends, "its details")
    # The other end remains in TIME_WAIT.
    client.close()
    server.close()
    page.wait(lambda: page.text("#opened-title") == f"{ends} (ended)", "its end")
    page.wait(lambda: page.find("#gone").is_displayed(), "its disappearance")
    assert page.text("#fields")
    page.check()


def test_the_page_can_be_paused(browser, talking):
    served, _ = talking
    page = Page(browser, served).open()
    page.find("#pause").click()
    assert page.condition() == "Paused"
    wait_for(lambda: streams(served) == 0, "the end of the stream")
    page.find("#pause").click()
    page.wait(lambda: page.condition() == "Live", "updates")
    page.check()


def test_the_page_survives_a_source_that_fails(browser, talking):
    served, _ = talking
    page = Page(browser, served).open()
    tasks = pathlib.Path(f"/proc/{served.process.pid}/task")
    (sampler,) = (task.name for task in tasks.iterdir() if (task / "comm").read_text() == "sampler\n")
    with failing(sampler, "write", "ENOBUFS"):
        page.wait(lambda: page.condition() == "Source failed", "the error")
        assert "No buffer space available" in page.text("#trouble") and page.rows(), "the last snapshot remains"
    page.wait(lambda: page.condition() == "Live" and not page.find("#trouble").is_displayed(), "the source")
    page.check()


def test_the_page_survives_a_server_that_is_restarted(browser, tmp_path):
    log = write_log(tmp_path)
    with Serving(tmp_path, "-d", log) as served:
        page = Page(browser, served, sort="srtt").open()
    page.wait(lambda: page.condition().startswith("Connection to the server lost"), "the loss")
    assert len(page.rows()) == 9
    with Serving(tmp_path, "-d", log, port=served.port):
        page.wait(lambda: page.condition() == "End of the log", "the server", 30)
        assert page.sorted_by() == ("srtt", "descending")
    page.check(allowed=["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"])


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 1200), ("light", 360), ("dark", 360)])
def test_axe_finds_no_violation(theme, width, browser, replayed):
    for query in {}, {"filter": "lport"}, {"sort": "srtt", "by": "prefix,cc", "groups": "200"}:
        page = Page(browser, replayed, **query).open(theme=theme, width=width)
        page.driver.execute_script("document.querySelector('#connections tbody a').click()")
        page.wait(lambda: browser.evaluate("return document.querySelectorAll('#charts canvas').length") == 3, "the charts")
        page.driver.execute_script(AXE.read_text())
        found = page.driver.execute_async_script("axe.run().then(arguments[0])")
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
        assert len(found["passes"]) > 20
        overflow = browser.evaluate("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, "the page scrolls only within its tables"
        page.check()


def test_the_page_can_be_used_with_a_keyboard_and_keeps_the_focus(browser, talking):
    served, connections = talking
    page = Page(browser, served).open()
    page.press(Keys.TAB, Keys.TAB)
    assert page.focused() == "filter"
    page.press(f"lport {connections.port} and state established", Keys.ENTER)
    page.wait(lambda: len(page.rows()) == 4, "the filter")
    for _ in range(60):
        page.press(Keys.TAB)
        if page.focused() == "send b/s" and browser.evaluate("return Boolean(document.activeElement.closest('#connections'))"):
            break
    page.press(Keys.ENTER)
    page.wait(lambda: page.sorted_by() == ("send b/s", "ascending"), "the order")
    page.press(Keys.ENTER)
    page.wait(lambda: page.sorted_by() == ("send b/s", "descending"), "the order")
    assert page.focused() == "send b/s"
    links = 0
    for _ in range(60):
        page.press(Keys.TAB)
        links += browser.evaluate("return document.activeElement.tagName") == "A"
        if links == 4:
            break
    focused = page.focused()
    name = focused.removeprefix(f"127.0.0.1:{connections.port} to ")
    assert page.column("foreign").index(name) == 3
    (at,) = (at for at, client in enumerate(connections.clients) if name == f"127.0.0.1:{client.getsockname()[1]}")

    def is_first():
        """Makes the row with the focus the first."""
        exchange(connections.clients[at], connections.servers[at], 100_000)
        assert page.focused() == focused
        return page.column("foreign")[0] == name

    page.wait(is_first, "the other order")
    assert page.focused() == focused
    page.press(Keys.ENTER)
    page.wait(lambda: page.focused() == "opened-title", "the connection")
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.focused() == focused, "the list")
    assert not page.find("#opened").is_displayed()
    page.check()


def test_only_the_first_of_many_connections_are_sent(browser, tmp_path):
    log = CsvLog("gencnt,laddr,lport,faddr,fport,state,acked_bytes", 1)
    for second in range(2):
        rows = (connection(number % 250, second) | {"gencnt": number + 1, "fport": number, "acked_bytes": second * number}
                for number in range(20_000))
        log.snapshot(*({key: row[key] for key in log.columns} for row in rows))
    with Serving(tmp_path, "-d", log.write(tmp_path / "many.csv"), "--by", "prefix") as served:
        served.wait_for_end()
        page = Page(browser, served).open()
        page.wait(lambda: page.condition() == "End of the log", "the end")
        assert len(page.rows()) == 200 and page.text("#shown") == "the first 200 of 20,000 connections"
        assert page.column("foreign")[0].endswith(":19999")
        page.filter("fport 17")
        page.wait(lambda: len(page.rows()) == 1, "one connection")
        page.check()


# Streams of events.


class Events:
    """A stream of events."""

    def __init__(self, served, query="", headers=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", served.port)
        self.connection.sock = served.connect()
        self.connection.request("GET", f"/events?{query}", headers=headers or {})
        self.response = self.connection.getresponse()

    def next(self):
        while not (line := self.response.readline()).startswith(b"data:{"):
            assert line, "the stream has ended"
        return json.loads(line[5:])

    def close(self):
        self.connection.close()
        self.response.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def streams(served):
    """Returns the number of connections to clients."""
    return len([fd for fd in os.listdir(f"/proc/{served.process.pid}/fd") if is_client(served, fd)])


def is_client(served, fd):
    try:
        link = os.readlink(f"/proc/{served.process.pid}/fd/{fd}")
    except OSError:
        return False
    table = pathlib.Path(f"/proc/{served.process.pid}/net/tcp").read_text().splitlines()[1:]
    return any(link == f"socket:[{line.split()[9]}]" and line.split()[3] == "01" for line in table)


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    with Serving(tmp_path_factory.mktemp("fast"), "-s", 20_000) as served:
        yield served


def test_an_event_has_what_the_query_asks_for(replayed):
    with Events(replayed, "filter=lport+443&sort=foreign&order=desc&by=cc&gsort=cc&groups=2") as events:
        assert events.response.getheader("content-type") == "text/event-stream"
        event = events.next()
    assert [row[2][1] for row in event["connections"]["rows"]] == [f"198.51.100.{n}:{50_000 - n}" for n in (7, 5, 3, 1)]
    assert [row[0] for row in event["groups"]["rows"]] == [["bbr"], ["cubic"]] and event["groups"]["total"] == 3
    assert (event["totals"]["connections"], event["error"], event["over"]) == (4, None, True)


def test_wrong_queries_are_refused(replayed, talking):
    long = urllib.parse.quote("not " * 1000 + "ip4")
    for query, message in [
        ("filter=lport", "filter: character 6: expected "),
        (f"filter={long}", "filter: it is longer than 2000 bytes"),
        ("by=process,nonsense", "by: the source does not have this label"),
        ("group=1&group=2", "group: expected a value for each label"),
        ("order=up", "order: expected asc or desc"),
        ("open=xyz", "open: expected the ID of a connection"),
        ("groups=-1", "groups: expected a number"),
        ("x=1", "x: unknown parameter"),
        ("filter=%ff", "query: is not UTF-8"),
    ]:
        answer = replayed.get(f"/events?{query}")
        assert answer.status == 400 and answer.body.startswith(message), (query, answer)
        assert json.loads(replayed.get(f"/filter?{query}").body)["text"]
    assert replayed.get("/filter?filter=port+443").body == "null"
    # The live source has no owners.
    owners = json.loads(talking[0].get("/filter?filter=command+nginx").body)
    assert owners == {"name": "filter", "column": None, "text": "owners are not available; use --by process"}
    assert replayed.get("/filter?filter=command+nginx").body == "null"


def test_fuzzed_queries_do_not_stop_the_server(replayed):
    chance = random.Random(1)
    seeds = [
        "filter=lport+443+and+srtt+%3E+5ms&sort=foreign&order=desc",
        "by=prefix,cc,lport&gsort=connections&gorder=asc&groups=18446744073709551616",
        "group=443&group=%00&ended=0&open=ffffffffffffffff&by=lport,cc",
        "filter=" + "(" * 500 + "not+" * 300 + "host+fe80::1%25lo",
    ]
    for _ in range(1000):
        query = list(chance.choice(seeds))
        for _ in range(chance.randrange(8)):
            at = chance.randrange(len(query) + 1)
            query[at : at + chance.randrange(4)] = chance.choice(["", "%", "=", "&", "%ff", "0", "(", "+", ";", "~"])
        answer = replayed.get("/filter?" + "".join(query))
        assert answer.status == 200, query
        mistake = json.loads(answer.body)
        # The stream accepts exactly the same queries.
        assert replayed.get("/events?" + "".join(query), method="HEAD").status == (400 if mistake else 200), query
    with Events(replayed) as events:
        assert events.next()["connections"]["total"] == 9


def test_without_owners_a_filter_cannot_compare_them(tmp_path):
    with Serving(tmp_path, "--no-owners") as served:
        answer = served.get("/events?filter=command+nginx")
        assert (answer.status, answer.body) == (400, "filter: --no-owners cannot be combined with a filter that compares owners\n")


def test_the_page_may_load_nothing_from_elsewhere_and_has_no_inline_script(replayed):
    answer = replayed.get("/")
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'" and all(rule.split(" ", 1)[1] in ("'self'", "'none'") for rule in policy)
    assert "<script>" not in answer.body and " on" not in answer.body.split("<body>")[0] and "style=" not in answer.body
    for method in "POST", "PUT", "DELETE":
        assert replayed.get("/", method=method).status == 405
    for path in "/events", "/filter":
        for site, status in ("cross-site", 403), ("same-site", 403), ("same-origin", 200):
            if (path, status) != ("/events", 200):
                assert replayed.get(path, headers={"Sec-Fetch-Site": site}).status == status, (path, site)
    assert replayed.get("/", headers={"Host": "evil.example"}).status == 421
    assert replayed.get("/events", headers={"Host": "evil.example"}).status == 421
    assert replayed.get("/events", method="HEAD").status == 200


def test_streams_are_bounded_apart_from_requests(fast):
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Events(fast)) for _ in range(STREAMS_MAX)]
        assert [each.next()["error"] for each in opened] == [None] * STREAMS_MAX
        assert fast.get("/events").status == 503
        assert fast.get("/events", method="HEAD").status == 503
        assert fast.get().status == fast.get("/").status == 200
        # Further clients replace the oldest ones, but not streams.
        for _ in range(400):
            stack.enter_context(fast.connect())
        assert fast.get().status == 200
        for each in opened:
            each.next()
        opened[3].close()
        wait_for(lambda: fast.get("/events", method="HEAD").status == 200, "room for a stream", 5)
    wait_for(lambda: streams(fast) == 0, "the end of the streams")


def test_a_stream_ends_when_its_client_closes_it(replayed):
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Events(replayed)) for _ in range(STREAMS_MAX)]
        for each in opened:
            each.next()
        assert replayed.get("/events", method="HEAD").status == 503
        # The next event would be sent after five seconds, and only the one after that would fail.
        opened[3].close()
        wait_for(lambda: replayed.get("/events", method="HEAD").status == 200, "room for a stream", 4)


def test_a_reader_that_stops_delays_nothing_and_is_disconnected(tmp_path):
    with contextlib.ExitStack() as stack:
        alone = stack.enter_context(Namespace())
        # So that few events fill the buffers.
        command = [*alone.enter, "sysctl", "-qw", "net.ipv4.tcp_wmem=4096 16384 16384"]
        subprocess.run(command, check=True)
        stack.enter_context(Connections("127.0.0.1", 100, alone, alone))
        fast = stack.enter_context(Serving(tmp_path, "-s", 20_000, inside=alone))
        stopped = []
        for _ in range(STREAMS_MAX - 1):
            client = stack.enter_context(fast.connect(receive=2048))
            client.sendall(b"GET /events?groups=200&by=lport HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stopped.append(client)
        events = stack.enter_context(Events(fast))
        events.next()
        time.sleep(5)
        before, start, slowest = fast.samples()["tcpstats_snapshots_total", ()], time.monotonic(), 0
        seen = set()
        while time.monotonic() - start < 3:
            asked = time.monotonic()
            seen.add(events.next()["time"])
            assert fast.get().status == 200
            slowest = max(slowest, time.monotonic() - asked)
        samples = fast.samples()
        assert samples["tcpstats_snapshots_total", ()] - before >= 100 and samples["tcpstats_snapshots_missed_total", ()] < 20
        assert slowest < 1 and len(seen) >= 6
        # They stop to be served 30 seconds after they have accepted an event.
        wait_for(lambda: streams(fast) == 1, "the end of the stopped streams", 60)
        assert events.next()


def test_the_page_can_be_disabled(tmp_path):
    with Serving(tmp_path, "--no-page") as served:
        for path in "/", "/events", "/filter", "/page.js":
            assert served.get(path).status == 404, path
        assert served.get().status == 200
