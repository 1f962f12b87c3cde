/** Points as the server has them, and as the page has them. */

import { within } from "./geometry.js";
import { ABSENT, EMPTY, HIDDEN, SUGGESTED, VISIBLE, emptyShape, isDecided, setPoint } from "./points.js";

/** @typedef {import("./points.js").Shape} Shape */
/** @typedef {{x: number, y: number, state: "visible" | "hidden"} | {state: "absent"} | null} WirePoint */

const DIGITS = 1000; // a thousandth of a pixel is kept

/**
 * @param {WirePoint[]} points
 * @param {number} n
 * @returns {Shape}
 */
export function fromWire(points, n) {
  const shape = emptyShape(n);
  points.slice(0, n).forEach((point, i) => {
    if (!point) setPoint(shape, i, [NaN, NaN, EMPTY]);
    else if (point.state === "absent") setPoint(shape, i, [NaN, NaN, ABSENT]);
    else setPoint(shape, i, [point.x, point.y, point.state === "hidden" ? HIDDEN : VISIBLE]);
  });
  return shape;
}

/**
 * What a person has decided; suggested points are no part of an annotation.
 * @param {Shape} shape
 * @returns {WirePoint[]}
 */
export function toWire(shape) {
  return Array.from(shape.state, (state, i) => {
    if (state === ABSENT) return { state: "absent" };
    if (!isDecided(shape, i)) return null;
    return { x: rounded(shape.x[i]), y: rounded(shape.y[i]), state: state === HIDDEN ? "hidden" : "visible" };
  });
}

/**
 * Fill landmarks that nobody has decided yet with suggested positions.
 * @param {Shape} shape changed in place
 * @param {ArrayLike<{x: number, y: number} | WirePoint>} points null where nothing is known
 * @param {{width: number, height: number}} [image] if given, positions outside the image are clamped to its edge, where the pointer can reach them
 * @returns {Set<number>} the landmarks that were clamped
 */
export function suggest(shape, points, image) {
  const clamped = /** @type {Set<number>} */ (new Set());
  for (let i = 0; i < shape.state.length; i++) {
    const point = points[i];
    if (isDecided(shape, i) || !point || !("x" in point)) continue;
    const { x, y } = point;
    const outside = image && !within(image, x, y);
    if (outside) clamped.add(i);
    setPoint(shape, i, outside ? [between(x, image.width), between(y, image.height), SUGGESTED] : [x, y, SUGGESTED]);
  }
  return clamped;
}

/**
 * @param {number} value
 * @param {number} length in pixels
 */
function between(value, length) {
  return Math.min(Math.max(value, 0), length - 1);
}

/**
 * Whether two annotations are the same.
 * @param {WirePoint[]} a
 * @param {WirePoint[]} b
 */
export function sameWire(a, b) {
  return a.length === b.length && a.every((point, i) => samePoint(point, b[i]));
}

/**
 * @param {WirePoint} a
 * @param {WirePoint} b
 */
function samePoint(a, b) {
  if (!a || !b) return !a && !b;
  if (a.state !== b.state) return false;
  if (!("x" in a) || !("x" in b)) return true;
  return Math.abs(a.x - b.x) < 1 / DIGITS && Math.abs(a.y - b.y) < 1 / DIGITS;
}

/** @param {number} value */
function rounded(value) {
  return Math.round(value * DIGITS) / DIGITS;
}
