/** Editors of images seen before, with their undo steps. */

/** @typedef {import("./editor.js").Editor} Editor */

const MAX_EDITORS = 50;

/** @type {Map<string, Editor>} */
const kept = new Map();

/**
 * @param {string} image
 * @param {string} [layer]
 * @returns {Editor | undefined}
 */
export function keptEditor(image, layer) {
  return kept.get(keyOf(image, layer));
}

/** @param {Editor} editor */
export function keepEditor(editor) {
  forgetEditor(editor.id, editor.layer);
  kept.set(keyOf(editor.id, editor.layer), editor);
  const oldest = kept.keys().next().value;
  if (kept.size > MAX_EDITORS && oldest !== undefined) kept.delete(oldest);
}

/**
 * @param {string} image
 * @param {string} [layer]
 */
export function forgetEditor(image, layer) {
  kept.delete(keyOf(image, layer));
}

/** Forget them all. */
export function forgetEditors() {
  kept.clear();
}

/**
 * @param {string} image
 * @param {string} [layer]
 */
function keyOf(image, layer = "") {
  return `${image} ${layer}`;
}
