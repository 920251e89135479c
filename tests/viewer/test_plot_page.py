# SPDX-License-Identifier: BSD-2-Clause
"""tcpstats plot --html: the page in a browser."""

import itertools

import pytest
from handmade import windows
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
const wanted = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
let found = 0;
for (let i = 0; i < data.length; i += 4) {
  if (data[i + 3] > 200 && wanted.every((part, j) => Math.abs(data[i + j] - part) < 24)) found++;
}
return found;
"""


def drag(browser, plot, begin, end):
    """Drags over that part of a plot."""
    over = browser.driver.find_elements("css selector", ".u-over")[plot]
    width = over.size["width"]
    chain = ActionChains(browser.driver, duration=50)
    chain.move_to_element_with_offset(over, round(width * (begin - 0.5)), 0).click_and_hold()
    chain.move_by_offset(round(width * (end - begin) / 2), 0).move_by_offset(round(width * (end - begin) / 2), 0)
    chain.release().perform()
    return over


def scales(browser):
    return browser.ask("return plots.map((plot) => [plot.scales.x.min, plot.scales.x.max])")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_draws_by_itself_and_asks_nobody(theme, browser, page, rows):
    assert browser.open(page, theme) == [page.as_uri()]
    assert browser.driver.title.startswith(f"{rows[0]['laddr']}:{rows[0]['lport']} → ")
    panels = browser.ask("return figure.panels.map((panel) => panel.curves.map((curve) => [curve.label, curve.color]))")
    assert [label for label, _ in panels[0]] == ["snd_cwnd", "snd_ssthresh"]
    for number, curves in enumerate(panels):
        assert browser.ask(COLORED, number, curves[0][1][theme == "dark"]) > 200, curves
    assert browser.complaints() == []


def test_the_page_has_the_values_of_the_log(browser, page, rows):
    browser.open(page)
    times, window = browser.ask(
        "const [times, window] = plots[0].data; const at = [...times.keys()].filter((i) => window[i] != null);"
        "return [at.map((i) => times[i]), at.map((i) => window[i])]"
    )
    expected = list(itertools.chain(*values(rows, "snd_cwnd")))
    assert window == [value for _, value in expected]
    assert times == pytest.approx([at for at, _ in expected], abs=1e-5)


def test_the_page_zooms_all_panels_and_back(browser, page):
    browser.open(page)
    whole = scales(browser)
    assert len(whole) == 5 and len({tuple(scale) for scale in whole}) == 1
    (low, high) = whole[0]
    over = drag(browser, 2, 0.25, 0.75)
    zoomed = scales(browser)
    assert len({tuple(scale) for scale in zoomed}) == 1
    assert zoomed[0] == [pytest.approx(low + (high - low) * part, abs=0.05) for part in (0.25, 0.75)]
    ActionChains(browser.driver).double_click(over).perform()
    assert scales(browser) == whole
    assert browser.complaints() == [] and browser.requests() == []


def test_the_page_tells_the_values_under_the_cursor_in_every_panel(browser, page, rows):
    browser.open(page)
    over = browser.driver.find_elements("css selector", ".u-over")[0]
    ActionChains(browser.driver).move_to_element(over).perform()
    told = browser.ask(
        "return plots.map((plot) => [...plot.root.querySelectorAll('.u-value')].map((value) => value.textContent))"
    )
    at, window = float(told[0][0].removesuffix(" s")), told[0][1]
    row = min(rows, key=lambda row: abs(seconds(row, rows[0]) - at))
    assert seconds(row, rows[0]) == pytest.approx(at, abs=0.001)
    assert window == f"{int(row['snd_cwnd']) / 1000:.4g} kB"
    assert told[2][1] == f"{int(row['srtt']) / 1000:.4g} ms"
    assert all(abs(float(panel[0].removesuffix(" s")) - at) < 0.2 for panel in told[:4])


def test_the_page_breaks_lines_where_the_picture_does(browser, tmp_path):
    path = tmp_path / "x.html"
    run("plot", "-o", path, windows(tmp_path, [1000] * 5 + [None] * 3 + [2000] * 7))
    browser.open(path)
    window = browser.ask("return plots[0].data[1].map((value) => (value === undefined ? 'between' : value))")
    values = [value for value in window if value != "between"]
    assert values == [1000] * 5 + [None] + [2000] * 7 + [None]
    assert browser.complaints() == []


def test_the_page_of_several_connections_in_utc(browser, transfer, tmp_path, rows):
    path = tmp_path / "x.html"
    run("plot", "--utc", "-n", 2, "-o", path, transfer)
    browser.open(path)
    assert browser.ask("return plots.map((plot) => plot.series.length)") == [3] * 5
    assert scales(browser)[0][0] == pytest.approx(float(rows[0]["time"]), abs=0.03)
    assert browser.complaints() == []
