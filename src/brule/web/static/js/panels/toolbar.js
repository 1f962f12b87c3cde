/** The tools above the image, and what to do next in one line. */

import { button, fill, h } from "../lib/dom.js";
import { indexColours } from "../core/colours.js";
import { EMPTY, decidedCount, isDecided } from "../core/points.js";

/** @typedef {import("../state/editor.js").Editor} Editor */
/** @typedef {(command: string) => void} Run */

const TOOLS = [
  ["leave", "select", "Pointer", "Esc"],
  ["tool-shape", "shape", "Shape", "S"],
  ["tool-curve", "curve", "Contour", "C"],
  ["tool-ruler", "ruler", "Scale bar", ""],
];

export class Toolbar {
  /**
   * @param {Run} run
   * @param {HTMLElement} images the button that shows the list of images
   */
  constructor(run, images) {
    this.tools = TOOLS.map(([command, name, text, key]) => button(text, () => run(command), { class: "tool", "data-tool": name, title: key ? `${text} (${key})` : text }));
    this.undo = button("↶", () => run("undo"), { class: "symbol", title: "Undo (Ctrl + Z)", "aria-label": "Undo" });
    this.redo = button("↷", () => run("redo"), { class: "symbol", title: "Redo (Ctrl + Shift + Z)", "aria-label": "Redo" });
    this.accept = button("Accept", () => run("accept"), { class: "primary", title: "Accept the image and go to the next (Enter)" });
    this.zoom = button("100 %", () => run("fit"), { class: "zoom", title: "Fit the image into the window (0)" });
    this.prompt = h("p", { class: "prompt" });
    this.element = h(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": "Tools" },
      h("div", { class: "group step-images" }, images,
        button("‹", () => run("previous-image"),
          { class: "symbol", title: "Previous image (P)", "aria-label": "Previous image" }),
        button("›", () => run("next-image"), { class: "symbol", title: "Next image (N)", "aria-label": "Next image" })),
      h("div", { class: "group" }, this.tools),
      h("div", { class: "group" }, this.undo, this.redo),
      h("div", { class: "group" }, button("−", () => run("zoom-out"), { "aria-label": "Zoom out", title: "Zoom out (−)" }), this.zoom,
        button("+", () => run("zoom-in"), { "aria-label": "Zoom in", title: "Zoom in (+)" })),
    );
    this.next = h("div", { class: "next" }, this.prompt, button("Reject", () => run("reject"), { title: "This image can't be used (Backspace)" }), this.accept);
  }

  /**
   * @param {Editor} editor
   * @param {string} tool
   * @param {{zoom: number, contour: string | null, typed: string}} about
   */
  update(editor, tool, { zoom, contour, typed }) {
    for (const element of this.tools) element.setAttribute("aria-pressed", String(element.dataset.tool === tool));
    this.undo.disabled = !editor.history.canUndo() && editor.below < 1;
    this.redo.disabled = !editor.history.canRedo() && editor.above < 1;
    const missing = editor.n === 0 || editor.shape.state.includes(EMPTY);
    this.accept.disabled = missing;
    this.accept.textContent = editor.record.status === "accepted" ? "Next image" : "Accept";
    this.accept.title = missing ? "Set every landmark first; X marks one that isn't in the image" : "Accept the image and go to the next (Enter)";
    this.zoom.textContent = `${Math.round(100 * zoom)} %`;
    fill(this.prompt, prompt(editor, tool, contour, typed));
  }
}

/**
 * Why an image can't be accepted yet.
 * @param {number} count of the landmarks that are open
 * @param {boolean} outside whether they were suggested, outside the image
 */
export function openText(count, outside) {
  const one = count === 1;
  if (outside) return `${one ? "One landmark was" : `${count} landmarks were`} suggested outside the image. Drag ${one ? "it" : "each"} to its place, or press X if it isn't in the image.`;
  return `${one ? "One landmark isn't" : `${count} landmarks aren't`} set yet. Press X for one that isn't in the image.`;
}

/**
 * @param {Editor} editor
 * @param {string} tool
 * @param {string | null} contour
 * @param {string} typed
 * @returns {import("../lib/dom.js").Child[]}
 */
function prompt(editor, tool, contour, typed) {
  if (typed) return [`Go to landmark ${typed} – press Enter`];
  if (tool === "curve") {
    return [contour ? `Draw ${contour} from its first landmark to its last: drag along it, or click corners and press Enter.` : "This landmark isn't part of a contour. Define contours under Set up."];
  }
  if (tool === "ruler") return ["Click both ends of the scale bar in the image."];
  if (tool === "shape") return ["Drag the frame to move the whole shape, a corner to scale it, the knob above it to turn it."];
  const i = editor.target < 0 ? editor.selected.value : editor.target;
  const landmark = [h("span", { class: "chip", style: { backgroundColor: indexColours(editor.n)[i] ?? "" } }), h("strong", {}, `${i + 1} ${editor.names[i] ?? ""}`)];
  if (!editor.n) return ["Name the landmarks first, under Set up."];
  if (decidedCount(editor.shape) === editor.n) return [editor.record.status === "accepted" ? "Accepted. Press Enter for the next image, or drag a landmark to correct it." : "All landmarks are set. Press Enter to accept the image."];
  if (editor.shape.state[i] === EMPTY) return ["Click on ", ...landmark, ` (${decidedCount(editor.shape)} of ${editor.n} set)`];
  if (editor.untouched) return ["Drag what is off in the suggested shape; its neighbours follow. Press Enter when everything is right."];
  return [isDecided(editor.shape, i) ? "Set: " : "Drag, or click on the right place of ", ...landmark, ". Press Enter when everything is right."];
}
