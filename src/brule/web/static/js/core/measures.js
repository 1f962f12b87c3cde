/** Distances, angles and size of a shape, in pixels and degrees. */

import { hasPosition, placedIndices } from "./points.js";
import { mean } from "./geometry.js";

/** @typedef {import("./points.js").Shape} Shape */

/**
 * @param {Shape} shape
 * @param {number} a
 * @param {number} b
 * @returns {number | null} null where a point is missing
 */
export function distance(shape, a, b) {
  if (!hasPosition(shape, a) || !hasPosition(shape, b)) return null;
  return Math.hypot(shape.x[a] - shape.x[b], shape.y[a] - shape.y[b]);
}

/**
 * The angle at a vertex, 0 to 180 degrees.
 * @param {Shape} shape
 * @param {number} a
 * @param {number} vertex
 * @param {number} b
 * @returns {number | null} null where a point is missing or two coincide
 */
export function angle(shape, a, vertex, b) {
  if (![a, vertex, b].every((i) => hasPosition(shape, i))) return null;
  const [px, py] = [shape.x[a] - shape.x[vertex], shape.y[a] - shape.y[vertex]];
  const [qx, qy] = [shape.x[b] - shape.x[vertex], shape.y[b] - shape.y[vertex]];
  if (!(px || py) || !(qx || qy)) return null;
  return (Math.abs(Math.atan2(px * qy - py * qx, px * qx + py * qy)) * 180) / Math.PI;
}

/**
 * Centroid size: the square root of the summed squared distances of the points from their centre.
 * @param {Shape} shape
 * @returns {number | null} null with fewer than two points, or if one is missing
 */
export function centroidSize(shape) {
  const placed = placedIndices(shape);
  if (placed.length < 2 || placed.length < shape.state.length) return null;
  const [cx, cy] = mean(shape, placed);
  let sum = 0;
  for (const i of placed) sum += (shape.x[i] - cx) ** 2 + (shape.y[i] - cy) ** 2;
  return Math.sqrt(sum);
}
