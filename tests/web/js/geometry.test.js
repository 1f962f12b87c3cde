import assert from "node:assert/strict";
import test from "node:test";
import { chains, evenlySpaced } from "../static/core/curves.js";
import { fitSimilarity, nearest, transform, turnAndScale } from "../static/core/geometry.js";
import { solveInPlace } from "../static/core/linear.js";
import { angle, centroidSize, distance } from "../static/core/measures.js";
import { VISIBLE } from "../static/core/points.js";
import { formatPairs, formatRange, parsePairs, parseRange } from "../static/core/ranges.js";
import { edgesWith, rearranged, withCount } from "../static/core/template.js";
import { carried, fitted, toImage, toScreen, zoomed } from "../static/core/viewport.js";
import { shapeOf } from "./helpers.js";

const close = (a, b, within = 1e-9) => assert.ok(Math.abs(a - b) < within, `${a} isn't ${b}`);

test("a similarity is found again from the points that it moved", () => {
  const source = { x: [0, 4, 1, -3], y: [0, 1, 5, 2] };
  const known = turnAndScale([2, 7], 0.7, 1.8);
  const moved = source.x.map((x, i) => transform(known, x, source.y[i]));
  const found = fitSimilarity(source, { x: moved.map((p) => p[0]), y: moved.map((p) => p[1]) }, [0, 1, 2, 3]);
  for (const key of ["a", "b", "tx", "ty"]) close(found[key], known[key]);
});

test("a quarter turn is clockwise on the screen, about its centre", () => {
  const [x, y] = transform(turnAndScale([10, 10], Math.PI / 2, 2), 11, 10);
  close(x, 10);
  close(y, 12);
});

test("the nearest point counts within its reach alone", () => {
  const points = { x: [0, 10, 20], y: [0, 0, 0] };
  assert.equal(nearest(points, [0, 1, 2], 8, 0, 5), 1);
  assert.equal(nearest(points, [0, 2], 8, 0, 5), -1);
});

test("zooming keeps the place under the pointer; the hit target doesn't depend on it", () => {
  const whole = fitted({ width: 4000, height: 3000 }, { width: 800, height: 600 });
  const before = toImage(whole, 123, 456);
  const near = zoomed(whole, 7.5, [123, 456], whole);
  toImage(near, 123, 456).forEach((value, k) => close(value, before[k], 1e-6));
  toImage(near, ...toScreen(near, 17, 23)).forEach((value, k) => close(value, [17, 23][k]));
});

test("the centre of the first pixel is half a pixel inside the image", () => {
  assert.deepEqual(toScreen({ scale: 10, x: 100, y: 200 }, 0, 0), [105, 205]);
});

test("a kept zoom shows the same part of an image of another size", () => {
  const window = { width: 800, height: 600 };
  const view = { scale: 2, x: -300, y: -200 };
  const other = carried(view, { width: 1000, height: 800 }, { width: 500, height: 400 }, window);
  close(other.scale, 4);
  const [x, y] = toImage(view, 400, 300);
  const [u, v] = toImage(other, 400, 300);
  close((x + 0.5) / 1000, (u + 0.5) / 500);
  close((y + 0.5) / 800, (v + 0.5) / 400);
});

test("a drawn line becomes points at equal steps along it", () => {
  assert.deepEqual(evenlySpaced([[0, 0], [3, 0], [3, 3]], 4), [[0, 0], [2, 0], [3, 1], [3, 3]]);
  assert.deepEqual(evenlySpaced([[0, 0], [2, 0], [2, 2], [0, 2]], 4, true), [[0, 0], [2, 0], [2, 2], [0, 2]]);
  assert.deepEqual(evenlySpaced([[0, 0], [10, 0]], 1), [[0, 0]]);
});

test("edges form open chains, and rings end where they began", () => {
  assert.deepEqual(chains([[2, 1], [0, 1], [2, 3]]), [[0, 1, 2, 3]]);
  assert.deepEqual(chains([[4, 5], [5, 6], [6, 4]]), [[4, 5, 6, 4]]);
  assert.deepEqual(chains([[0, 1], [1, 2], [1, 3]]).map((chain) => chain.length), [2, 2, 2]);
});

test("Cholesky solves what it is given", () => {
  const a = Float64Array.from([4, 2, 0, 2, 5, 1, 0, 1, 3]);
  const b = Float64Array.from([8, 15, 11]); // A · (1, 2, 3)
  solveInPlace(a, [b], 3);
  [1, 2, 3].forEach((value, i) => close(b[i], value));
});

test("distances, angles and centroid size by hand", () => {
  const shape = shapeOf([[0, 0, VISIBLE], [3, 4, VISIBLE], [0, 4, VISIBLE], [NaN, NaN, 0]]);
  assert.equal(distance(shape, 0, 1), 5);
  close(angle(shape, 0, 2, 1), 90);
  assert.equal(distance(shape, 0, 3), null);
  assert.equal(centroidSize(shape), null);
  close(centroidSize(shapeOf([[0, 0, VISIBLE], [2, 0, VISIBLE]])), Math.SQRT2);
});

test("lists of landmarks are read as they are written", () => {
  assert.deepEqual(parseRange("1-3, 7, 6-5", 10), [0, 1, 2, 6, 5, 4]);
  assert.deepEqual(parseRange(" 1 – 3 7; 6 -5 ", 10), [0, 1, 2, 6, 5, 4]);
  assert.equal(formatRange([0, 1, 2, 6, 9, 8, 7]), "1-3, 7, 10-8");
  assert.deepEqual(parseRange(formatRange([4, 3, 2, 9]), 10), [4, 3, 2, 9]);
  assert.deepEqual(parsePairs("1-17, 2 - 16", 17), [[0, 16], [1, 15]]);
  assert.equal(formatPairs([[0, 16]]), "1-17");
  for (const wrong of ["0", "11", "a", "1-2-3", "1,1"]) assert.throws(() => parseRange(wrong, 10), /landmark|isn't/i);
  for (const wrong of ["1-1", "1-2, 2-3", "5"]) assert.throws(() => parsePairs(wrong, 10), /pair/i);
});

test("lines, contours and pairs follow their landmarks into a new order", () => {
  const layout = { names: ["a", "b", "c", "d"], edges: [[0, 1], [2, 3]], contours: [{ name: "k", points: [0, 1, 2], closed: false }], pairs: [[0, 3]] };
  const change = rearranged(layout, [{ name: "d", from: 3 }, { name: "new", from: null }, { name: "b", from: 1 }, { name: "a", from: 0 }]);
  assert.deepEqual(change.names, ["d", "new", "b", "a"]);
  assert.deepEqual(change.edges, [[3, 2]]);
  assert.deepEqual(change.contours, [{ name: "k", points: [3, 2], closed: false }]);
  assert.deepEqual(change.pairs, [[3, 0]]);
  assert.deepEqual(change.from, [3, null, 1, 0]);
});

test("a contour brings its lines and takes its old ones away", () => {
  const before = [{ name: "k", points: [0, 1, 2], closed: true }];
  const after = [{ name: "k", points: [0, 1], closed: false }];
  assert.deepEqual(edgesWith([[0, 1], [1, 2], [2, 0], [7, 8]], before, after), [[7, 8], [0, 1]]);
  assert.deepEqual(withCount(["landmark 1", "tip"], 3), ["landmark 1", "tip", "landmark 2"]);
});
