// SPDX-License-Identifier: BSD-2-Clause
// Draws `figure` with uPlot: a plot a panel, with one cursor and one zoom.

const dark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const pick = ([light, onDark]) => (dark.matches && !printing ? onDark : light);

// Times are differences in microseconds; uPlot wants seconds.
function table(curve) {
  let at = 0;
  return [curve.times.map((step) => (at += step) / 1e6), curve.values];
}

// A number in the unit that keeps it short, or in that of another number.
function told(value, units, like = value, digits = 4) {
  if (value == null) return "–";
  const [unit, size] = units.find(([, size]) => Math.abs(like) >= size) ?? units.at(-1);
  return `${+(value / size).toPrecision(digits)} ${unit}`.trim();
}

function clock(seconds) {
  const day = new Date((figure.start + seconds) * 1000).toISOString();
  return day.slice(0, 10) + " " + day.slice(11, 23) + " UTC";
}

const since = (seconds) => `${seconds.toFixed(3)} s`;
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
  return { stroke: () => ink("--ink"), grid: { stroke: () => ink("--grid"), width: 1 },
    ticks: { stroke: () => ink("--dim"), width: 1 }, font: "11px sans-serif", ...options };
}

const width = () => document.querySelector("main").clientWidth;
const plots = [];
let zooming = false;

function draw(panel, isLast) {
  const curves = [...panel.curves, ...panel.band];
  // All panels reach over all of the time, whatever they know of it.
  const data = uPlot.join([[[0, figure.span]], ...curves.map(table)]);
  const edges = panel.band.map((curve) => ({ ...series(curve, panel), width: 0, label: "± rttvar", dash: undefined }));
  const first = panel.curves.length + 1;
  const options = {
    title: panel.title,
    width: width(),
    height: Math.round(150 * panel.weight) + (isLast ? 24 : 0),
    series: [
      { label: "time", value: (_, at) => (at == null ? "–" : figure.utc ? clock(at) : since(at)) },
      ...panel.curves.map((curve) => series(curve, panel)),
      ...edges,
    ],
    bands: edges.length ? [{ series: [first, first + 1], fill: () => pick(panel.band[0].color) + "38" }] : undefined,
    scales: {
      x: { time: false },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.06 : 1] },
    },
    axes: [
      axis({
        size: 32,
        values: (_, places) =>
          places.map((at) => (figure.utc ? clock(at).slice(11, 19 + (places[1] - places[0] < 1 ? 4 : 0)) : `${+at.toFixed(6)} s`)),
      }),
      axis({ size: 64, values: (plot, places) => places.map((value) => told(value, panel.units, places.at(-1))) }),
    ],
    cursor: { sync: { key: "time", scales: ["x", null], setSeries: false }, drag: { x: true, y: false } },
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
