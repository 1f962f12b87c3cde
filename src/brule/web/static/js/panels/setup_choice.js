/** Which images to annotate first, and where to begin. */

import { fill, h } from "../lib/dom.js";
import { viewUrl } from "../net/api.js";

const SHOWN = 10;

export class ChoiceCard {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.grid = h("div", { class: "choice" });
    this.text = h("p", { class: "note" });
    this.element = h("section", { class: "card" }, h("h2", {}, "Which images to annotate"), this.text, this.grid);
  }

  update() {
    const { choice, n_images: n } = this.app.project.value;
    this.element.hidden = !n;
    const ready = choice.ready && choice.ids.length > 0;
    this.text.textContent = ready ? "These images are as different from each other as possible. Annotate them first." : "brulè is choosing images that differ from each other…";
    fill(this.grid, ready && choice.ids.slice(0, SHOWN).map((id, k) =>
      h("a", { href: `#/annotate/${id}`, class: "thumb" }, h("img", { src: viewUrl(id, 256), alt: `Proposed image ${k + 1}`, loading: "lazy" }))));
  }
}
