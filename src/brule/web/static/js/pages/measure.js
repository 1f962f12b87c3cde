/** Measuring, repeat error, and export. */

import { h } from "../lib/dom.js";
import { ExportCard } from "../panels/export.js";
import { MeasureCard } from "../panels/measure.js";
import { RepeatCard } from "../panels/repeat.js";

export class MeasurePage {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    const cards = [new MeasureCard(app), new ExportCard(app), new RepeatCard(app)];
    this.element = h("div", { class: "page measure" }, h("h1", {}, "Measure and export"), h("div", { class: "cards" }, cards.map((card) => card.element)));
  }

  leave() {}
}
