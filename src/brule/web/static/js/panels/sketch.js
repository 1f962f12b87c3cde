/** An image with its landmarks, small and still: for lists, the review and comparisons. */

import { h } from "../lib/dom.js";
import { indexColours } from "../core/colours.js";
import { SUGGESTED } from "../core/points.js";
import { allLines } from "../core/template.js";
import { fromWire } from "../core/wire.js";
import { drawLandmarks } from "../view/overlay.js";

/** @typedef {import("../net/types.js").WirePoint} WirePoint */

/**
 * @param {{src: string, image: {width: number, height: number, name: string}, points: WirePoint[],
 *   template: import("../net/types.js").Template, side: number, suggested?: boolean}} options `side`: the longer one, in CSS pixels
 */
export function sketch({ src, image, points, template, side, suggested = false }) {
  const scale = side / Math.max(image.width, image.height);
  const [width, height] = [Math.max(1, Math.round(scale * image.width)), Math.max(1, Math.round(scale * image.height))];
  const canvas = h("canvas", { "aria-hidden": "true" });
  const density = devicePixelRatio || 1;
  canvas.width = width * density;
  canvas.height = height * density;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(density, density);
  const n = template.names.length;
  const shape = fromWire(points, n);
  if (suggested) shape.state.forEach((state, i) => (shape.state[i] = state ? SUGGESTED : state));
  drawLandmarks(context, {
    shape, view: { scale, x: 0, y: 0 }, selected: -1, hovered: -1, colours: indexColours(n), edges: allLines(template),
    size: side > 260 ? 3.2 : 2.2, numbers: "none", names: template.names, marked: new Set(), dragging: false,
  });
  const picture = h("img", { src, alt: image.name, draggable: false, loading: "lazy", decoding: "async" });
  return h("div", { class: "sketch", style: { aspectRatio: `${width} / ${height}`, width: `${width}px` } }, picture, canvas);
}
