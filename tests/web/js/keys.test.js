import assert from "node:assert/strict";
import test from "node:test";
import { BINDINGS, NumberEntry, bindingFor, moveOf } from "../static/core/keymap.js";

const press = (key, modifiers = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...modifiers });
const command = (...args) => bindingFor(press(...args))?.command ?? null;

test("no key means two things", () => {
  const keys = BINDINGS.flatMap((binding) => binding.keys);
  assert.equal(new Set(keys).size, keys.length);
});

test("arrows move by 1, with Shift by 10, with Alt by a tenth", () => {
  assert.deepEqual(moveOf(command("ArrowLeft")), [-1, 0]);
  assert.deepEqual(moveOf(command("ArrowDown", { shiftKey: true })), [0, 10]);
  assert.deepEqual(moveOf(command("ArrowUp", { altKey: true })), [0, -0.1]);
  assert.equal(moveOf("accept"), null);
});

test("letters mean the same with and without caps lock; signs need no Shift of their own", () => {
  assert.equal(command("h"), "hidden");
  assert.equal(command("H"), "hidden");
  assert.equal(command("?", { shiftKey: true }), "help");
  assert.equal(command("+", { shiftKey: true }), "zoom-in");
  assert.equal(command("0"), "fit");
  assert.equal(command(" "), "pan");
  assert.equal(command("Tab", { shiftKey: true }), "previous-point");
});

test("undo and redo, with Ctrl and with the Apple key", () => {
  assert.equal(command("z", { ctrlKey: true }), "undo");
  assert.equal(command("Z", { ctrlKey: true, shiftKey: true }), "redo");
  assert.equal(command("z", { metaKey: true }), "undo");
  assert.equal(command("z"), "keep-zoom");
  assert.equal(command("q", { ctrlKey: true }), null);
});

test("a typed number and Enter go to a landmark; 0 alone fits the image", () => {
  const entry = new NumberEntry();
  assert.equal(entry.press("0"), null);
  assert.equal(entry.press("4"), "typing");
  assert.equal(entry.press("0"), "typing");
  assert.equal(entry.press("Enter"), 40);
  assert.equal(entry.press("Enter"), null);
  entry.press("7");
  assert.equal(entry.press("Escape"), null);
  assert.equal(entry.press("Enter"), null);
});
