# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""tcpstats plot --html: the page in a browser."""

import itertools

import pytest
from handmade import ENDS, CsvLog, windows
from records import seconds, values
from selenium.webdriver.common.action_chains import ActionChains
from viewer import run


@pytest.fixture
def page(transfer, tmp_path):
    path = tmp_path / "x.html"
    run("plot", "-o", path, transfer)
    return path


COLORED = """
const [number, color] = arguments, canvas = plots[number].root.querySelector("canvas");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
const expected = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
let found = 0;
for (let i = 0; i < data.length; i += 4) {
  if (data[i + 3] > 200 && expected.every((part, j) => Math.abs(data[i + j] - part) < 24)) found++;
}
return found;
"""


def drag(browser, plot, begin, end):
    """Drags over a part of a plot."""
    over = browser.driver.find_elements("css selector", ".u-over")[plot]
    width = over.size["width"]
    chain = ActionChains(browser.driver, duration=50)
    chain.move_to_element_with_offset(over, round(width * (begin - 0.5)), 0).click_and_hold()
    chain.move_by_offset(round(width * (end - begin) / 2), 0).move_by_offset(round(width * (end - begin) / 2), 0)
    chain.release().perform()
    return over


def scales(browser):
    return browser.evaluate("return plots.map((plot) => [plot.scales.x.min, plot.scales.x.max])")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_self_contained_and_makes_no_requests(theme, browser, page, rows):
    assert browser.open(page, theme) == [page.as_uri()]
    assert browser.driver.title.startswith(f"{rows[0]['laddr']}:{rows[0]['lport']} → ")
    panels = browser.evaluate("return figure.panels.map((panel) => panel.curves.map((curve) => [curve.label, curve.color]))")
    assert [label for label, _ in panels[0]] == ["snd_cwnd", "snd_ssthresh"]
    for number, curves in enumerate(panels):
        assert browser.evaluate(COLORED, number, curves[0][1][theme == "dark"]) > 200, curves
    assert browser.errors() == []


def test_the_page_has_the_values_of_the_log(browser, page, rows):
    browser.open(page)
    times, window = browser.evaluate(
        "const [times, window] = plots[0].data; const at = [...times.keys()].filter((i) => window[i] != null);"
        "return [at.map((i) => times[i]), at.map((i) => window[i])]"
    )
    expected = list(itertools.chain(*values(rows, "snd_cwnd")))
    assert window == [value for _, value in expected]
    # The page shows elapsed time by the monotonic clock, the column has the time of day, which may be slewed.
    assert times == pytest.approx([at for at, _ in expected], abs=1e-3)


def test_zooming_applies_to_all_panels_and_can_be_reset(browser, page):
    browser.open(page)
    initial = scales(browser)
    assert len(initial) == 5 and len({tuple(scale) for scale in initial}) == 1
    (low, high) = initial[0]
    over = drag(browser, 2, 0.25, 0.75)
    zoomed = scales(browser)
    assert len({tuple(scale) for scale in zoomed}) == 1
    assert zoomed[0] == [pytest.approx(low + (high - low) * part, abs=0.05) for part in (0.25, 0.75)]
    ActionChains(browser.driver).double_click(over).perform()
    assert scales(browser) == initial
    assert browser.errors() == [] and browser.requests() == []


VALUES = "return [...document.querySelectorAll('section')].map((panel) => " \
    "[...panel.querySelectorAll('.value')].map((value) => value.textContent))"


def test_every_panel_shows_the_values_at_the_pointer(browser, page, rows):
    browser.open(page)
    assert {text for panel in browser.evaluate(VALUES) for text in panel} == {""}
    over = browser.driver.find_elements("css selector", ".u-over")[0]
    ActionChains(browser.driver).move_to_element(over).perform()
    (window, _), (inflight, _), (srtt, around), (rate, *_), _ = browser.evaluate(VALUES)
    at = float(browser.evaluate("return document.querySelector('.time').textContent").removesuffix(" s"))
    # The time is that of the pointer, which is between two rows.
    near = [row for row in rows if abs(seconds(row, rows[0]) - at) <= 0.03]
    shown = [tuple(f"{int(row[name]) / 1000:.4g} kB" for name in ("snd_cwnd", "inflight")) for row in near]
    assert (window, inflight) in shown
    row = near[shown.index((window, inflight))]
    assert srtt == f"{int(row['srtt']) / 1000:.4g} ms"
    low, high = (float(text.removesuffix(" ms")) for text in around.split(" to "))
    assert low <= int(row["srtt"]) / 1000 <= high
    assert rate.endswith("bit/s")


