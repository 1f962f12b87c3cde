/** Live hints: what looks wrong in the landmarks of this image. */

import { button, fill, h } from "../lib/dom.js";
import { decidedCount } from "../core/points.js";
import { sameWire, toWire } from "../core/wire.js";

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
    this.list = h("ul", { class: "hints" });
    this.element = h("section", { class: "panel", hidden: true, "aria-live": "polite" }, h("h2", {}, "Please check"), this.list);
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
    if (editor !== this.editor) this.show([]);
    this.editor = editor;
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
    this.element.hidden = !hints.length;
    fill(this.list, hints.map((hint) =>
      h("li", { class: `hint hint-${hint.severity}` }, hint.landmarks.length
        ? button(hint.message, () => this.select(hint.landmarks[0]), { class: "link" })
        : hint.message)));
    this.changed(hints);
  }
}
