import assert from "node:assert/strict";
import test from "node:test";
import { HIDDEN, SUGGESTED, VISIBLE, pointAt } from "../static/core/points.js";
import { ShapeModel } from "../static/core/shape_model.js";
import { Editor } from "../static/state/editor.js";

const NAMES = ["a", "b", "c", "d"];
const MEAN = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x, y]) => [x / Math.SQRT2, y / Math.SQRT2]);

/** What the editor sends, as a saver would take it. */
class Recorder {
  changes = [];
  add(change) {
    this.changes.push(change);
  }
  latest = () => null;
  learn() {}
  merges = (change) => Boolean(change.merge) && this.changes.at(-1)?.merge === change.merge;
}

const opened = (points = [null, null, null, null], more = {}) => {
  const saver = new Recorder();
  const record = { id: "i", name: "i.jpg", width: 100, height: 80, version: 3, status: "new", points, undo: 0, redo: 0, prediction: null, ...more };
  return { saver, editor: new Editor(record, NAMES, saver) };
};
const guess = { ready: true, source: "mean", uncertainty: null, points: MEAN.map(([x, y]) => ({ x: 50 + 20 * x, y: 40 + 20 * y })) };

test("clicks set landmark after landmark, one change each", () => {
  const { editor, saver } = opened();
  [[1, 2], [3, 4], [5, 6], [7, 8]].forEach(([x, y]) => editor.place(editor.selected.value, x, y));
  assert.equal(saver.changes.length, 4);
  assert.deepEqual(saver.changes[3].points.map((point) => [point.x, point.y]), [[1, 2], [3, 4], [5, 6], [7, 8]]);
  assert.deepEqual(saver.changes[0].points.slice(1), [null, null, null]);
});

test("dragging an unset shape moves it, and only what was dragged counts as set", () => {
  const { editor, saver } = opened();
  editor.model = new ShapeModel({ n: 1, mean: MEAN, modes: [] });
  editor.suggest(guess);
  const before = pointAt(editor.shape, 2);
  editor.begin();
  editor.hold(0);
  editor.dragTo(editor.shape.x[0] + 10, editor.shape.y[0]);
  editor.commit("move a");
  assert.equal(editor.shape.state[0], VISIBLE);
  assert.equal(editor.shape.state[2], SUGGESTED);
  assert.ok(pointAt(editor.shape, 2)[0] > before[0] + 2);
  assert.deepEqual(saver.changes[0].points.slice(1), [null, null, null]);
  editor.undo();
  assert.deepEqual(pointAt(editor.shape, 2), before);
  assert.equal(saver.changes[1].step, "/undo");
});

test("moving the whole suggestion isn't sent, and can be undone", () => {
  const { editor, saver } = opened();
  editor.suggest(guess);
  editor.begin();
  editor.transformAll({ a: 2, b: 0, tx: 0, ty: 0 });
  editor.commit("scale the shape");
  assert.equal(saver.changes.length, 0);
  editor.undo();
  assert.equal(editor.shape.x[0], guess.points[0].x);
  assert.equal(saver.changes.length, 0);
});

test("accepting sets what is suggested and keeps hidden landmarks hidden", () => {
  const { editor, saver } = opened([null, { x: 1, y: 1, state: "hidden" }, null, { state: "absent" }]);
  editor.suggest(guess);
  assert.deepEqual(editor.accept(), []);
  assert.equal(saver.changes[0].status, "accepted");
  assert.deepEqual(saver.changes[0].points.map((point) => point.state), ["visible", "hidden", "visible", "absent"]);
});

test("an image with landmarks that have no place isn't accepted", () => {
  const { editor, saver } = opened([null, { x: 1, y: 1, state: "visible" }, null, null]);
  assert.deepEqual(editor.accept(), [0, 2, 3]);
  assert.equal(saver.changes.length, 0);
});

test("what is suggested outside the image isn't accepted before a person has looked at it", () => {
  const { editor, saver } = opened();
  const points = guess.points.map((point, k) => (k === 2 ? { x: 130, y: 40 } : point));
  editor.suggest({ ...guess, points });
  assert.deepEqual(pointAt(editor.shape, 2), [99, 40, SUGGESTED]); // within reach
  assert.deepEqual(editor.accept(), [2]);
  assert.equal(saver.changes.length, 0);
  editor.setState(2, VISIBLE);
  editor.begin();
  editor.transformAll({ a: 1, b: 0, tx: 0, ty: -40 }); // the others are moved out of it
  editor.commit("move the shape");
  assert.deepEqual(editor.accept(), [0, 1]);
  editor.undo();
  assert.deepEqual(editor.accept(), []);
});

test("hidden and absent are switched on and off; an unplaced landmark can't be hidden", () => {
  const { editor } = opened([{ x: 1, y: 1, state: "visible" }, null, null, null]);
  assert.ok(editor.setState(0, HIDDEN));
  assert.equal(editor.shape.state[0], HIDDEN);
  editor.setState(0, HIDDEN);
  assert.equal(editor.shape.state[0], VISIBLE);
  assert.equal(editor.setState(1, HIDDEN), false);
});

