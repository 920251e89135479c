// SPDX-License-Identifier: BSD-2-Clause
// Functions that all pages with charts share.

const dark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;
// Colours on white and on black, as in the styles of the pages.  A canvas is drawn before the print
// style applies, so the script has to choose them.
const inks = { ink: ["#000", "#e8e8e8"], dim: ["#555", "#a0a0a0"], grid: ["#e4e4e4", "#2c3036"] };
const pick = ([light, onDark]) => (dark.matches && !printing ? onDark : light);

// Formats a number in a suitable unit, or in the unit of another number.
function format(value, units, like = value, digits = 4) {
  if (value == null) return "–";
  const [unit, size] = units.find(([, size]) => Math.abs(like) >= size) ?? units.at(-1);
  return `${+(value / size).toPrecision(digits)} ${unit}`.trim();
}

const font = "11px sans-serif";
function axis(options) {
  return { stroke: () => pick(inks.ink), grid: { stroke: () => pick(inks.grid), width: 1 },
    ticks: { stroke: () => pick(inks.dim), width: 1, size: 5 }, font, ...options };
}
