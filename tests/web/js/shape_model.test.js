import assert from "node:assert/strict";
import test from "node:test";
import { transform, turnAndScale } from "../static/core/geometry.js";
import { SUGGESTED } from "../static/core/points.js";
import { ShapeModel } from "../static/core/shape_model.js";
import { shapeOf } from "./helpers.js";

const SQUARE = [[-1, -1], [1, -1], [1, 1], [-1, 1], [0, -1], [0, 1]].map(([x, y]) => [x / Math.SQRT2, y / Math.SQRT2]);
const model = () => new ShapeModel({ n: 3, mean: SQUARE, modes: [] });
const laid = (similarity) => shapeOf(SQUARE.map(([x, y]) => [...transform(similarity, x, y), SUGGESTED]));
const near = (value, expected, within) => assert.ok(Math.abs(value - expected) < within, `${value} isn't within ${within} of ${expected}`);

test("while nothing is fixed, the shape follows as a whole", () => {
  const { alongX, alongY } = model().response(laid({ a: 100, b: 0, tx: 300, ty: 300 }), [], 0);
  for (let i = 1; i < SQUARE.length; i++) {
    near(alongX.x[i], 1, 0.6);
    assert.ok(alongX.x[i] > 0.3 && Math.abs(alongX.y[i]) < 0.7);
    assert.ok(alongY.y[i] > 0.3);
  }
});

test("the dragged point moves by the drag, fixed points stay", () => {
  const { alongX, alongY } = model().response(laid({ a: 100, b: 0, tx: 300, ty: 300 }), [1, 2], 0);
  near(alongX.x[0], 1, 0.02);
  near(alongX.y[0], 0, 0.02);
  near(alongY.y[0], 1, 0.02);
  for (const i of [1, 2]) near(Math.hypot(alongX.x[i], alongX.y[i], alongY.x[i], alongY.y[i]), 0, 0.12);
});

test("with one fixed point, dragging its opposite away makes the shape grow", () => {
  const shape = laid({ a: 100, b: 0, tx: 300, ty: 300 });
  const { alongX, alongY } = model().response(shape, [0], 2);
  const grown = [alongX.x[1] + alongY.x[1], alongX.y[1] + alongY.y[1]]; // dragged along the diagonal
  near(grown[0], 1, 0.25);
  near(grown[1], 0, 0.25);
});

test("the response turns and scales with the shape", () => {
  const angle = 0.6;
  const upright = model().response(laid({ a: 100, b: 0, tx: 0, ty: 0 }), [1, 3], 0);
  const turned = model().response(laid(turnAndScale([0, 0], angle, 250)), [1, 3], 0);
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  for (const i of [2, 4, 5]) {
    // A drag along the turned x axis moves point i by the turned move of the upright shape.
    const along = [c * turned.alongX.x[i] + s * turned.alongY.x[i], c * turned.alongX.y[i] + s * turned.alongY.y[i]];
    near(along[0], c * upright.alongX.x[i] - s * upright.alongX.y[i], 1e-9);
    near(along[1], s * upright.alongX.x[i] + c * upright.alongX.y[i], 1e-9);
  }
});

test("what the annotated shapes do together, neighbours do together", () => {
  // In all shapes point 4 moves up when point 5 moves down, and nothing else moves.
  const mode = SQUARE.map((_, i) => (i === 4 ? [0, -0.5] : i === 5 ? [0, 0.5] : [0, 0]));
  const learnt = new ShapeModel({ n: 5, mean: SQUARE, modes: [mode] });
  const { alongY } = learnt.response(laid({ a: 100, b: 0, tx: 0, ty: 0 }), [0, 1, 2, 3], 5);
  near(alongY.y[4], -1, 0.1);
  const without = model().response(laid({ a: 100, b: 0, tx: 0, ty: 0 }), [0, 1, 2, 3], 5);
  assert.ok(without.alongY.y[4] > -0.5);
});

test("five hundred points, all but one fixed, respond within a tenth of a second", () => {
  const mean = Array.from({ length: 500 }, (_, i) => [Math.SQRT2 * Math.cos(i / 80), Math.sin(i / 80)]);
  const large = new ShapeModel({ n: 10, mean, modes: Array.from({ length: 10 }, () => mean) });
  const shape = shapeOf(mean.map(([x, y]) => [100 * x, 100 * y, SUGGESTED]));
  const fixed = Array.from({ length: 400 }, (_, i) => i + 50);
  large.response(shape, fixed, 0);
  const start = performance.now();
  large.response(shape, fixed, 0);
  assert.ok(performance.now() - start < 400, "a fourfold allowance for a busy machine");
});
