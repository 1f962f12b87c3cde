/** Live hints: what looks wrong in the landmarks of this image. */

import { button, fill, h } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { decidedCount, swapPoints } from "../core/points.js";
import { sameWire, toWire } from "../core/wire.js";
import { DismissedHints } from "../state/dismissed.js";

/** @typedef {import("../state/editor.js").Editor} Editor */
/** @typedef {import("../net/types.js").Hint} Hint */

const WAIT_MS = 350; // after the last change

export class HintsPanel {
  /**
   * @param {import("../state/app.js").App} app
   * @param {(hints: Hint[]) => void} changed
   * @param {(i: number) => void} select
   */
  constructor(app, changed, select) {
    this.app = app;
    this.changed = changed;
    this.select = select;
    this.dismissed = new DismissedHints(localStorage, app.project.value.folder);
    this.list = h("ul", { class: "hints" });
    this.more = h("p", { class: "note" });
    this.element = h("section", { class: "panel", hidden: true, "aria-live": "polite" },
      h("h2", {}, "Please check"), this.list, this.more);
    /** @type {import("../core/wire.js").WirePoint[]} */
    this.asked = [];
    /** @type {Editor | null} */
    this.editor = null;
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer = undefined;

  /** @param {Editor} editor */
  update(editor) {
    const points = toWire(editor.shape);
    if (editor === this.editor && sameWire(points, this.asked)) return;
    const other = editor !== this.editor;
    this.editor = editor;
    if (other) this.show([]);
    this.asked = points;
    clearTimeout(this.timer);
    if (decidedCount(editor.shape)) this.timer = setTimeout(() => void this.ask(editor, points), WAIT_MS);
    else this.show([]);
  }

  /**
   * @param {Editor} editor
   * @param {import("../core/wire.js").WirePoint[]} points
   */
  async ask(editor, points) {
    try {
      const { hints } = await this.app.api.hints(editor.id, points);
      if (editor === this.editor && points === this.asked) this.show(hints);
    } catch {
      this.show([]); // a hint that can't be had is no reason to disturb anybody
    }
  }

  /** @param {Hint[]} hints */
  show(hints) {
    const { editor } = this;
    const open = hints.filter((hint) => !editor || !this.dismissed.has(keyOf(editor), hint));
    const gone = hints.length - open.length;
    this.element.hidden = !hints.length;
    fill(this.list, open.map((hint) => this.row(hint, hints)));
    this.more.hidden = !gone;
    fill(this.more, `${plural(gone, "hint")} dismissed. `,
      editor && button("Show again", () => this.again(editor, hints), { class: "link" }));
    this.changed(open);
  }

  /**
   * @param {Hint} hint
   * @param {Hint[]} hints all of them
   */
  row(hint, hints) {
    const { editor } = this;
    const pairs = this.swaps(hint);
    const dismiss = () => {
      if (editor) this.dismissed.add(keyOf(editor), hint);
      this.show(hints);
    };
    const { message, landmarks, severity } = hint;
    return h("li", { class: `hint hint-${severity}` },
      h("span", { class: "hint-text" },
        landmarks.length ? button(message, () => this.select(landmarks[0]), { class: "link" }) : message),
      editor && pairs.length > 0
        && button("Swap", () => this.swap(editor, pairs), { class: "small", title: "Let left and right change places" }),
      button("×", dismiss,
        { class: "icon-button", title: "Dismiss: it is right as it is", "aria-label": `Dismiss: ${message}` }));
  }

  /**
   * The pairs to swap if a hint is right that left and right are exchanged.
   * @param {Hint} hint
   * @returns {[number, number][]}
   */
  swaps({ code, landmarks }) {
    if (code !== "exchanged") return [];
    const pairs = this.app.project.value.template.pairs ?? [];
    return landmarks.length > 2 ? pairs : pairs.filter((pair) => landmarks.every((i) => pair.includes(i)));
  }

  /**
   * @param {Editor} editor
   * @param {[number, number][]} pairs
   */
  swap(editor, pairs) {
    editor.begin();
    swapPoints(editor.shape, pairs);
    const { clamped } = editor;
    const other = new Map(pairs.flatMap(([a, b]) => [[a, b], [b, a]]));
    editor.clamped = new Set([...clamped].map((i) => other.get(i) ?? i));
    editor.commit("swap left and right");
  }

  /**
   * @param {Editor} editor
   * @param {Hint[]} hints
   */
  again(editor, hints) {
    this.dismissed.clear(keyOf(editor));
    this.show(hints);
  }
}

/** @param {Editor} editor */
function keyOf({ id, layer }) {
  return layer ? `${id} ${layer}` : id;
}
