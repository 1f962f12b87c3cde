/** How long the scale bar is: pixels become millimetres. */

import { field, h } from "../lib/dom.js";
import { sentence } from "../lib/format.js";
import { toWire } from "../core/wire.js";
import { confirmed, dialog } from "./dialogs.js";

const PIXELS_ONLY = "images without a scale of their own are measured in pixels only.";

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
    if (all.checked) void setForAll(app, editor, length / pixels);
  };
  const all = h("input", { type: "checkbox" });
  const form = h("form", { method: "dialog", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
    h("p", {}, `The line you drew is ${pixels.toFixed(1)} px long.`), field("Its length in millimetres", input),
    h("label", { class: "check" }, all, "Use it for all images that have no scale of their own"), problem);
  const known = editor.record.scale ?? app.project.value.scale;
  const buttons = [
    { text: "Set the scale", primary: true, ready, run: save },
    ...(known ? [{ text: "No scale", run: () => void removeScale(app, editor) }] : []),
    { text: "Cancel" },
  ];
  const window_ = dialog("Scale bar", [form], buttons);
  form.addEventListener("submit", () => /** @type {HTMLButtonElement} */ (window_.querySelector("button.primary")).click());
  input.focus();
}

/**
 * @param {import("../state/app.js").App} app
 * @param {import("../state/editor.js").Editor} editor
 * @param {number | null} scale millimetres of a pixel; null for none
 */
function setScale(app, editor, scale) {
  const { record, layer } = editor;
  const action = scale ? "set the scale" : "remove the scale";
  const { version: base, id: image } = record;
  const points = toWire(editor.shape);
  const change = { image, layer, step: /** @type {""} */ (""), base, points, landmarks: editor.landmarks, scale, action };
  editor.history.push({ label: action, changes: [], remote: true });
  editor.record = { ...record, scale };
  app.saver.add(change);
  editor.touch();
  const all = app.project.value.scale;
  if (scale) app.say(`1 px is ${scale.toPrecision(3)} mm in this image.`);
  else if (all) app.say(`This image has no scale of its own now; that of all images counts: 1 px is ${all.toPrecision(3)} mm.`);
  else app.say("This image has no scale now: it is measured in pixels.");
}

/**
 * Take back the image's scale or, if it has none of its own, that of all images.
 * @param {import("../state/app.js").App} app
 * @param {import("../state/editor.js").Editor} editor
 */
export async function removeScale(app, editor) {
  if (editor.record.scale) return setScale(app, editor, null);
  const question = `This image has the scale of all images. If you remove that, ${PIXELS_ONLY}`;
  if (await confirmed("Remove the scale of all images?", question, "Remove it")) await setForAll(app, editor, null);
}

/**
 * @param {import("../state/app.js").App} app
 * @param {import("../state/editor.js").Editor} editor
 * @param {number | null} scale millimetres of a pixel; null for none
 */
async function setForAll(app, editor, scale) {
  const text = scale ? `1 px is ${scale.toPrecision(3)} mm in all images without a scale of their own.` : PIXELS_ONLY;
  if (await app.attempt(app.api.putSettings({ scale }))) app.say(sentence(text));
  await app.refresh();
  editor.touch();
}
