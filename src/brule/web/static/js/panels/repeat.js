/** How well a person repeats an annotation, beside the detector's error. */

import { fill, h } from "../lib/dom.js";
import { decimal, plural, sentence } from "../lib/format.js";

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

  /**
   * Why the detector's error isn't known; "" where it is.
   * @param {boolean} any whether it is known for some landmark
   * @param {boolean} some whether it isn't for another
   */
  whyUnknown(any, some) {
    if (any || !some) return some ? "it has no position to compare for this landmark in these images." : "";
    if (!this.app.project.value.runs.length) return "there is no detector yet. Train one to see its error here.";
    return "its error is measured on images that it has predicted and wasn’t trained on; none of these was annotated twice. "
      + "Annotate one a second time that you accepted after the training.";
  }

  async load() {
    try {
      const { images, landmarks, repeat_px: own, detector_px: detector } = await this.app.api.repeat();
      const why = this.whyUnknown(detector !== null, landmarks.some((one) => one.detector_px === null));
      if (!images) return fill(this.content, h("p", {}, "No image is annotated twice yet."));
      fill(
        this.content,
        h("p", {}, `${plural(images, "image")} annotated twice: you differ from yourself by `, h("strong", {}, `${decimal(own)} px`), detector !== null && ` on average; the detector is ${decimal(detector)} px off.`),
        why && h("p", { class: "note" }, "“–” under detector: ", why),
        h("div", { class: "table-scroll", tabIndex: 0, role: "region", "aria-label": "Repeat error of each landmark" },
          h("table", {}, h("thead", {}, h("tr", {}, ["landmark", "you (px)", "detector (px)"].map((text) => h("th", { scope: "col" }, text)))),
            h("tbody", {}, landmarks.map((one) => h("tr", {},
              h("th", { scope: "row" }, one.name), h("td", {}, decimal(one.repeat_px)),
              h("td", { title: one.detector_px === null && sentence(why) }, decimal(one.detector_px))))))),
      );
    } catch (error) {
      fill(this.content, h("p", { class: "note" }, sentence(/** @type {Error} */ (error).message)));
    }
  }
}
