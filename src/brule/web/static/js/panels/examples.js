/** The selected landmark in images that are annotated already: what it looks like. */

import { fill, h } from "../lib/dom.js";
import { cropUrl } from "../net/api.js";

const SHOWN = 3;
const WAIT_MS = 200;

export class ExamplesPanel {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.row = h("div", { class: "examples" });
    this.element = h("section", { class: "panel", hidden: true }, h("h2", {}, "This landmark in other images"), this.row);
    this.shown = "";
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer = undefined;

  /**
   * @param {number} index
   * @param {string} besides the image that is being annotated
   */
  update(index, besides) {
    const key = `${index} ${besides}`;
    if (key === this.shown) return;
    this.shown = key;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.fetch(index, besides, key), WAIT_MS);
  }

  /**
   * @param {number} index
   * @param {string} besides
   * @param {string} key
   */
  async fetch(index, besides, key) {
    try {
      const { items } = await this.app.api.landmark(index, { offset: 0, limit: SHOWN + 1 });
      if (key !== this.shown) return;
      const others = items.filter((item) => item.id !== besides && item.point && "x" in item.point).slice(0, SHOWN);
      this.element.hidden = !others.length;
      fill(this.row, others.map((item) => this.example(item)));
    } catch {
      this.element.hidden = true;
    }
  }

  /** @param {import("../net/types.js").Occurrence} item */
  example({ id, name, point, side }) {
    const { x, y } = /** @type {{x: number, y: number}} */ (point);
    return h("span", { class: "crop", title: name }, h("img", { src: cropUrl(id, { x, y, side, size: 96 }), alt: `In ${name}`, loading: "lazy" }));
  }
}
