/** Which preset to train with: those that the server knows, each with a sentence about it. */

import { field, fill, h } from "../lib/dom.js";

const USUAL = "cpu";

/** @typedef {{name: string, text: string}} Preset */

export class PresetChoice {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.about = h("small");
    this.select = h("select", { onchange: () => this.describe() });
    this.element = field("Preset", this.select);
    this.element.append(this.about);
    /** @type {Preset[]} */
    this.presets = [];
    this.show([{ name: USUAL, text: "" }]);
    void this.load();
  }

  /** The chosen one; "" for the usual one. */
  get value() {
    return this.select.value === USUAL ? "" : this.select.value;
  }

  async load() {
    try {
      this.show((await this.app.api.json("GET", "/api/train/presets")).presets);
    } catch {
      // The usual one is still there.
    }
  }

  /** @param {Preset[]} presets */
  show(presets) {
    const { value } = this.select;
    this.presets = presets;
    fill(this.select, presets.map(({ name }) => h("option", { value: name }, name === USUAL ? `${name} (usual)` : name)));
    this.select.value = presets.some(({ name }) => name === value) ? value : USUAL;
    this.describe();
  }

  describe() {
    this.about.textContent = this.presets.find(({ name }) => name === this.select.value)?.text ?? "";
  }
}
