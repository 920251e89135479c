# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Reads a plot back: converts positions in the SVG to times and values, using the labels of the axes."""

import re
import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"
UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1, "Gbit/s": 1e9, "Mbit/s": 1e6, "kbit/s": 1e3, "bit/s": 1}
UNITS |= {"s": 1e6, "ms": 1e3, "µs": 1, "": 1}


def line_through(positions, values):
    """Returns the linear function through the first and the last tick, and checks the ticks between."""
    slope = (values[-1] - values[0]) / (positions[-1] - positions[0])
    for position, value in zip(positions, values, strict=True):
        assert abs(values[0] + slope * (position - positions[0]) - value) < abs(slope) * 0.02, (positions, values)
    return lambda position: values[0] + slope * (position - positions[0])


def ticks(panel, axis):
    """Returns the positions and labels of the ticks of an axis. The mark of each tick precedes its label."""
    found, before = [], None
    for element in panel:
        if element.tag == SVG + "text" and element.get("class") == axis:
            at = re.match(r"M([\d.]+),([\d.]+)", before.get("d"))
            found.append((float(at["xy".index(axis) + 1]), element.text))
        before = element
    return found


class Panel:
    """A panel. Its curves are lists of uninterrupted pieces of (seconds, value)."""

    def __init__(self, element, time):
        self.title = element.get("data-title")
        (heading,) = [text.text for text in element.iter(SVG + "text") if (text.text or "").startswith(self.title)]
        self.unit = re.fullmatch(r" \((.+)\)|", heading.removeprefix(self.title))[1] or ""
        self.legend = [text.text for text in element.iter(SVG + "text") if text.get("text-anchor") == "end"]
        positions, texts = zip(*ticks(element, "y"), strict=True)
        self.value = line_through(positions, [float(text) * UNITS[self.unit] for text in texts])
        self.time = time
        groups = [group for group in element.iter(SVG + "g") if group.get("class") == "curve"]
        self.curves = {group.get("data-label"): [self.piece(path) for path in group] for group in groups}
        self.styles = {group.get("data-label"): (group.get("stroke"), group.get("stroke-dasharray")) for group in groups}
        self.positions = {group.get("data-label"): [positions_of(path.get("d")) for path in group] for group in groups}
        bands = [group for group in element.iter(SVG + "g") if group.get("class") == "band"]
        self.band = [self.polygon(polygon) for group in bands for polygon in group]

    def point(self, x, y):
        return self.time(float(x)), self.value(float(y))

    def piece(self, path):
        return [self.point(x, y) for x, y in positions_of(path.get("d"))]

    def polygon(self, polygon):
        points = [self.point(*pair.split(",")) for pair in polygon.get("points").split()]
        return points[: len(points) // 2], points[: len(points) // 2 - 1 : -1]


def positions_of(drawn):
    """Returns the points of a path."""
    visited, x, y = [], None, None
    for letter, numbers in re.findall(r"([MLHVh])([-\d.,]+)", drawn):
        if letter in "ML":
            x, y = map(float, numbers.split(","))
        elif letter == "h":
            continue
        elif letter == "H":
            x = float(numbers)
        else:
            y = float(numbers)
        visited.append((x, y))
    return visited


class Plot:
    """A plot in SVG."""

    def __init__(self, data):
        self.root = ElementTree.fromstring(data)
        panels = [group for group in self.root.iter(SVG + "g") if group.get("class") == "panel"]
        self.time_ticks = ticks(panels[-1], "x")
        self.texts = [text.text for text in self.root.findall(SVG + "text")]
        positions, texts = zip(*self.time_ticks, strict=True)
        is_number = all(re.fullmatch(r"[\d.]+", text) for text in texts)
        # A time of day is not converted.
        time = line_through(positions, [float(text) for text in texts]) if is_number else float
        self.panels = [Panel(panel, time) for panel in panels]
        # The messages of panels without curves, by title.
        groups = [group for group in self.root.iter(SVG + "g") if group.get("class") == "message"]
        self.messages = {group.get("data-title"): group.findall(SVG + "text")[-1].text for group in groups}

    def panel(self, title):
        (panel,) = [panel for panel in self.panels if panel.title.startswith(title)]
        return panel

    def curve(self, label):
        """Returns the pieces of the only curve with this label."""
        (pieces,) = [panel.curves[label] for panel in self.panels if label in panel.curves]
        return pieces
