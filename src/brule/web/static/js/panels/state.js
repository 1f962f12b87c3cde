/** The image that is open: name, state, where its suggestion comes from. */

import { fill, h } from "../lib/dom.js";
import { STATUS_WORDS } from "./image_list.js";

const SOURCES = {
  mean: "The mean shape lies ready.",
  model: "The points that aren't set are a guess, learnt from the images you have annotated.",
  detector: "The points that aren't set are the detector's.",
};

export class StatePanel {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.element = h("section", { class: "panel image-state", "aria-label": "This image" });
    this.shown = "";
  }

  /** @param {import("../state/editor.js").Editor} editor */
  update({ record, source, layer, shape }) {
    const suggested = shape.state.includes(1);
    const scale = record.scale ? `1 px is ${record.scale.toPrecision(3)} mm` : "";
    const key = [record.id, record.status, record.name, suggested && source, scale, layer].join("|");
    if (key === this.shown) return;
    this.shown = key;
    const link = layer
      ? h("a", { href: `#/annotate/${record.id}` }, "Back to the first annotation")
      : record.status === "accepted" && h("a", { href: `#/repeat/${record.id}` }, "Annotate it a second time");
    fill(
      this.element,
      h("h2", { class: "image-title", title: record.name }, record.name),
      h("p", {}, h("span", { class: "dot", "data-status": record.status }), layer ? "second annotation" : STATUS_WORDS[record.status],
        ` · ${record.width} × ${record.height} px`, scale && ` · ${scale}`),
      suggested && source && h("p", { class: "source" }, SOURCES[source]),
      link && h("p", {}, link),
    );
  }
}
