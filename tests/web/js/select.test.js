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

test("a click where a set landmark and the suggestion of the next one are together sets the next one", () => {
  const { editor, press } = opened([{ x: 50, y: 50, state: "visible" }, null, null], [[50, 50], [52, 50], [150, 50]]);
  const { x, y } = { x: editor.shape.x[1], y: editor.shape.y[1] };
  assert.ok(Math.hypot(x - 50, y - 50) < 10);
  press(at(50, 50));
  assert.deepEqual(pointAt(editor.shape, 1), [50, 50, VISIBLE]);
  assert.deepEqual(pointAt(editor.shape, 0), [50, 50, VISIBLE]);
  assert.equal(editor.selected.value, 2);
});

test("a click on a handle of the suggested shape sets the next landmark; a drag moves the shape", () => {
  const { editor, tool, press } = opened(NOTHING, [[50, 50], [150, 50], [100, 150]]);
  tool.stage.handles = true;
  const frame = [...Array(200).keys()].flatMap((x) => [...Array(200).keys()].map((y) => at(x, y)));
  const handle = frame.find((place) => tool.pointUnder(place) < 0 && tool.handleUnder(place) === "scale");
  press(handle);
  assert.deepEqual(pointAt(editor.shape, 0), [handle.x, handle.y, VISIBLE]);
  const edge = frame.find((place) => tool.pointUnder(place) < 0 && tool.handleUnder(place) === "move");
  const before = [...editor.shape.x];
  press(edge, at(edge.x + 10, edge.y));
  assert.ok([...editor.shape.x].every((value, i) => Math.abs(value - before[i] - 10) < 0.01));
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
