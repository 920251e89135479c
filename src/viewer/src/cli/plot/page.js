// SPDX-License-Identifier: BSD-2-Clause
// Draws `figure` with uPlot: one plot for each panel, with a common cursor and zoom.

// Times are seconds since the start, or since the Epoch with --utc.
const origin = figure.utc ? figure.start : 0;

// In `figure`, times are differences in microseconds.
function table(curve) {
  let at = 0;
  return [curve.times.map((step) => origin + (at += step) / 1e6), curve.values];
}

function clock(at) {
  const day = new Date(at * 1000).toISOString();
  return `${day.slice(0, 10)} ${day.slice(11, 23)} UTC`;
}

// Returns the labels of time ticks, with the precision that their step needs.
function timeTicks(plot, values, _axis, _space, step) {
  const { min, max } = plot.scales.x;
  if (figure.utc) {
    const end = step < 1 ? 23 : step < 60 ? 19 : 16;
    return values.map((at) => (step < 86400 ? clock(at).slice(11, end) : clock(at).slice(5, 10)));
  }
  const [unit, size] = max - min <= 300 ? ["s", 1] : max - min <= 10800 ? ["min", 60] : ["h", 3600];
  return values.map((at) => `${+(at / size).toFixed(6)} ${unit}`);
}

const steps = [
  ...[-6, -5, -4, -3, -2, -1].flatMap((power) => [1, 2, 5].map((digit) => +`${digit}e${power}`)),
  ...[1, 2, 5, 10, 15, 30].flatMap((count) => [count, count * 60]),
  ...[1, 2, 3, 6, 12, 24, 48, 120, 240].map((hours) => hours * 3600),
].sort((one, other) => one - other);
const paths = {
  line: uPlot.paths.linear(),
  steps: uPlot.paths.stepped({ align: 1 }),
  stems: uPlot.paths.bars({ size: [0.6, 3, 1] }),
};

// Returns the value of a curve at the pointer.  The value of a line is the last one
// before the pointer, because each curve has its own times.  The value of a bar is
// shown only if the pointer is on the bar.
function valueAt(plot, number, form) {
  let at = plot.cursor.idx;
  if (at == null) return null;
  const values = plot.data[number];
  if (form === "stems") {
    const distance = Math.abs(plot.valToPos(plot.data[0][at], "x") - plot.cursor.left);
    return distance <= 4 ? values[at] : null;
  }
  let value = values[at];
  while (value === undefined && at > 0) value = values[--at];
  return value;
}

function series(curve) {
  const stems = curve.form === "stems";
  return {
    label: curve.label,
    stroke: () => pick(curve.color),
    fill: stems ? () => pick(curve.color) : undefined,
    width: stems ? 1 : curve.width,
    dash: stems ? undefined : curve.dash,
    auto: curve.leads,
    paths: paths[curve.form],
    points: { show: false },
  };
}

// All vertical axes are as wide as the longest label, so that no label is truncated
// and the panels are aligned.
let gutter = 56;
const ruler = document.createElement("canvas").getContext("2d");
function widthOfAxis(_plot, texts) {
  ruler.font = font;
  const longest = Math.max(0, ...(texts ?? []).map((text) => ruler.measureText(text).width));
  const needed = Math.ceil(longest) + 16;
  if (needed > gutter) {
    gutter = needed;
    document.documentElement.style.setProperty("--gutter", `${gutter}px`);
    queueMicrotask(redraw);
  }
  return gutter;
}

const redraw = () => plots.forEach((plot) => plot.redraw(false, true));
const main = document.querySelector("main");
const legend = document.querySelector("#legend");
const width = () => main.clientWidth;
const plots = [];
let zooming = false;

function element(parent, name, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(name), properties));
}

// Adds a sample of a curve.
function sample(parent, curve, isBand) {
  const span = element(parent, "span", { className: "sample" });
  const [light, onDark] = curve.color;
  const dash = isBand || curve.form === "stems" ? "" : curve.dash.join(" ");
  const stroke = isBand ? 10 : curve.form === "stems" ? 3 : curve.width + 0.4;
  span.style = `--light: ${light}; --dark: ${onDark}`;
  span.innerHTML = `<svg width="24" height="10"><path d="M0,5h24" stroke-width="${stroke}" stroke-dasharray="${dash}"` +
    `${isBand ? ' opacity=".25"' : ""}/></svg>`;
}

// Adds a button that hides or shows curves.
function entry(parent, curve, toggle) {
  const button = element(parent, "button", { type: "button", className: "entry", ariaPressed: "true" });
  sample(button, curve);
  element(button, "span", { className: "name", textContent: curve.label });
  button.addEventListener("click", () => {
    const show = button.ariaPressed === "false";
    button.ariaPressed = String(show);
    toggle(show);
  });
  return button;
}

