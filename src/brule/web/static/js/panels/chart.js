/** A small line chart, drawn as SVG. */

import { h, svg } from "../lib/dom.js";

/** @typedef {{name: string, points: [number, number][], dashed?: boolean, dots?: boolean}} Series */

const SIZES = { large: { WIDTH: 560, HEIGHT: 220 }, small: { WIDTH: 240, HEIGHT: 132 } };
const EDGE = { left: 52, right: 12, top: 12, bottom: 34 };

/**
 * @param {Series[]} series
 * @param {{x: string, y: string, zero?: boolean, whole?: boolean, small?: boolean, ticks?: (value: number) => string}} options
 *   `zero`: the vertical axis begins at 0; `whole`: only whole numbers along x; `small`: one of many, of a single line
 */
export function lineChart(series, { x: xLabel, y: yLabel, zero = false, whole = false, small = false, ticks }) {
  const { WIDTH, HEIGHT } = SIZES[small ? "small" : "large"];
  const all = series.flatMap((own) => own.points).filter((point) => point.every(Number.isFinite));
  if (!all.length) return h("p", { class: "note" }, "Nothing to show yet.");
  const xs = extent(all.map((point) => point[0]), false);
  const ys = extent(all.map((point) => point[1]), zero);
  /** @param {number} value */
  const px = (value) => EDGE.left + ((value - xs[0]) / (xs[1] - xs[0])) * (WIDTH - EDGE.left - EDGE.right);
  /** @param {number} value */
  const py = (value) => HEIGHT - EDGE.bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (HEIGHT - EDGE.top - EDGE.bottom);
  const columns = steps(xs, small ? 2 : 5).filter((value) => !whole || Number.isInteger(value));
  const grid = steps(ys, small ? 2 : 4).map((value) => [
    svg("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: py(value), y2: py(value), class: "chart-grid" }),
    svg("text", { x: EDGE.left - 8, y: py(value) + 4, "text-anchor": "end" }, short(value)),
  ]);
  const labels = columns.map((value) => svg("text", { x: px(value), y: HEIGHT - EDGE.bottom + 17, "text-anchor": "middle" }, ticks ? ticks(value) : short(value)));
  const lines = series.map((own, k) => [
    svg("polyline", { points: own.points.map(([a, b]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join(" "), class: `chart-line line-${k}`, "stroke-dasharray": own.dashed && "5 4" }),
    ...(own.dots ? own.points.map(([a, b]) => svg("circle", { cx: px(a), cy: py(b), r: 4, class: `chart-dot dot-${k}` })) : []),
  ]);
  const text = `${yLabel} against ${xLabel}: ${series.map((own) => `${own.name} from ${short(own.points[0]?.[1] ?? NaN)} to ${short(own.points.at(-1)?.[1] ?? NaN)}`).join("; ")}`;
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": text }, grid.flat(), labels,
    svg("text", { x: (WIDTH + EDGE.left) / 2, y: HEIGHT - 2, "text-anchor": "middle", class: "axis" }, xLabel), lines.flat());
  const legend = h("div", { class: "legend" }, h("span", { class: "axis" }, yLabel), !small && series.map((own, k) => h("span", { class: `key key-${k}` }, own.name)));
  return h("div", { class: "chart" }, legend, chart);
}

/**
 * @param {number[]} values
 * @param {boolean} zero
 * @returns {[number, number]}
 */
function extent(values, zero) {
  const [low, high] = [zero ? 0 : Math.min(...values), Math.max(...values)];
  return high > low ? [low, high + (zero ? 0.08 * (high - low) : 0)] : [low - 0.5, low + 0.5];
}

/**
 * Round values between two ends.
 * @param {[number, number]} ends
 * @param {number} count about how many
 */
function steps([low, high], count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((own) => own * power).find((own) => own >= rough) ?? rough;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(value);
  return found;
}

/** @param {number} value */
function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 10000) return `${+(value / 1000).toPrecision(3)}k`;
  if (value && Math.abs(value) < 0.001) return (+value.toPrecision(2)).toExponential(); // 2.5e-6
  return String(+value.toPrecision(3));
}