def test_the_value_of_a_bar_is_shown_only_at_the_bar(browser, tmp_path):
    log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd,rexmit_packs", interval=1)
    for number in range(101):
        log.snapshot({**ENDS, "snd_cwnd": 1000, "rexmit_packs": 7 if number > 50 else 0})
    path = tmp_path / "x.html"
    run("plot", "-o", path, log.write(tmp_path / "x.csv"))
    browser.open(path)
    over = browser.driver.find_elements("css selector", ".u-over")[0]
    for part, value in (0.01, "7"), (0.25, "–"):
        ActionChains(browser.driver).move_to_element_with_offset(over, round(over.size["width"] * part), 0).perform()
        assert browser.evaluate(VALUES)[-1] == [value]


ENTRIES = "return [...document.querySelectorAll('#legend .name, main .name')].map((name) => name.textContent)"


def test_several_connections_have_a_common_legend(browser, transfer, tmp_path):
    path = tmp_path / "x.html"
    run("plot", "-n", 2, "-o", path, transfer)
    browser.open(path)
    labels = browser.evaluate("return figure.panels[0].curves.map((curve) => curve.label)")
    assert browser.evaluate(ENTRIES) == labels and len(labels) == 2
    for button in browser.driver.find_elements("css selector", "#legend button")[:1]:
        button.click()
    shown = browser.evaluate("return plots.map((plot) => plot.series.slice(1).map((series) => series.show))")
    assert shown == [[False, True]] * 5
    assert browser.errors() == []


def test_each_curve_of_one_connection_is_named_once(browser, page):
    browser.open(page)
    names = browser.evaluate(ENTRIES)
    assert names[:6] == ["snd_cwnd", "snd_ssthresh", "inflight", "snd_wnd", "srtt", "± rttvar"]
    assert len(names) == len(set(names))
    browser.driver.find_elements("css selector", "main button")[1].click()
    assert browser.evaluate("return plots[0].series.map((series) => series.show)") == [True, True, False]


def test_the_panel_has_a_message_without_a_byte_counter(browser, tmp_path):
    path = tmp_path / "x.html"
    run("plot", "-o", path, windows(tmp_path, [1000] * 9))
    browser.open(path)
    assert browser.evaluate("return [...document.querySelectorAll('h2')].map((title) => title.textContent)") == [
        "congestion window", "throughput",
    ]
    message = browser.evaluate("return document.querySelector('section .message').textContent")
    assert message.startswith("the log has no byte counter (acked_bytes, ")
    # The time axis is below the last panel with curves.
    assert browser.evaluate("return plots.map((plot) => plot.axes[0]._values.at(-1))") == ["0.8 s"]
    browser.driver.find_elements("css selector", "main button")[0].click()
    assert browser.errors() == []


# Returns the number of pixels at the left edge of each panel that are not empty.
LEFT_EDGE = """
return plots.map((plot) => {
  const canvas = plot.root.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, 3, canvas.height);
  return data.filter((part, i) => i % 4 === 3 && part > 0).length;
});
"""


@pytest.mark.parametrize("rate", [1, 10**3, 123_456_789, 10**9])
def test_labels_of_axes_are_not_truncated_and_panels_are_aligned(rate, browser, tmp_path):
    log = CsvLog("laddr,lport,faddr,fport,state,snd_cwnd,inflight,srtt,acked_bytes,rexmit_packs", interval=1)
    for number in range(30):
        counts = {"acked_bytes": rate * number, "rexmit_packs": rate * number // 1000}
        log.snapshot({**ENDS, "snd_cwnd": min(rate, 10**9), "inflight": 999_999_999, "srtt": 1_250_000, **counts})
    path = tmp_path / "x.html"
    run("plot", "-o", path, log.write(tmp_path / "x.csv"))
    browser.open(path)
    assert browser.evaluate("return new Set(plots.map((plot) => plot.bbox.left)).size") == 1
    assert set(browser.evaluate(LEFT_EDGE)) == {0}
    assert browser.errors() == []


def test_lines_are_interrupted_as_in_the_image(browser, tmp_path):
    path = tmp_path / "x.html"
    run("plot", "-o", path, windows(tmp_path, [1000] * 5 + [None] * 3 + [2000] * 7))
    browser.open(path)
    window = browser.evaluate("return plots[0].data[1].map((value) => (value === undefined ? 'between' : value))")
    values = [value for value in window if value != "between"]
    assert values == [1000] * 5 + [None] + [2000] * 7 + [None]
    assert browser.errors() == []


def test_a_page_of_several_connections_in_utc(browser, transfer, tmp_path, rows):
    path = tmp_path / "x.html"
    run("plot", "--utc", "-n", 2, "-o", path, transfer)
    browser.open(path)
    assert browser.evaluate("return plots.map((plot) => plot.series.length)") == [3] * 5
    assert scales(browser)[0][0] == pytest.approx(float(rows[0]["time"]), abs=0.03)
    assert browser.errors() == []
