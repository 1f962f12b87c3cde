/** How well a person repeats an annotation, beside the detector's error. */

import { fill, h } from "../lib/dom.js";
import { decimal, plural } from "../lib/format.js";

export class RepeatCard {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.content = h("div");
    this.element = h(
      "section",
      { class: "card" },
      h("h2", {}, "Your own repeat error"),
      h("p", { class: "note" }, "Annotate a few images a second time, without seeing the first: open an accepted image and choose “Annotate it a second time”. A detector can't be expected to be closer than you are to yourself."),
      this.content,
    );
    void this.load();
  }

  async load() {
    try {
      const { images, landmarks, repeat_px: own, detector_px: detector } = await this.app.api.repeat();
      if (!images) return fill(this.content, h("p", {}, "No image is annotated twice yet."));
      fill(
        this.content,
        h("p", {}, `${plural(images, "image")} annotated twice: you differ from yourself by `, h("strong", {}, `${decimal(own)} px`), detector !== null && ` on average; the detector is ${decimal(detector)} px off.`),
        h("div", { class: "table-scroll", tabIndex: 0, role: "region", "aria-label": "Repeat error of each landmark" },
          h("table", {}, h("thead", {}, h("tr", {}, ["landmark", "you (px)", "detector (px)"].map((text) => h("th", { scope: "col" }, text)))),
            h("tbody", {}, landmarks.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, decimal(one.repeat_px)), h("td", {}, decimal(one.detector_px))))))),
      );
    } catch (error) {
      fill(this.content, h("p", { class: "note" }, /** @type {Error} */ (error).message));
    }
  }
}
