/** How long the scale bar is: pixels become millimetres. */

import { field, h } from "../lib/dom.js";
import { toWire } from "../core/wire.js";
import { dialog } from "./dialogs.js";

/**
 * @param {import("../state/app.js").App} app
 * @param {import("../state/editor.js").Editor} editor
 * @param {number} pixels
 */
export function askScale(app, editor, pixels) {
  const input = h("input", { type: "number", min: "0", step: "any", inputMode: "decimal", required: true });
  const problem = h("p", { class: "error", role: "alert" });
  const ready = () => {
    const fine = Number(input.value) > 0 && pixels > 0;
    problem.textContent = fine ? "" : pixels > 0 ? "Enter a length above 0." : "The line has no length: draw it again.";
    if (!fine) input.focus();
    return fine;
  };
  const save = () => {
    const length = Number(input.value);
    setScale(app, editor, length / pixels);
    if (all.checked) void setForAll(app, length / pixels);
  };
  const all = h("input", { type: "checkbox" });
  const form = h("form", { method: "dialog", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
    h("p", {}, `The line you drew is ${pixels.toFixed(1)} px long.`), field("Its length in millimetres", input),
    h("label", { class: "check" }, all, "Use it for all images that have no scale of their own"), problem);
  const buttons = [
    { text: "Set the scale", primary: true, ready, run: save },
    { text: "Cancel" },
  ];
  const window_ = dialog("Scale bar", [form], buttons);
  form.addEventListener("submit", () => /** @type {HTMLButtonElement} */ (window_.querySelector("button.primary")).click());
  input.focus();
}

/**
 * @param {import("../state/app.js").App} app
 * @param {import("../state/editor.js").Editor} editor
 * @param {number} scale millimetres of a pixel
 */
function setScale(app, editor, scale) {
  const { record, layer } = editor;
  const change = { image: record.id, layer, step: /** @type {""} */ (""), base: record.version, points: toWire(editor.shape), landmarks: editor.landmarks, scale, action: "set the scale" };
  editor.history.push({ label: "set the scale", changes: [], remote: true });
  editor.record = { ...record, scale };
  app.saver.add(change);
  app.say(`1 px is ${scale.toPrecision(3)} mm in this image.`);
}

/**
 * @param {import("../state/app.js").App} app
 * @param {number} scale millimetres of a pixel
 */
async function setForAll(app, scale) {
  if (await app.attempt(app.api.putSettings({ scale }))) app.say(`1 px is ${scale.toPrecision(3)} mm in all images without a scale of their own.`);
  await app.refresh();
}
