/** Sentences, contours with anchors, placing with Alt, hints that are dismissed, stages of a training. */

import assert from "node:assert/strict";
import test from "node:test";
import { spacedBetween } from "../static/core/curves.js";
import { EMPTY, SUGGESTED, VISIBLE, pointAt, swapPoints } from "../static/core/points.js";
import { sentence } from "../static/lib/format.js";
import { canResume, isFinishing, stageOf, trainedShare } from "../static/panels/training_stage.js";
import { DismissedHints } from "../static/state/dismissed.js";
import { Editor } from "../static/state/editor.js";
import { CurveTool } from "../static/tools/curve.js";
import { SelectTool } from "../static/tools/select.js";
import { shapeOf } from "./helpers.js";

test("a message becomes a sentence; names of files and code stay as they are", () => {
  const sentences = [
    ["no image is finished yet: annotate some", "No image is finished yet: annotate some."],
    ["can't write /a/b.json: no space left", "Can't write /a/b.json: no space left."],
    ["photos/a 1.png: not an image", "photos/a 1.png: not an image."],
    ["my photo.png: not an image", "my photo.png: not an image."],
    ["encoder.widht=8: unknown", "encoder.widht=8: unknown."],
    ["expected fewer images; set batch_size=5", "Expected fewer images; set batch_size=5"],
    ["there is no such folder: /home/me", "There is no such folder: /home/me"],
    ["élan is missing", "Élan is missing."],
    ["Already fine.", "Already fine."],
    ["why?", "Why?"],
    ["", ""],
  ];
  for (const [text, expected] of sentences) assert.equal(sentence(text), expected);
});

/** A circle of radius 100 about 0, from an angle in degrees, the way round that `step` says. */
const circle = (from, step = 1) => Array.from({ length: 360 }, (_, i) => onCircle(from + step * i));
const onCircle = (degrees) => [100 * Math.cos((degrees * Math.PI) / 180), 100 * Math.sin((degrees * Math.PI) / 180)];
const near = (a, b, within = 0.6) => assert.ok(Math.hypot(a[0] - b[0], a[1] - b[1]) < within, `${a} is not ${b}`);

test("a closed contour starts at its anchor, wherever it was drawn from", () => {
  for (const from of [0, 77, 200, 359]) {
    const places = spacedBetween(circle(from), 8, true, [{ k: 0, place: [100, 0] }]);
    places.forEach((place, k) => near(place, onCircle(45 * k)));
    assert.deepEqual(places[0], [100, 0]);
  }
});

test("anchors keep their place and number; three of them show which way round", () => {
  const anchors = [{ k: 2, place: onCircle(90) }, { k: 4, place: onCircle(210) }, { k: 5, place: onCircle(240) }];
  for (const step of [1, -1]) {
    const places = spacedBetween(circle(30, step), 8, true, anchors);
    near(places[3], onCircle(150)); // between them
    [6, 7, 0, 1].forEach((k, i) => near(places[k], onCircle(240 + 42 * (i + 1)))); // and around the other side
    assert.deepEqual([places[2], places[4], places[5]], anchors.map(({ place }) => place));
  }
  near(spacedBetween(circle(30, -1), 8, true, anchors.slice(0, 2))[3], onCircle(330)); // two don't: as it was drawn
});

test("an open contour may be drawn from either end", () => {
  const line = [[0, 0], [90, 0]];
  for (const drawn of [line, [...line].reverse()]) {
    const places = spacedBetween(drawn, 4, false, [{ k: 0, place: [0, 3] }]);
    assert.deepEqual(places.map(([x, y]) => [Math.round(x), y]), [[0, 3], [30, 0], [60, 0], [90, 0]]);
  }
  const bent = spacedBetween(line, 4, false, [{ k: 1, place: [60, 0] }]);
  assert.deepEqual(bent.map(([x]) => Math.round(x)), [0, 60, 75, 90]);
  assert.deepEqual(spacedBetween(line, 2, false, [{ k: 0, place: [0, 0] }, { k: 1, place: [90, 1] }]), [[0, 0], [90, 1]]);
});

const saver = { add() {}, latest: () => null, learn() {}, merges: () => false };
const at = (x, y, place = false) => ({ x, y, touch: false, shift: false, place });

/** An editor of an image of 200 × 200 pixels, each as large as one of the screen. */
function opened(points) {
  const size = { width: 200, height: 200 };
  const record = { id: "i", name: "i.jpg", ...size, version: 0, status: "new", points, undo: 0, redo: 0, prediction: null };
  const editor = new Editor(record, points.map((_, i) => `p${i}`), saver);
  const stage = { view: { scale: 1, x: -0.5, y: -0.5 }, handles: false, above: { style: {} }, dirty() {} };
  return { editor, stage };
}