test("a drag that is given up leaves everything as it was", () => {
  const { editor, saver } = opened([{ x: 1, y: 1, state: "visible" }, null, null, null]);
  editor.begin();
  editor.hold(0);
  editor.dragTo(50, 50);
  editor.cancel();
  assert.deepEqual(pointAt(editor.shape, 0), [1, 1, VISIBLE]);
  assert.equal(saver.changes.length, 0);
});

test("arrow presses in a row are one step of undo", () => {
  const { editor } = opened([{ x: 10, y: 10, state: "visible" }, null, null, null]);
  editor.select(0);
  for (let k = 0; k < 5; k++) editor.nudge(1, 0);
  assert.equal(editor.shape.x[0], 15);
  editor.undo();
  assert.equal(editor.shape.x[0], 10);
});

test("after a reload the server's steps are undone and done again, then our own", () => {
  const { editor, saver } = opened([{ x: 5, y: 5, state: "visible" }, null, null, null], { undo: 2, redo: 1 });
  editor.undo();
  editor.undo();
  assert.equal(editor.undo(), null);
  assert.deepEqual(saver.changes.map((change) => change.step), ["/undo", "/undo"]);
  editor.arrived({ ...editor.record, points: [{ x: 1, y: 1, state: "visible" }, null, null, null], version: 4 });
  assert.deepEqual(pointAt(editor.shape, 0), [1, 1, VISIBLE]);
  for (let k = 0; k < 3; k++) editor.redo();
  assert.equal(editor.redo(), null);
  assert.equal(saver.changes.filter((change) => change.step === "/redo").length, 3);
});

test("another window's change, saved from here, isn't taken back by the next edit", () => {
  const own = { x: 5, y: 5, state: "visible" };
  const theirs = { x: 9, y: 9, state: "visible" };
  const { editor, saver } = opened([own, null, null, null]);
  editor.arrived({ ...editor.record, points: [own, theirs, null, null], version: 4 });
  editor.place(2, 7, 7);
  assert.deepEqual(saver.changes[0].points.slice(0, 2), [own, theirs]);
  const waiting = opened([own, null, null, null]);
  waiting.editor.adopt({ points: [own, theirs, null, null] }); // still on its way
  waiting.editor.place(2, 7, 7);
  assert.deepEqual(waiting.saver.changes[0].points.slice(0, 2), [own, theirs]);
});

test("the answer to an own change leaves the steps of undo alone", () => {
  const { editor, saver } = opened();
  editor.place(0, 1, 2);
  editor.arrived({ ...editor.record, points: saver.changes[0].points, version: 4 });
  assert.equal(editor.undo(), "place a");
});

test("an editor that was left is taken up again only if it shows what waits to be saved", () => {
  const { editor, saver } = opened();
  editor.place(0, 1, 2);
  saver.latest = () => saver.changes[0];
  assert.ok(editor.current(editor.record));
  saver.latest = () => ({ ...saver.changes[0], points: [{ x: 50, y: 2, state: "visible" }, null, null, null] }); // as another page has it
  assert.equal(editor.current(editor.record), false);
});

test("an undo that waits with unknown points doesn't empty the image", () => {
  const points = [1, 2, 3, 4].map((x) => ({ x, y: x, state: "visible" }));
  const { editor, saver } = opened(points, { undo: 2 });
  editor.undo();
  assert.equal(saver.changes[0].points, null);
  saver.latest = () => saver.changes[0];
  const again = new Editor(editor.record, NAMES, saver);
  again.place(0, 30, 30);
  assert.deepEqual(saver.changes[1].points.slice(1), points.slice(1));
});

test("a change says which landmarks it was made with", () => {
  const { editor, saver } = opened(undefined, { landmarks: 2 });
  editor.place(0, 1, 2);
  editor.arrived({ ...editor.record, points: saver.changes[0].points, version: 4, landmarks: 3 }); // renamed meanwhile, in another window
  editor.place(1, 3, 4);
  assert.deepEqual(saver.changes.map((change) => change.landmarks), [2, 2]);
  editor.arrived({ ...editor.record, points: [null, null, null, null], version: 5, landmarks: 3 }, true);
  editor.adopt({ points: [null, null, null, null], landmarks: 3 });
  assert.deepEqual([editor.shape.x[0], editor.shape.x[1]], [1, 3]); // those are of other landmarks
});

test("what waits with the points of earlier landmarks isn't shown as if they were the present ones", () => {
  const own = { x: 5, y: 5, state: "visible" };
  const { editor, saver } = opened(undefined, { landmarks: 3 });
  saver.latest = () => ({ points: [own, null, null, null], landmarks: 2 });
  assert.equal(new Editor(editor.record, NAMES, saver).shape.x[0], opened().editor.shape.x[0]);
  saver.latest = () => ({ points: [own, null, null, null], landmarks: 3 });
  assert.equal(new Editor(editor.record, NAMES, saver).shape.x[0], 5);
});
