/** Annotations in the formats of other programs, and the detector as an ONNX file. */

import { button, fill, h } from "../lib/dom.js";
import { leftOut, plural, shellWord } from "../lib/format.js";

const USUAL = "coco"; // holds names, lines and hidden landmarks, and most programs read it

export class ExportCard {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    const { formats } = app.project.value;
    this.format = h("select", { "aria-label": "Format", onchange: () => this.describe() }, formats.map(({ name, title }) => h("option", { value: name }, title)));
    this.loses = h("p", { class: "note" });
    this.result = h("div", { "aria-live": "polite" });
    this.detector = h("div", { "aria-live": "polite" });
    this.element = h(
      "section",
      { class: "card" },
      h("h2", {}, "Export"),
      h("p", { class: "note" }, "The project itself is plain files that every brulè command reads: ", h("code", {}, `--labelled ${shellWord(app.project.value.folder)}`)),
      h("div", { class: "row" }, this.format, button("Export the annotations", () => void this.export(), { class: "primary" })),
      this.loses, this.result,
      h("h3", {}, "The detector"),
      app.project.value.runs.length
        ? h("div", { class: "row" }, button("Export the detector (ONNX)", () => void this.exportDetector()))
        : h("p", { class: "note" }, "Train a detector first; then you can export it as an ONNX file, for other programs and devices."),
      this.detector,
    );
    if (formats.some((own) => own.name === USUAL)) this.format.value = USUAL;
    this.describe();
  }

  describe() {
    const format = this.app.project.value.formats.find((own) => own.name === this.format.value);
    this.loses.textContent = format?.loses.length ? `This format can't hold: ${format.loses.join(", ")}.` : "";
    fill(this.result);
  }

  async export() {
    const answer = await this.app.attempt(this.app.api.export(this.format.value));
    if (!answer) return;
    const { files, n_images: n, lost, download } = answer;
    fill(
      this.result,
      h("p", {}, `${plural(n, "image")} exported: ${files.length === 1 ? files[0] : plural(files.length, "file")}. `, h("a", { href: download, download: "", class: "button" }, "Download")),
      lost.length > 0 && h("p", { class: "note" }, `Lost in this format: ${lost.join(", ")}.`),
      answer.n_left_out > 0 && h("p", { class: "note" }, leftOut(answer)),
    );
  }

  async exportDetector() {
    fill(this.detector, h("p", { class: "note" }, "Writing and checking the file…"));
    const answer = await this.app.attempt(this.app.api.exportOnnx());
    fill(this.detector, answer && h("p", {}, h("a", { href: answer.download, download: "", class: "button" }, "Download the detector")));
  }
}
