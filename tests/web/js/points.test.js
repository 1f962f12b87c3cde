import assert from "node:assert/strict";
import test from "node:test";
import { difference, joinEdits } from "../static/core/edits.js";
import { History } from "../static/core/history.js";
import { ABSENT, EMPTY, HIDDEN, SUGGESTED, VISIBLE, copyShape, nextUndecided, pointAt, setPoint } from "../static/core/points.js";
import { fromWire, sameWire, suggest, toWire } from "../static/core/wire.js";
import { shapeOf } from "./helpers.js";

const shape = () => shapeOf([[1, 2, VISIBLE], [3, 4, HIDDEN], [NaN, NaN, ABSENT], [NaN, NaN, EMPTY], [5, 6, SUGGESTED]]);

test("what goes to the server comes back the same, without what is only suggested", () => {
  const wire = toWire(shape());
  assert.deepEqual(wire, [{ x: 1, y: 2, state: "visible" }, { x: 3, y: 4, state: "hidden" }, { state: "absent" }, null, null]);
  assert.deepEqual(toWire(fromWire(wire, 5)), wire);
});

test("a suggestion never moves a point that a person has decided about", () => {
  const own = shape();
  suggest(own, Array.from({ length: 5 }, () => ({ x: 90, y: 90 })));
  assert.deepEqual([0, 1].map((i) => pointAt(own, i)), [[1, 2, VISIBLE], [3, 4, HIDDEN]]);
  assert.equal(own.state[2], ABSENT);
  assert.deepEqual([3, 4].map((i) => pointAt(own, i)), [[90, 90, SUGGESTED], [90, 90, SUGGESTED]]);
});

test("a suggestion outside the image is laid at its edge", () => {
  const own = shapeOf([[NaN, NaN, EMPTY], [NaN, NaN, EMPTY], [1, 1, VISIBLE]]);
  const clamped = suggest(own, [{ x: -20, y: 30 }, { x: 99, y: 79 }, { x: 500, y: 500 }], { width: 100, height: 80 });
  assert.deepEqual([...clamped], [0]);
  assert.deepEqual([0, 1, 2].map((i) => pointAt(own, i)), [[0, 30, SUGGESTED], [99, 79, SUGGESTED], [1, 1, VISIBLE]]);
});

test("annotations are the same up to a thousandth of a pixel, and differ by state", () => {
  assert.ok(sameWire([{ x: 1, y: 1, state: "visible" }], [{ x: 1.0004, y: 1, state: "visible" }]));
  assert.ok(!sameWire([{ x: 1, y: 1, state: "visible" }], [{ x: 1.01, y: 1, state: "visible" }]));
  assert.ok(!sameWire([{ x: 1, y: 1, state: "visible" }], [{ x: 1, y: 1, state: "hidden" }]));
  assert.ok(!sameWire([null], [{ state: "absent" }]));
});

test("the next landmark to set is looked for in a circle", () => {
  assert.equal(nextUndecided(shape(), 0), 3);
  assert.equal(nextUndecided(shape(), 4), 4);
  assert.equal(nextUndecided(shapeOf([[0, 0, EMPTY], [1, 1, VISIBLE]]), 1), 0);
  assert.equal(nextUndecided(shapeOf([[1, 1, VISIBLE]]), 0), -1);
});

test("any number of changes can be undone and done again", () => {
  const now = shape();
  const history = new History();
  const states = [copyShape(now)];
  for (let step = 0; step < 200; step++) {
    const before = copyShape(now);
    setPoint(now, step % 5, [step, -step, step % 3 === 0 ? HIDDEN : step % 7 === 0 ? ABSENT : VISIBLE]);
    const edit = difference(before, now, `step ${step}`);
    if (edit) history.push(edit);
    states.push(copyShape(now));
  }
  for (const expected of states.slice(0, -1).reverse()) {
    history.undo(now);
    assert.deepEqual(now, expected);
  }
  assert.equal(history.undo(now), null);
  for (const expected of states.slice(1)) {
    history.redo(now);
    assert.deepEqual(now, expected);
  }
  assert.equal(history.redo(now), null);
});

test("a new change drops what had been undone", () => {
  const now = shape();
  const history = new History();
  const change = (x) => {
    const before = copyShape(now);
    setPoint(now, 0, [x, 0, VISIBLE]);
    history.push(difference(before, now, "move"));
  };
  [10, 20].forEach(change);
  history.undo(now);
  change(30);
  assert.equal(history.redo(now), null);
  history.undo(now);
  assert.equal(now.x[0], 10);
});

test("joined changes are undone in one step", () => {
  const now = shape();
  const first = copyShape(now);
  const history = new History();
  for (const x of [2, 3, 4]) {
    const before = copyShape(now);
    setPoint(now, 0, [x, 2, VISIBLE]);
    history.push(difference(before, now, "move"), x > 2);
  }
  history.undo(now);
  assert.deepEqual(now, first);
});

test("only changes of decided points concern the server", () => {
  const before = shape();
  const moved = copyShape(before);
  setPoint(moved, 4, [50, 60, SUGGESTED]);
  const local = difference(before, moved, "move");
  assert.equal(local.remote, false);
  const set = copyShape(moved);
  setPoint(set, 4, [50, 60, VISIBLE]);
  const remote = difference(moved, set, "set");
  assert.equal(remote.remote, true);
  assert.equal(joinEdits(local, remote).remote, true);
  assert.equal(difference(set, set, "nothing"), null);
});
