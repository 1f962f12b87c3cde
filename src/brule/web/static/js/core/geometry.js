/** Plane geometry: similarities, nearest points, boxes. Sets of points are `{x, y}` arrays. */

/** @typedef {{x: ArrayLike<number>, y: ArrayLike<number>}} Points */
/** @typedef {{a: number, b: number, tx: number, ty: number}} Similarity (x, y) ↦ (a x − b y + tx, b x + a y + ty) */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Box */

/** @type {Similarity} */
const IDENTITY = { a: 1, b: 0, tx: 0, ty: 0 };

/**
 * The similarity that brings chosen points of one set nearest to those of another, by least squares.
 * @param {Points} source
 * @param {Points} target
 * @param {number[]} indices which points count; one gives a shift
 * @returns {Similarity}
 */
export function fitSimilarity(source, target, indices) {
  const n = indices.length;
  if (!n) return IDENTITY;
  const from = mean(source, indices);
  const to = mean(target, indices);
  let size = 0;
  let along = 0;
  let across = 0;
  for (const i of indices) {
    const [px, py] = [source.x[i] - from[0], source.y[i] - from[1]];
    const [qx, qy] = [target.x[i] - to[0], target.y[i] - to[1]];
    size += px * px + py * py;
    along += px * qx + py * qy;
    across += px * qy - py * qx;
  }
  const known = size > 1e-12 && (along || across);
  const [a, b] = known ? [along / size, across / size] : [1, 0];
  return { a, b, tx: to[0] - a * from[0] + b * from[1], ty: to[1] - b * from[0] - a * from[1] };
}

/**
 * @param {Similarity} s
 * @param {number} x
 * @param {number} y
 * @returns {[number, number]}
 */
export function transform(s, x, y) {
  return [s.a * x - s.b * y + s.tx, s.b * x + s.a * y + s.ty];
}

/**
 * A turn by an angle and a scaling about a centre.
 * @param {[number, number]} centre
 * @param {number} radians clockwise on the screen, where y points down
 * @param {number} factor
 * @returns {Similarity}
 */
export function turnAndScale([cx, cy], radians, factor) {
  const a = factor * Math.cos(radians);
  const b = factor * Math.sin(radians);
  return { a, b, tx: cx - a * cx + b * cy, ty: cy - b * cx - a * cy };
}

/**
 * @param {Points} points
 * @param {number[]} indices
 * @returns {[number, number]}
 */
export function mean(points, indices) {
  let x = 0;
  let y = 0;
  for (const i of indices) {
    x += points.x[i];
    y += points.y[i];
  }
  return [x / indices.length, y / indices.length];
}

/**
 * @param {Points} points
 * @param {number[]} indices
 * @returns {Box | null} null without any point
 */
export function boundingBox(points, indices) {
  if (!indices.length) return null;
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (const i of indices) {
    box.left = Math.min(box.left, points.x[i]);
    box.right = Math.max(box.right, points.x[i]);
    box.top = Math.min(box.top, points.y[i]);
    box.bottom = Math.max(box.bottom, points.y[i]);
  }
  return box;
}

/**
 * Whether a place is in an image: pixels are squares about their centres.
 * @param {{width: number, height: number}} image
 * @param {number} x
 * @param {number} y
 */
export function within({ width, height }, x, y) {
  return x >= -0.5 && y >= -0.5 && x <= width - 0.5 && y <= height - 0.5;
}

/**
 * The nearest of some points within a reach; -1 if none is.
 * @param {Points} points
 * @param {number[]} indices
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 */
export function nearest(points, indices, x, y, reach) {
  let best = -1;
  let least = reach * reach;
  for (const i of indices) {
    const d = (points.x[i] - x) ** 2 + (points.y[i] - y) ** 2;
    if (d <= least) {
      least = d;
      best = i;
    }
  }
  return best;
}
