/** Polygons and polylines of imported annotations, offered as contours of evenly spaced landmarks. */

import { button, fill, h } from "../lib/dom.js";
import { plural } from "../lib/format.js";

const USUAL = 20; // landmarks along a contour

export class Outlines {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.list = h("div");
    this.start = h("input", { type: "checkbox", checked: true });
    this.element = h(
      "div",
      { class: "outlines" },
      h("h3", {}, "Imported outlines"),
      h("p", { class: "note" }, "The annotations that you added hold these polygons or lines. Each label can become a contour: the same number of evenly spaced landmarks in every image."),
      this.list,
      h("label", { class: "check" }, this.start, "Match where they start and which way they run (untick to keep the first corner of each)"),
    );
    this.shown = "";
  }

  update() {
    const { outlines, template } = this.app.project.value;
    const key = JSON.stringify([outlines, template.version]);
    if (key === this.shown) return;
    this.shown = key;
    this.element.hidden = !outlines.length;
    fill(this.list, outlines.map((own) => this.row(own)));
  }

  /** @param {import("../net/types.js").OutlineLabel} own */
  row({ label, n_images: images, closed }) {
    const contour = this.app.project.value.template.contours.find((known) => known.name === label);
    const count = h("input", { type: "number", min: 2, max: 2000, value: contour?.points.length ?? USUAL, disabled: Boolean(contour), "aria-label": `Landmarks along ${label}` });
    const make = () => void this.make(label, contour ? undefined : Math.floor(Number(count.value)), images);
    return h("div", { class: "outline" }, h("strong", {}, label), h("span", { class: "note" }, `${closed ? "polygon" : "line"} in ${plural(images, "image")}`), count,
      button(contour ? "Place where it isn’t set yet" : "Make a contour", make, { class: "small" }));
  }

  /**
   * @param {string} label
   * @param {number | undefined} n
   * @param {number} images
   */
  async make(label, n, images) {
    if (n !== undefined && !(n >= 2)) return this.app.say("A contour needs two landmarks or more.");
    if (images > 200) this.app.say(`Placing landmarks in ${images} images…`);
    const answer = await this.app.attempt(this.app.api.placeOutlines({ label, ...(n ? { n } : {}), start: this.start.checked ? "aligned" : "drawn" }));
    if (!answer) return;
    const kept = answer.kept ? ` ${plural(answer.kept, "image")} had landmarks there already and stay as they are.` : "";
    this.app.say(`Placed in ${plural(answer.placed, "image")}.${kept} Check them with One landmark in all images (L).`);
    this.shown = "";
    await this.app.refresh();
    await this.app.fetchModel();
  }
}
