// SPDX-License-Identifier: BSD-2-Clause
// The details of one connection: charts of its history, and its fields.
/* global uPlot, axis, dark, format, pick */

import { element, setText } from "./table.js";

// Units, as in plots.
const bytes = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]];
const times = [["s", 1e6], ["ms", 1e3], ["µs", 1]];
const bits = [["Gbit/s", 1e9], ["Mbit/s", 1e6], ["kbit/s", 1e3], ["bit/s", 1]];

// The charts: their titles, units, and curves with their colours on white and on black.
const charts = [
  { title: "Round-trip time", units: times, curves: [["srtt", "srtt", ["#1f6fb4", "#6cb6ff"]]] },
  { title: "Throughput", units: bits, curves: [
    ["send", "send", ["#1a7f37", "#57d364"]],
    ["receive", "receive", ["#9a6700", "#e3b341"], [4, 3]],
  ] },
  { title: "Windows", units: bytes, curves: [
    ["snd_cwnd", "cwnd", ["#1a7f37", "#57d364"]],
    ["snd_ssthresh", "ssthresh", ["#b3261e", "#ff9d8f"], [8, 4]],
    ["inflight", "in flight", ["#9a6700", "#e3b341"], [2, 2]],
  ] },
];
class Chart {
  constructor(parent, { title, units, curves }) {
    this.title = title;
    this.units = units;
    this.curves = curves;
    const legend = element("ul", { className: "legend" });
    this.values = curves.map(([, name, colours]) => {
      const value = element("b");
      const sample = element("i");
      sample.style.setProperty("--light", colours[0]);
      sample.style.setProperty("--dark", colours[1]);
      legend.append(element("li", {}, sample, `${name} `, value));
      return value;
    });
    this.canvas = element("div", { className: "canvas", role: "img" });
    parent.append(element("figure", {}, element("figcaption", {}, element("h3", {}, title), legend), this.canvas));
  }

  update(points) {
    const data = [points.time, ...this.curves.map(([name]) => points[name])];
    if (this.plot) this.plot.setData(data);
    else this.canvas.plot = this.plot = new uPlot(this.options(), data, this.canvas);
    this.data = data;
    this.describe(points.time.length - 1);
    const texts = this.curves.map(([, name], at) => {
      const known = data[at + 1].filter((value) => value != null);
      if (!known.length) return `${name} is unknown`;
      const [low, high] = [Math.min(...known), Math.max(...known)].map((value) => format(value, this.units));
      return `${name} from ${low} to ${high}`;
    });
    const span = points.time.length ? Math.round(points.time.at(-1) - points.time[0]) : 0;
    this.canvas.ariaLabel = `${this.title} over ${span} s: ${texts.join(", ")}`;
  }

  // Shows the values at a point, in the legend.
  describe(at) {
    this.values.forEach((value, number) => setText(value, format(this.data?.[number + 1][at] ?? null, this.units, undefined, 3)));
  }

  size() {
    return { width: this.canvas.clientWidth, height: 160 };
  }

  options() {
    const { units } = this;
    return {
      ...this.size(),
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
      series: [{}, ...this.curves.map(([, name, colours, dash]) => ({
        label: name, stroke: () => pick(colours), width: 1.5, dash, points: { show: this.isShort },
      }))],
      scales: { y: { range: (_, _low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        axis({ size: 30, space: 70, values: "{HH}:{mm}:{ss}" }),
        axis({ size: 72, values: (_, values) => values.map((value) => format(value, units, values.at(-1))) }),
      ],
      cursor: { y: false, sync: { key: "time" }, drag: { x: false, y: false } },
      legend: { show: false },
      hooks: { setCursor: [(plot) => this.describe(plot.cursor.idx ?? plot.data[0].length - 1)] },
    };
  }

  // A line of one point would be invisible.
  isShort = (plot) => plot.data[0].length < 3;
}

export class Details {
  constructor(section) {
    this.section = section;
    const charted = section.querySelector("#charts");
    this.charts = charts.map((chart) => new Chart(charted, chart));
    this.fields = section.querySelector("#fields");
    this.title = section.querySelector("#opened-title");
    const resize = () => this.charts.forEach((chart) => chart.plot?.setSize(chart.size()));
    new ResizeObserver(resize).observe(charted);
    dark.addEventListener("change", () => this.charts.forEach((chart) => chart.plot?.redraw(false, true)));
  }

  // Shows a connection, or that it is not in the snapshot if it is null; its last values remain.
  update(id, opened) {
    this.section.hidden = false;
    if (this.id !== id) {
      this.id = id;
      this.seen = false;
      setText(this.title, "Connection");
      this.fields.replaceChildren();
    }
    this.section.querySelector("#gone").hidden = opened !== null;
    this.section.querySelector("#charts").hidden = !(opened ?? this.seen);
    this.section.classList.toggle("ended", opened === null || Boolean(opened?.ended));
    if (!opened) return;
    this.seen = true;
    setText(this.title, opened.title + (opened.ended ? " (ended)" : ""));
    for (const chart of this.charts) chart.update(opened.points);
    this.setFields(opened.fields);
  }

  setFields(fields) {
    const names = fields.map(([name]) => name).join();
    if (names !== this.fields.dataset.names || !this.fields.children.length) {
      this.fields.dataset.names = names;
      this.fields.replaceChildren(...fields.map(([name, , meaning]) =>
        element("div", {}, element("dt", { title: meaning }, name), element("dd"))));
    }
    fields.forEach(([, value], at) => setText(this.fields.children[at].lastChild, value));
  }

  hide() {
    this.section.hidden = true;
    this.id = null;
  }
}