test("drawing a contour leaves landmarks that were set by hand, and moves those that were drawn", () => {
  const { editor, stage } = opened([{ x: 50, y: 50, state: "visible" }, null, null, { state: "absent" }]);
  const contour = { name: "c", points: [0, 1, 2, 3], closed: true };
  const drawn = ({ points, name }, places) => editor.setCurve(points, places, name);
  const tool = new CurveTool(stage, () => editor, () => contour, drawn);
  const draw = (corners) => {
    for (const [x, y] of corners) tool.down(at(x, y));
    tool.finish();
  };
  draw([[150, 150], [50, 150], [50, 50], [150, 50]]);
  assert.deepEqual([0, 1, 2].map((i) => pointAt(editor.shape, i).slice(0, 2)), [[50, 50], [150, 50], [150, 150]]);
  assert.equal(editor.shape.state[3], 4); // absent stays absent
  editor.setState(3, EMPTY);
  draw([[48, 50], [168, 50], [168, 170], [48, 170]]);
  assert.deepEqual(pointAt(editor.shape, 0), [50, 50, VISIBLE]);
  // Up to where the line is nearest to the anchor.
  assert.ok(Math.abs(editor.shape.x[1] - 168) < 3 && Math.abs(editor.shape.y[2] - 170) < 3);
  assert.equal(editor.shape.state[3], VISIBLE);
});

test("with Alt a click on a set landmark places the next one", () => {
  const { editor, stage } = opened([{ x: 50, y: 50, state: "visible" }, null, null]);
  const tool = new SelectTool(stage, () => editor, { value: { follow: false, offset: false } });
  const press = (place) => (tool.down(place) ? tool.up(place) : tool.tap(place));
  press(at(50, 50));
  assert.equal(editor.shape.state[1], EMPTY);
  press(at(50, 50, true));
  assert.deepEqual(pointAt(editor.shape, 1), [50, 50, VISIBLE]);
  press(at(51, 50, true));
  assert.deepEqual(pointAt(editor.shape, 2), [51, 50, VISIBLE]);
});

test("swapping takes the state along", () => {
  const shape = shapeOf([[1, 2, VISIBLE], [3, 4, SUGGESTED], [NaN, NaN, EMPTY]]);
  swapPoints(shape, [[0, 1]]);
  assert.deepEqual([pointAt(shape, 0), pointAt(shape, 1)], [[3, 4, SUGGESTED], [1, 2, VISIBLE]]);
});

test("a dismissed hint stays away in its image, another one doesn't", () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const hint = (code, ...landmarks) => ({ code, landmarks, message: "", severity: "warning" });
  new DismissedHints(storage, "/p").add("a", hint("far", 3));
  const again = new DismissedHints(storage, "/p");
  assert.ok(again.has("a", hint("far", 3)) && !again.has("a", hint("far", 4)) && !again.has("b", hint("far", 3)));
  assert.ok(!new DismissedHints(storage, "/other").has("a", hint("far", 3)));
  again.add("a", hint("outlier", 1, 2, 3));
  assert.ok(again.has("a", hint("outlier", 1, 2, 3, 4)) && again.has("a", hint("far", 3)));
  again.clear("a");
  assert.ok(!again.has("a", hint("far", 3)));
  kept.set("brule.dismissed./p", "{damaged");
  assert.ok(!new DismissedHints(storage, "/p").has("a", hint("far", 3)));
});

test("the stage of a training, its share, and whether it can be resumed", () => {
  const training = (more) => ({ state: "running", run: "round-1", share: 0.5, iteration: 10, ...more });
  assert.equal(stageOf(training({})), "");
  assert.match(stageOf(training({ iteration: 0 })), /^Preparing/);
  assert.match(stageOf(training({ share: 1 })), /^Finishing: calibrating, saving/);
  assert.equal(stageOf(training({ share: 1, stage: "learning to find objects" })), "Learning to find objects.");
  assert.equal(trainedShare(training({ share: 0.996 })), "99 %");
  assert.equal(trainedShare(training({ share: 1 })), "All steps done");
  assert.equal(trainedShare(training({ share: 1, state: "finished" })), "100 %");
  assert.ok(isFinishing(training({ share: 0.9999 })) && !isFinishing(training({ share: 1, state: "stopped" })));
  for (const state of ["failed", "stopped"]) {
    assert.ok(canResume(training({ state, can_resume: true })));
    assert.ok(!canResume(training({ state, can_resume: false })));
  }
  assert.ok(!canResume(training({ can_resume: true })) && !canResume(training({ state: "finished", can_resume: true })));
});
