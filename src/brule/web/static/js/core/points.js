/**
 * The points of one image: where each landmark is and what is known of it.
 *
 * Coordinates are pixels of the original image; the centre of the first pixel is (0, 0).
 */

/** No position yet. */
export const EMPTY = 0;
/** A position that a model or the mean shape suggests and no person has confirmed. */
export const SUGGESTED = 1;
/** Set by a person; the landmark can be seen. */
export const VISIBLE = 2;
/** Set by a person; something hides the landmark. */
export const HIDDEN = 3;
/** The landmark is not in the image. */
export const ABSENT = 4;

/** @typedef {0 | 1 | 2 | 3 | 4} State */
/** @typedef {[number, number, State]} Point x, y and state; x and y are NaN where there is no position */
/** @typedef {{x: Float64Array, y: Float64Array, state: Uint8Array}} Shape */

export const STATE_NAMES = ["not placed", "suggested", "visible", "hidden", "absent"];

/**
 * A shape of n landmarks without any position.
 * @param {number} n
 * @returns {Shape}
 */
export function emptyShape(n) {
  return { x: new Float64Array(n).fill(NaN), y: new Float64Array(n).fill(NaN), state: new Uint8Array(n) };
}

/**
 * @param {Shape} shape
 * @returns {Shape}
 */
export function copyShape(shape) {
  return { x: shape.x.slice(), y: shape.y.slice(), state: shape.state.slice() };
}

/**
 * @param {Shape} shape
 * @param {number} i
 * @returns {Point}
 */
export function pointAt(shape, i) {
  return [shape.x[i], shape.y[i], /** @type {State} */ (shape.state[i])];
}

/**
 * @param {Shape} shape
 * @param {number} i
 * @param {Point} point
 */
export function setPoint(shape, i, [x, y, state]) {
  const placed = state !== EMPTY && state !== ABSENT;
  shape.x[i] = placed ? x : NaN;
  shape.y[i] = placed ? y : NaN;
  shape.state[i] = state;
}

/**
 * Let landmarks change places, with their states.
 * @param {Shape} shape changed in place
 * @param {[number, number][]} pairs
 */
export function swapPoints(shape, pairs) {
  for (const [a, b] of pairs) {
    const [first, second] = [pointAt(shape, a), pointAt(shape, b)];
    setPoint(shape, a, second);
    setPoint(shape, b, first);
  }
}

/**
 * Whether a landmark has a position, set or suggested.
 * @param {Shape} shape
 * @param {number} i
 */
export function hasPosition(shape, i) {
  const state = shape.state[i];
  return state === SUGGESTED || state === VISIBLE || state === HIDDEN;
}

/**
 * Whether a person has decided about a landmark: set, hidden or absent.
 * @param {Shape} shape
 * @param {number} i
 */
export function isDecided(shape, i) {
  return shape.state[i] >= VISIBLE;
}

/**
 * How many landmarks a person has decided about.
 * @param {Shape} shape
 */
export function decidedCount(shape) {
  let count = 0;
  for (const state of shape.state) if (state >= VISIBLE) count += 1;
  return count;
}

/**
 * The first landmark at or after a place, in a circle, that nobody has decided about; -1 if all are decided.
 * @param {Shape} shape
 * @param {number} from
 */
export function nextUndecided(shape, from) {
  const n = shape.state.length;
  for (let step = 0; step < n; step++) {
    const i = (from + step + n) % n;
    if (!isDecided(shape, i)) return i;
  }
  return -1;
}

/**
 * The indices of the landmarks that have a position.
 * @param {Shape} shape
 * @returns {number[]}
 */
export function placedIndices(shape) {
  const found = [];
  for (let i = 0; i < shape.state.length; i++) if (hasPosition(shape, i)) found.push(i);
  return found;
}
