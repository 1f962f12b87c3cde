/** The handles of the whole shape: a frame with a knob to turn it, corners to scale it, and a grip to move it. */

import { boundingBox } from "../core/geometry.js";
import { placedIndices } from "../core/points.js";
import { toScreen } from "../core/viewport.js";

/** @typedef {"move" | "turn" | "scale"} HandleKind */
/** @typedef {{kind: HandleKind, x: number, y: number}} Handle on the screen */
/** @typedef {{left: number, top: number, right: number, bottom: number, handles: Handle[]}} Frame */

const PADDING = 26;
const REACH = 16;
const ARM = 32; // from the frame to the knob
const EDGE = 14;

/**
 * @param {import("../core/points.js").Shape} shape
 * @param {import("../core/viewport.js").View} view
 * @returns {Frame | null} null with fewer than two points
 */
export function frameOf(shape, view) {
  const placed = placedIndices(shape);
  const box = placed.length > 1 ? boundingBox(shape, placed) : null;
  if (!box) return null;
  const [left, top] = toScreen(view, box.left, box.top).map((value) => value - PADDING);
  const [right, bottom] = toScreen(view, box.right, box.bottom).map((value) => value + PADDING);
  const middle = (left + right) / 2;
  /** @type {Handle[]} */
  const corners = [[left, top], [right, top], [left, bottom], [right, bottom]].map(([x, y]) => ({ kind: "scale", x, y }));
  const knob = top - ARM > EDGE ? top - ARM : bottom + ARM; // below where there is no room above
  return { left, top, right, bottom, handles: [...corners, { kind: "turn", x: middle, y: knob }, { kind: "move", x: middle, y: bottom }] };
}

/**
 * The handle under the pointer; the frame itself moves the shape.
 * @param {Frame} frame
 * @param {number} x
 * @param {number} y
 * @param {number} [reach]
 * @returns {HandleKind | null}
 */
export function handleAt(frame, x, y, reach = REACH) {
  for (const handle of frame.handles) if (Math.hypot(handle.x - x, handle.y - y) <= reach) return handle.kind;
  const beside = Math.min(Math.abs(x - frame.left), Math.abs(x - frame.right), Math.abs(y - frame.top), Math.abs(y - frame.bottom));
  const within = x > frame.left - 6 && x < frame.right + 6 && y > frame.top - 6 && y < frame.bottom + 6;
  return within && beside <= 6 ? "move" : null;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Frame} frame
 */
export function drawFrame(context, frame) {
  const { left, top, right, bottom } = frame;
  const middle = (left + right) / 2;
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  const above = top - ARM > EDGE;
  context.moveTo(middle, above ? top : bottom);
  context.lineTo(middle, above ? top - ARM + 10 : bottom + ARM - 10);
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 0.35)";
  context.stroke();
  context.lineWidth = 1.25;
  context.strokeStyle = "rgb(255 255 255 / 0.9)";
  context.stroke();
  for (const handle of frame.handles) drawHandle(context, handle);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Handle} handle
 */
function drawHandle(context, { kind, x, y }) {
  context.beginPath();
  if (kind === "scale") context.rect(x - 6, y - 6, 12, 12);
  else context.arc(x, y, 10, 0, 2 * Math.PI);
  context.fillStyle = "#fff";
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "#3b2c1e";
  context.stroke();
  context.beginPath();
  if (kind === "turn") {
    context.arc(x, y, 5, -2.4, 1.2);
    context.moveTo(x + 5.5, y + 1.5);
    context.lineTo(x + 1.8, y + 4.6);
  } else if (kind === "move") {
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x, y);
      context.lineTo(x + 6 * dx, y + 6 * dy);
    }
  }
  context.stroke();
}