const timeAt = element(legend, "span", { className: "time" });
// With several connections, the legend applies to every panel.
for (const curve of figure.many ? figure.panels[0].curves : []) {
  entry(legend, curve, (show) => {
    for (const plot of plots) {
      const number = plot.series.findIndex((series) => series.label === curve.label);
      if (number > 0) plot.setSeries(number, { show });
    }
  });
}

// Adds the heading of a panel, and returns a function that updates the values at the
// pointer in it.
function headingOf(panel, section) {
  const heading = element(section, "header");
  element(heading, "h2", { textContent: panel.title });
  const outputs = [];
  panel.curves.forEach((curve, at) => {
    const parent = figure.many
      ? element(heading, "span", { className: "entry" })
      : entry(heading, curve, (show) => panel.plot.setSeries(at + 1, { show }));
    if (figure.many) {
      sample(parent, curve);
      parent.title = curve.label;
    }
    outputs.push([at + 1, curve.form, element(parent, "span", { className: "value" })]);
  });
  if (panel.band.length) {
    const parent = element(heading, "span", { className: "entry" });
    sample(parent, panel.band[0], true);
    element(parent, "span", { className: "name", textContent: panel.bandLabel });
    const value = element(parent, "span", { className: "value" });
    const first = panel.curves.length + 1;
    outputs.push([first + 1, "line", value], [first, "line", value]);
  }
  return (plot) => {
    const texts = new Map();
    for (const [number, form, value] of outputs) {
      const text = format(valueAt(plot, number, form), panel.units);
      texts.set(value, texts.has(value) ? `${texts.get(value)} to ${text}` : text);
    }
    for (const [value, text] of texts) value.textContent = plot.cursor.idx == null ? "" : text;
  };
}

function showTime(plot) {
  const at = plot.cursor.idx == null ? null : plot.posToVal(plot.cursor.left, "x");
  timeAt.textContent = at == null ? "" : figure.utc ? clock(at) : `${at.toFixed(3)} s`;
}

function draw(panel, isLast) {
  if (panel.message) {
    const section = element(main, "section");
    element(element(section, "header"), "h2", { textContent: panel.title });
    element(section, "p", { className: "message", textContent: panel.message });
    return;
  }
  const curves = [...panel.curves, ...panel.band];
  // All panels cover the complete time, even if they have no values for it.
  const data = uPlot.join([[[origin, origin + figure.span]], ...curves.map(table)]);
  const edges = panel.band.map((curve) => ({ ...series(curve), width: 0, dash: undefined }));
  const first = panel.curves.length + 1;
  const section = element(main, "section");
  const update = headingOf(panel, section);
  const options = {
    width: width(),
    height: Math.round(130 * panel.weight) + (isLast ? 34 : 18),
    series: [{ label: "time" }, ...panel.curves.map(series), ...edges],
    bands: edges.length ? [{ series: [first, first + 1], fill: () => pick(panel.band[0].color) + "38" }] : undefined,
    scales: {
      x: { time: false },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.06 : 1] },
    },
    axes: [
      axis({ size: isLast ? 28 : 12, space: 90, incrs: steps,
        values: (...args) => (isLast ? timeTicks(...args) : args[1].map(() => "")) }),
      axis({ size: widthOfAxis, values: (_, values) => values.map((value) => format(value, panel.units, values.at(-1))) }),
    ],
    cursor: { y: false, sync: { key: "time", scales: ["x", null], setSeries: false }, drag: { x: true, y: false } },
    legend: { show: false },
    padding: [6, 12, 0, 0],
    hooks: {
      setCursor: [update, (plot) => showTime(plot)],
      setScale: [
        (plot, key) => {
          if (key !== "x" || zooming) return;
          zooming = true;
          const { min, max } = plot.scales.x;
          for (const other of plots) if (other !== plot) other.setScale("x", { min, max });
          zooming = false;
        },
      ],
    },
  };
  panel.plot = new uPlot(options, data, section);
  plots.push(panel.plot);
}

document.title = `${figure.title} – tcpstats`;
document.querySelector("h1").textContent = figure.title;
document.querySelector("#subtitle").textContent = figure.subtitle;
for (const note of figure.notes) {
  document.querySelector("#notes").appendChild(document.createElement("li")).textContent = note;
}
const drawn = figure.panels.filter((panel) => !panel.message);
for (const panel of figure.panels) draw(panel, panel === drawn.at(-1));

dark.addEventListener("change", redraw);
addEventListener("beforeprint", () => ((printing = true), redraw()));
addEventListener("afterprint", () => ((printing = false), redraw()));
addEventListener("resize", () => plots.forEach((plot) => plot.setSize({ width: width(), height: plot.height })));
