// SPDX-License-Identifier: BSD-2-Clause
// Draws `figure` with uPlot: a plot a panel, with one cursor and one zoom.

const dark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;
// On white and on black, as page.css has them: a canvas is drawn before its
// print style holds.
const inks = { ink: ["#000", "#e8e8e8"], dim: ["#555", "#a0a0a0"], grid: ["#e4e4e4", "#2c3036"] };
const pick = ([light, onDark]) => (dark.matches && !printing ? onDark : light);

// Times are seconds since the start, or since 1970 where the day is told.
const origin = figure.utc ? figure.start : 0;

// In the page they are differences in microseconds.
function table(curve) {
  let at = 0;
  return [curve.times.map((step) => origin + (at += step) / 1e6), curve.values];
}

// A number in the unit that keeps it short, or in that of another number.
function told(value, units, like = value, digits = 4) {
  if (value == null) return "–";
  const [unit, size] = units.find(([, size]) => Math.abs(like) >= size) ?? units.at(-1);
  return `${+(value / size).toPrecision(digits)} ${unit}`.trim();
}

function clock(at) {
  const day = new Date(at * 1000).toISOString();
  return `${day.slice(0, 10)} ${day.slice(11, 23)} UTC`;
}

// The texts of ticks of time, as exact as the step between them needs.
function timeTicks(plot, places, _axis, _space, step) {
  const { min, max } = plot.scales.x;
  if (figure.utc) {
    const end = step < 1 ? 23 : step < 60 ? 19 : 16;
    return places.map((at) => (step < 86400 ? clock(at).slice(11, end) : clock(at).slice(5, 10)));
  }
  const [unit, size] = max - min <= 300 ? ["s", 1] : max - min <= 10800 ? ["min", 60] : ["h", 3600];
  return places.map((at) => `${+(at / size).toFixed(6)} ${unit}`);
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

function series(curve, panel) {
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
    // The last value at the cursor: each curve has times of its own.
    value: (plot, value, index, at) => {
      const values = plot.data[index];
      for (let i = at; value === undefined && i > 0 && !stems; ) value = values[--i];
      return told(value, panel.units);
    },
  };
}

function axis(options) {
  return { stroke: () => pick(inks.ink), grid: { stroke: () => pick(inks.grid), width: 1 },
    ticks: { stroke: () => pick(inks.dim), width: 1, size: 5 }, font: "11px sans-serif", ...options };
}

const width = () => document.querySelector("main").clientWidth;
const plots = [];
let zooming = false;

function draw(panel, isLast) {
  const curves = [...panel.curves, ...panel.band];
  // All panels reach over all of the time, whatever they know of it.
  const data = uPlot.join([[[origin, origin + figure.span]], ...curves.map(table)]);
  const edges = panel.band.map((curve) => ({ ...series(curve, panel), width: 0, dash: undefined }));
  const first = panel.curves.length + 1;
  const options = {
    title: panel.title,
    width: width(),
    height: Math.round(150 * panel.weight) + (isLast ? 24 : 0),
    series: [
      { label: "time", value: (_, at) => (at == null ? "–" : figure.utc ? clock(at) : `${at.toFixed(3)} s`) },
      ...panel.curves.map((curve) => series(curve, panel)),
      ...edges,
    ],
    bands: edges.length ? [{ series: [first, first + 1], fill: () => pick(panel.band[0].color) + "38" }] : undefined,
    scales: {
      x: { time: false },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.06 : 1] },
    },
    axes: [
      axis({ size: 28, space: 90, incrs: steps, values: timeTicks }),
      axis({ size: 64, values: (plot, places) => places.map((value) => told(value, panel.units, places.at(-1))) }),
    ],
    cursor: { y: false, sync: { key: "time", scales: ["x", null], setSeries: false }, drag: { x: true, y: false } },
    legend: { live: true },
    hooks: {
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
  plots.push(new uPlot(options, data, document.querySelector("main")));
}

document.title = `${figure.title} – tcpstats`;
document.querySelector("h1").textContent = figure.title;
document.querySelector("#subtitle").textContent = figure.subtitle;
for (const note of figure.notes) {
  document.querySelector("#notes").appendChild(document.createElement("li")).textContent = note;
}
figure.panels.forEach((panel, number) => draw(panel, number + 1 === figure.panels.length));

const redraw = () => plots.forEach((plot) => plot.redraw(false, true));
dark.addEventListener("change", redraw);
addEventListener("beforeprint", () => ((printing = true), redraw()));
addEventListener("afterprint", () => ((printing = false), redraw()));
addEventListener("resize", () => plots.forEach((plot) => plot.setSize({ width: width(), height: plot.height })));
