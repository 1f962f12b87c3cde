/** A picture of the finished shape, with the landmark that is next. */

import { fill, h, svg } from "../lib/dom.js";
import { indexColours } from "../core/colours.js";
import { allLines } from "../core/template.js";

/**
 * @param {import("../net/types.js").Template} template
 * @param {number} selected
 * @returns {HTMLElement | null} null where no shape is known yet
 */
export function shapePicture(template, selected) {
  const points = template.shape;
  if (!points?.length) return null;
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const size = Math.max(Math.max(...xs) - left, Math.max(...ys) - top) || 1;
  const unit = size / 100;
  const colours = indexColours(points.length);
  const box = [left - 8 * unit, top - 8 * unit, Math.max(...xs) - left + 16 * unit, Math.max(...ys) - top + 16 * unit];
  const lines = allLines(template).map(([a, b]) => svg("line", { x1: xs[a], y1: ys[a], x2: xs[b], y2: ys[b], class: "shape-line", "stroke-width": unit }));
  const dots = points.map(([x, y], i) => svg("circle", { cx: x, cy: y, r: (i === selected ? 3.4 : 1.6) * unit, fill: colours[i] }));
  const ring = points[selected] && svg("circle", { cx: xs[selected], cy: ys[selected], r: 6 * unit, class: "shape-ring", "stroke-width": 1.2 * unit });
  return h("div", { class: "shape-picture" }, svgRoot(box, [...lines, ...dots, ring]));
}

/**
 * @param {number[]} box
 * @param {import("../lib/dom.js").Child[]} content
 */
function svgRoot(box, content) {
  return svg("svg", { viewBox: box.join(" "), "aria-hidden": "true", preserveAspectRatio: "xMidYMid meet" }, content);
}

/** Keeps the picture of the shape up to date. */
export class ShapePanel {
  constructor() {
    this.holder = h("div");
    this.element = h("section", { class: "panel shape-panel" }, h("h2", {}, "The finished shape"), this.holder);
    this.shown = "";
  }

  /**
   * @param {import("../net/types.js").Template} template
   * @param {number} selected
   */
  update(template, selected) {
    const key = `${template.version} ${selected} ${template.shape?.[0]}`;
    if (key === this.shown) return;
    this.shown = key;
    const picture = shapePicture(template, selected);
    this.element.hidden = !picture;
    fill(this.holder, picture);
  }
}
