/** The image that is open: name, state, where its suggestion comes from. */

import { button, fill, h, imageName } from "../lib/dom.js";
import { SUGGESTED } from "../core/points.js";
import { STATUS_WORDS } from "./image_list.js";
import { removeScale } from "./scale.js";

const SOURCES = {
  mean: "Suggestion: the mean shape of your annotations.",
  model: "Suggestion: a guess learnt from your annotations.",
  detector: "Suggestion: the detector’s prediction.",
};

export class StatePanel {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.element = h("section", { class: "panel image-state", "aria-label": "This image" });
    this.shown = "";
    /** @type {import("../state/editor.js").Editor | null} */
    this.editor = null;
  }

  /**
   * @param {import("../state/editor.js").Editor} editor
   * @param {string} [back] the page that the image was opened from
   */
  update(editor, back = "") {
    const { record, source, layer, shape } = editor;
    this.editor = editor;
    const suggested = shape.state.includes(SUGGESTED);
    const own = record.scale ?? this.app.project.value.scale;
    const scale = own ? `1 px is ${own.toPrecision(3)} mm` : "";
    const key = [record.id, record.status, record.name, suggested && source, scale, !record.scale, layer, back].join("|");
    if (key === this.shown) return;
    this.shown = key;
    const link = layer
      ? h("a", { href: `#/annotate/${record.id}` }, "Back to the first annotation")
      : record.status === "accepted" && h("a", { href: `#/repeat/${record.id}` }, "Annotate it a second time");
    fill(
      this.element,
      imageName("h2", record.name, "image-title"),
      h("p", {}, h("span", { class: "dot", "data-status": record.status }), layer ? "second annotation" : STATUS_WORDS[record.status],
        ` · ${record.width} × ${record.height} px`),
      scale && h("p", {}, scale, record.scale ? " " : " in all images ",
        button("No scale", () => this.noScale(), { class: "link", title: "Remove the scale" })),
      suggested && source && h("p", { class: "source" }, SOURCES[source]),
      link && h("p", {}, link),
      back === "review" && h("p", {}, h("a", { href: "#/review" }, "Back to the review")),
    );
  }

  noScale() {
    if (this.editor) void removeScale(this.app, this.editor);
  }
}
