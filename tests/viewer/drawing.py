# SPDX-License-Identifier: BSD-2-Clause
"""A picture read back: what is drawn in the SVG, as times and values by the texts of its axes."""

import re
import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"
UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1, "Gbit/s": 1e9, "Mbit/s": 1e6, "kbit/s": 1e3, "bit/s": 1}
UNITS |= {"s": 1e6, "ms": 1e3, "µs": 1, "": 1}


def line_through(places, values):
    """The function that the first and the last tick tell; those between must lie on it."""
    slope = (values[-1] - values[0]) / (places[-1] - places[0])
    for place, value in zip(places, values, strict=True):
        assert abs(values[0] + slope * (place - places[0]) - value) < abs(slope) * 0.02, (places, values)
    return lambda place: values[0] + slope * (place - places[0])


def ticks(panel, axis):
    """Places and texts of the ticks of an axis: before each text comes its mark."""
    found, before = [], None
    for element in panel:
        if element.tag == SVG + "text" and element.get("class") == axis:
            at = re.match(r"M([\d.]+),([\d.]+)", before.get("d"))
            found.append((float(at["xy".index(axis) + 1]), element.text))
        before = element
    return found


class Panel:
    """One of the diagrams, its curves as lists of unbroken pieces of (seconds, value)."""

    def __init__(self, element, time):
        self.title = element.get("data-title")
        (heading,) = [text.text for text in element.iter(SVG + "text") if (text.text or "").startswith(self.title)]
        self.unit = re.fullmatch(r" \((.+)\)|", heading.removeprefix(self.title))[1] or ""
        self.legend = [text.text for text in element.iter(SVG + "text") if text.get("text-anchor") == "end"]
        places, texts = zip(*ticks(element, "y"), strict=True)
        self.value = line_through(places, [float(text) * UNITS[self.unit] for text in texts])
        self.time = time
        groups = [group for group in element.iter(SVG + "g") if group.get("class") == "curve"]
        self.curves = {group.get("data-label"): [self.piece(path) for path in group] for group in groups}
        self.looks = {group.get("data-label"): (group.get("stroke"), group.get("stroke-dasharray")) for group in groups}
        self.places = {group.get("data-label"): [places_of(path.get("d")) for path in group] for group in groups}
        bands = [group for group in element.iter(SVG + "g") if group.get("class") == "band"]
        self.band = [self.polygon(polygon) for group in bands for polygon in group]

    def point(self, x, y):
        return self.time(float(x)), self.value(float(y))

    def piece(self, path):
        return [self.point(x, y) for x, y in places_of(path.get("d"))]

    def polygon(self, polygon):
        points = [self.point(*pair.split(",")) for pair in polygon.get("points").split()]
        return points[: len(points) // 2], points[: len(points) // 2 - 1 : -1]


def places_of(drawn):
    """The places that a path visits; of one that jumps, where it rests."""
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


class Picture:
    """A whole SVG."""

    def __init__(self, data):
        self.root = ElementTree.fromstring(data)
        panels = [group for group in self.root.iter(SVG + "g") if group.get("class") == "panel"]
        self.time_ticks = ticks(panels[-1], "x")
        self.texts = [text.text for text in self.root.findall(SVG + "text")]
        places, texts = zip(*self.time_ticks, strict=True)
        is_number = all(re.fullmatch(r"[\d.]+", text) for text in texts)
        # A time of day is left as the place where it is.
        time = line_through(places, [float(text) for text in texts]) if is_number else float
        self.panels = [Panel(panel, time) for panel in panels]
        # What panels without curves say, by their titles.
        silent = [group for group in self.root.iter(SVG + "g") if group.get("class") == "message"]
        self.messages = {group.get("data-title"): group.findall(SVG + "text")[-1].text for group in silent}

    def panel(self, title):
        (panel,) = [panel for panel in self.panels if panel.title.startswith(title)]
        return panel

    def curve(self, label):
        """The pieces of the one curve of that name."""
        (pieces,) = [panel.curves[label] for panel in self.panels if label in panel.curves]
        return pieces
