/** The project's distances and angles in this image, as its landmarks are now. */

import { fill, h } from "../lib/dom.js";
import { decimal } from "../lib/format.js";
import { angle, centroidSize, distance } from "../core/measures.js";

export class LiveMeasures {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.list = h("dl", { class: "measured" });
    this.element = h("section", { class: "panel", hidden: true }, h("h2", {}, "Measurements of this image"), this.list);
  }

  /** @param {import("../state/editor.js").Editor} editor */
  update({ shape, record }) {
    const { distances, angles } = this.app.project.value.measurements;
    this.element.hidden = !distances.length && !angles.length;
    if (this.element.hidden) return;
    const scale = record.scale ?? this.app.project.value.scale;
    /** @type {(px: number | null) => string} */
    const length = (px) => (scale && px !== null ? `${decimal(px * scale, 2)} mm` : `${decimal(px)} px`);
    const rows = [
      ...distances.map(({ name, landmarks: [a, b] }) => [name, length(distance(shape, a, b))]),
      ...angles.map(({ name, landmarks: [a, vertex, b] }) => [name, `${decimal(angle(shape, a, vertex, b))}°`]),
      ["centroid size", length(centroidSize(shape))],
    ];
    fill(this.list, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }
}
