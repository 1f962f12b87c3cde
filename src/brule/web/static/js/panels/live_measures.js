/** The project's distances and angles in this image, as its landmarks are now. */

import { fill, h } from "../lib/dom.js";
import { decimal } from "../lib/format.js";
import { angle, centroidSize, distance } from "../core/measures.js";
import { SUGGESTED } from "../core/points.js";

export class LiveMeasures {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.list = h("dl", { class: "measured" });
    this.note = h("p", { class: "note" }, "≈ from suggestions that nobody has confirmed yet");
    this.element = h("section", { class: "panel", hidden: true }, h("h2", {}, "Measurements of this image"), this.list, this.note);
  }

  /** @param {import("../state/editor.js").Editor} editor */
  update({ shape, record }) {
    const { distances, angles } = this.app.project.value.measurements;
    this.element.hidden = !distances.length && !angles.length;
    if (this.element.hidden) return;
    const scale = record.scale ?? this.app.project.value.scale;
    /** @type {(px: number | null) => string} */
    const length = (px) => (scale && px !== null ? `${decimal(px * scale, 2)} mm` : `${decimal(px)} px`);
    /** @type {(landmarks: Iterable<number>) => boolean} */
    const provisional = (landmarks) => [...landmarks].some((i) => shape.state[i] === SUGGESTED);
    const rows = [
      ...distances.map(({ name, landmarks: [a, b] }) => ({ name, value: length(distance(shape, a, b)), open: provisional([a, b]) })),
      ...angles.map(({ name, landmarks: [a, vertex, b] }) => ({ name, value: `${decimal(angle(shape, a, vertex, b))}°`, open: provisional([a, vertex, b]) })),
      { name: "centroid size", value: length(centroidSize(shape)), open: provisional(shape.state.keys()) },
    ];
    this.note.hidden = !rows.some(({ open }) => open);
    fill(this.list, rows.map(({ name, value, open }) => h("div", {}, h("dt", {}, name), h("dd", { class: open ? "provisional" : "" }, open && "≈ ", value))));
  }
}
