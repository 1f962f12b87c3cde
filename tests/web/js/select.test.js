import assert from "node:assert/strict";
import test from "node:test";
import { EMPTY, SUGGESTED, VISIBLE, pointAt } from "../static/core/points.js";
import { Editor } from "../static/state/editor.js";
import { SelectTool } from "../static/tools/select.js";

const saver = { add() {}, latest: () => null, learn() {}, merges: () => false };
const at = (x, y, touch = false) => ({ x, y, touch, shift: false });

/** The pointer over an image of 200 × 200 pixels, each as large as one of the screen. */
function opened(points, suggested) {
  const record = { id: "i", name: "i.jpg", width: 200, height: 200, version: 0, status: "new", points, undo: 0, redo: 0, prediction: null };
  const editor = new Editor(record, ["a", "b", "c"], saver);
  if (suggested) editor.suggest({ source: "mean", uncertainty: null, points: suggested.map(([x, y]) => ({ x, y })) });
  const stage = { view: { scale: 1, x: -0.5, y: -0.5 }, handles: false, above: { style: {} }, dirty() {} };
  const tool = new SelectTool(stage, () => editor, { value: { follow: false, offset: false } });
  const press = (from, to = from) => {
    if (!tool.down(from)) return tool.tap(to);
    if (to !== from) tool.move(to);
    tool.up(to);
  };
  return { editor, tool, press };
}
const NOTHING = [null, null, null];
const THREE = [[50, 50], [100, 50], [150, 50]];

test("a click near another landmark's suggestion sets the landmark that is asked for", () => {
  const { editor, press } = opened(NOTHING, THREE);
  press(at(103, 52)); // b is suggested 4 px away; a is next
  assert.deepEqual(pointAt(editor.shape, 0), [103, 52, VISIBLE]);
  assert.deepEqual(pointAt(editor.shape, 1), [100, 50, SUGGESTED]);
  assert.equal(editor.selected.value, 1);
  press(at(150, 50)); // right on the suggestion of c
  assert.deepEqual(pointAt(editor.shape, 1), [150, 50, VISIBLE]);
  assert.equal(editor.shape.state[2], SUGGESTED);
});

test("a click on the suggestion of the landmark that is asked for says that it is right", () => {
  const { editor, press } = opened(NOTHING, THREE);
  press(at(52, 51));
  assert.deepEqual(pointAt(editor.shape, 0), [50, 50, VISIBLE]);
  press(at(105, 50)); // beside it: that is where it is
  assert.deepEqual(pointAt(editor.shape, 1), [105, 50, VISIBLE]);
});

test("another landmark is taken by a drag", () => {
  const { editor, press } = opened(NOTHING, THREE);
  press(at(146, 50), at(146, 70));
  assert.deepEqual(pointAt(editor.shape, 2), [150, 70, VISIBLE]);
  assert.equal(editor.shape.state[0], SUGGESTED);
  assert.equal(editor.selected.value, 2);
});

test("a click on a set landmark selects it; one beside it sets the next", () => {
  const { editor, press } = opened([{ x: 50, y: 50, state: "visible" }, null, null]);
  press(at(51, 51));
  assert.equal(editor.selected.value, 0);
  assert.equal(editor.shape.state[1], EMPTY);
  press(at(58, 50));
  assert.deepEqual(pointAt(editor.shape, 1), [58, 50, VISIBLE]);
  assert.deepEqual(pointAt(editor.shape, 0), [50, 50, VISIBLE]);
});

test("with nothing to set, a click near a landmark selects it and sets nothing", () => {
  const { editor, press } = opened(THREE.map(([x, y]) => ({ x, y, state: "visible" })));
  press(at(92, 50));
  assert.equal(editor.selected.value, 1);
  assert.deepEqual(pointAt(editor.shape, 1), [100, 50, VISIBLE]);
});

test("a finger near another suggestion sets the landmark above it, where the cross is", () => {
  const { editor, press } = opened(NOTHING, THREE);
  press(at(120, 60, true));
  assert.deepEqual(pointAt(editor.shape, 0), [120, 8, VISIBLE]);
  assert.equal(editor.shape.state[1], SUGGESTED);
  press(at(105, 55, true)); // on the suggestion that is asked for
  assert.deepEqual(pointAt(editor.shape, 1), [100, 50, VISIBLE]);
});
