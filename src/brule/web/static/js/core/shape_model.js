/**
 * How a correction of one landmark carries over to its neighbours.
 *
 * The annotated shapes, laid over each other, are read as a Gaussian: its covariance is that of the shapes, plus free shift,
 * turn and size, some stretching, smooth bends, and noise of each point on its own. When a person drags point j by d while
 * the points P are fixed, a free point m moves by its conditional mean
 *
 *     Δ_m = C_mj C_jj⁻¹ d,   C = the covariance given that P stay where they are.
 *
 * With one fixed point the shape follows as a whole, with two it turns and grows, with more it bends.
 */

import { fitSimilarity } from "./geometry.js";
import { solveInPlace } from "./linear.js";

/** @typedef {import("./points.js").Shape} Shape */
/** @typedef {import("./geometry.js").Similarity} Similarity */
/** @typedef {{x: Float64Array, y: Float64Array}} Field */
/** @typedef {{n: number, mean: [number, number][], modes: [number, number][][]}} Served centred, RMS radius 1 */

// In units of the mean shape's RMS radius.
const SHIFT = 1.5;
const TURN_AND_SIZE = 0.4;
const STRETCH = 0.15;
const BEND = 0.06;
const BEND_LENGTH = 0.4;
const NOISE = 0.02;
const MAX_FIXED = 120; // the nearest fixed points that count: the rest can't be felt through them

export class ShapeModel {
  /**
   * @param {Served} served
   */
  constructor({ mean, modes, n }) {
    this.count = n;
    this.size = mean.length;
    this.mean = { x: Float64Array.from(mean, (p) => p[0]), y: Float64Array.from(mean, (p) => p[1]) };
    this.directions = [...similarityDirections(this.mean), ...modes.map(fieldOf)];
  }

  /**
   * How far every point moves along x and y when one point is dragged by one pixel.
   * @param {Shape} shape the points as they are now
   * @param {number[]} fixed points that stay where they are
   * @param {number} dragged
   * @returns {{alongX: Field, alongY: Field}} moves of all points; only those of free points are meant
   */
  response(shape, fixed, dragged) {
    const pose = this.poseOf(shape);
    const turned = this.directions.map((field) => rotated(field, pose));
    const others = nearestFixed(this.mean, fixed, dragged);
    const known = [...others, dragged];
    const gram = this.covariance(known, known, turned);
    const sides = [unit(2 * known.length, 2 * others.length), unit(2 * known.length, 2 * others.length + 1)];
    solveInPlace(gram, sides, 2 * known.length);
    const [alongX, alongY] = sides.map((weights) => this.carried(known, weights, turned));
    return { alongX, alongY };
  }

  /**
   * The turn of the shape against the mean, as a rotation.
   * @param {Shape} shape
   * @returns {Similarity}
   */
  poseOf(shape) {
    const placed = [];
    for (let i = 0; i < this.size; i++) if (Number.isFinite(shape.x[i])) placed.push(i);
    const fit = fitSimilarity(this.mean, shape, placed);
    const length = Math.hypot(fit.a, fit.b) || 1;
    return { a: fit.a / length, b: fit.b / length, tx: 0, ty: 0 };
  }

  /**
   * Σ between two lists of points, row after row: x and y of each point in turn.
   * @param {number[]} rows
   * @param {number[]} columns
   * @param {Field[]} directions
   */
  covariance(rows, columns, directions) {
    const width = 2 * columns.length;
    const matrix = new Float64Array(2 * rows.length * width);
    rows.forEach((i, r) =>
      columns.forEach((j, c) => {
        const bend = this.bend(i, j);
        const at = 2 * r * width + 2 * c;
        matrix[at] = bend;
        matrix[at + width + 1] = bend;
        for (const { x, y } of directions) {
          matrix[at] += x[i] * x[j];
          matrix[at + 1] += x[i] * y[j];
          matrix[at + width] += y[i] * x[j];
          matrix[at + width + 1] += y[i] * y[j];
        }
        if (i === j) for (const k of [at, at + width + 1]) matrix[k] += NOISE ** 2;
      }),
    );
    return matrix;
  }

  /**
   * @param {number} i
   * @param {number} j
   */
  bend(i, j) {
    const squared = (this.mean.x[i] - this.mean.x[j]) ** 2 + (this.mean.y[i] - this.mean.y[j]) ** 2;
    return BEND ** 2 * Math.exp(-squared / (2 * BEND_LENGTH ** 2));
  }

  /**
   * Σ · weights for all points: first what the weights say along each direction, then the bends.
   * @param {number[]} known
   * @param {Float64Array} weights
   * @param {Field[]} directions
   * @returns {Field}
   */
  carried(known, weights, directions) {
    const moves = { x: new Float64Array(this.size), y: new Float64Array(this.size) };
    for (const { x, y } of directions) {
      let along = 0;
      known.forEach((j, k) => (along += x[j] * weights[2 * k] + y[j] * weights[2 * k + 1]));
      for (let i = 0; i < this.size; i++) {
        moves.x[i] += along * x[i];
        moves.y[i] += along * y[i];
      }
    }
    for (let i = 0; i < this.size; i++) {
      known.forEach((j, k) => {
        const bend = this.bend(i, j);
        moves.x[i] += bend * weights[2 * k];
        moves.y[i] += bend * weights[2 * k + 1];
      });
    }
    return moves;
  }
}

/**
 * Shift, turn and size, and stretching, as moves of the mean.
 * @param {Field} mean
 * @returns {Field[]}
 */
function similarityDirections({ x, y }) {
  const one = new Float64Array(x.length).fill(1);
  const zero = new Float64Array(x.length);
  /** @type {(values: Float64Array, factor: number) => Float64Array} */
  const times = (values, factor) => values.map((value) => factor * value);
  return [
    { x: times(one, SHIFT), y: zero },
    { x: zero, y: times(one, SHIFT) },
    { x: times(x, TURN_AND_SIZE), y: times(y, TURN_AND_SIZE) },
    { x: times(y, -TURN_AND_SIZE), y: times(x, TURN_AND_SIZE) },
    { x: times(x, STRETCH), y: times(y, -STRETCH) },
    { x: times(y, STRETCH), y: times(x, STRETCH) },
  ];
}

/**
 * @param {[number, number][]} moves
 * @returns {Field}
 */
function fieldOf(moves) {
  return { x: Float64Array.from(moves, (m) => m[0]), y: Float64Array.from(moves, (m) => m[1]) };
}

/**
 * @param {Field} field
 * @param {Similarity} pose
 * @returns {Field}
 */
function rotated({ x, y }, { a, b }) {
  return { x: x.map((value, i) => a * value - b * y[i]), y: y.map((value, i) => b * x[i] + a * value) };
}

/**
 * @param {Field} mean
 * @param {number[]} fixed
 * @param {number} dragged
 */
function nearestFixed(mean, fixed, dragged) {
  const others = fixed.filter((i) => i !== dragged);
  if (others.length <= MAX_FIXED) return others;
  /** @param {number} i */
  const distance = (i) => (mean.x[i] - mean.x[dragged]) ** 2 + (mean.y[i] - mean.y[dragged]) ** 2;
  return others.sort((i, j) => distance(i) - distance(j)).slice(0, MAX_FIXED);
}

/**
 * @param {number} n
 * @param {number} at
 */
function unit(n, at) {
  const vector = new Float64Array(n);
  vector[at] = 1;
  return vector;
}
