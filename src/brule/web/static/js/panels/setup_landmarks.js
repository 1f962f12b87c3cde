/** The list of landmarks: from a template, or named one by one. Every change is saved at once. */

import { button, field, fill, h } from "../lib/dom.js";
import { indexColours } from "../core/colours.js";
import { rearranged, withCount } from "../core/template.js";
import { plural } from "../lib/format.js";
import { confirmed } from "./dialogs.js";
import { shapePicture } from "./shape_picture.js";

/** @typedef {{name: string, from: number | null}} Landmark */

const FILE = "file";

export class LandmarksCard {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.templates = h("select", { onchange: () => void this.useTemplate() }, h("option", { value: "" }, "Choose…"));
    this.kind = h("select", { onchange: () => void this.put(this.landmarks()) });
    this.file = h("input", { type: "file", accept: ".json", class: "visually-hidden", tabIndex: -1, "aria-label": "Template file", onchange: () => void this.readFile() });
    this.save = h("p", { class: "note" }, "Use the same landmarks in other projects: ", button("save them as a template", () => this.saveFile(), { class: "link" }), ".");
    this.list = h("ol", { class: "names" });
    this.picture = h("div");
    this.shown = "";
    this.count = h("input", { type: "number", min: 1, max: 2000, "aria-label": "How many landmarks" });
    const countForm = h("form", { class: "row", onsubmit: (/** @type {Event} */ event) => this.setCount(event) }, field("How many landmarks", this.count), h("button", { type: "submit" }, "Set"));
    const add = h("input", { type: "text", placeholder: "left wing tip, right wing tip" });
    const addForm = h("form", { class: "row", onsubmit: (/** @type {Event} */ event) => this.add(event, add) }, field("Add landmarks, separated by commas", add), h("button", { type: "submit" }, "Add"));
    this.element = h("section", { class: "card tall" }, h("h2", {}, "Landmarks"), field("Start from a template", this.templates), this.file, this.picture, this.list, addForm, countForm,
      this.save);
    void this.fetchTemplates();
  }

  async fetchTemplates() {
    const answer = await this.app.attempt(this.app.api.templates());
    this.known = answer?.templates ?? [];
    this.templates.append(...this.known.map(({ id, title }) => h("option", { value: id }, title)), h("option", { value: FILE }, "A template file (JSON)…"));
  }

  /** @type {import("../net/types.js").KnownTemplate[]} */
  known = [];

  update() {
    const { template } = this.app.project.value;
    const key = JSON.stringify([template.version, template.names]);
    fill(this.picture, shapePicture(template, -1));
    if (key === this.shown) return;
    this.shown = key;
    const colours = indexColours(template.names.length);
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.id : "";
    fill(this.list, template.names.map((name, i) => this.row(name, i, colours[i], template.names.length)));
    this.save.hidden = !template.names.length;
    this.count.value = String(template.names.length || "");
    document.getElementById(focused)?.focus();
  }

  /**
   * @param {string} name
   * @param {number} i
   * @param {string} colour
   * @param {number} n
   */
  row(name, i, colour, n) {
    const input = h("input", { type: "text", value: name, id: `name-${i}`, "aria-label": `Name of landmark ${i + 1}`, onchange: () => void this.rename(i, input.value) });
    return h(
      "li",
      {},
      h("span", { class: "chip", style: { backgroundColor: colour } }),
      h("span", { class: "landmark-number" }, i + 1),
      input,
      button("↑", () => void this.move(i, -1), { class: "icon-button", disabled: i === 0, "aria-label": `Move ${name} up` }),
      button("↓", () => void this.move(i, 1), { class: "icon-button", disabled: i === n - 1, "aria-label": `Move ${name} down` }),
      button("×", () => void this.remove(i), { class: "icon-button", "aria-label": `Remove ${name}` }),
    );
  }

  /** @returns {Landmark[]} */
  landmarks() {
    return this.app.project.value.template.names.map((name, from) => ({ name, from }));
  }

  /**
   * @param {number} i
   * @param {string} name
   */
  rename(i, name) {
    const landmarks = this.landmarks();
    landmarks[i].name = name.trim() || landmarks[i].name;
    return this.put(landmarks);
  }

  /**
   * @param {number} i
   * @param {number} step
   */
  move(i, step) {
    const landmarks = this.landmarks();
    [landmarks[i], landmarks[i + step]] = [landmarks[i + step], landmarks[i]];
    return this.put(landmarks);
  }

  /** @param {number} i */
  async remove(i) {
    const { counts } = this.app.project.value;
    const begun = counts.accepted + counts.draft;
    const name = this.landmarks()[i].name;
    const text = `It will be removed from ${plural(begun, "annotated image")} as well.`;
    if (begun && !(await confirmed(`Remove “${name}”?`, text, "Remove"))) return;
    await this.put(this.landmarks().filter((_, k) => k !== i));
  }

  /**
   * @param {Event} event
   * @param {HTMLInputElement} input
   */
  async add(event, input) {
    event.preventDefault();
    const names = input.value.split(/[,\n]/).map((name) => name.trim()).filter(Boolean);
    if (!names.length) return;
    input.value = "";
    await this.put([...this.landmarks(), ...names.map((name) => ({ name, from: null }))]);
    input.focus();
  }

  /** @param {Event} event */
  async setCount(event) {
    event.preventDefault();
    const n = Math.floor(Number(this.count.value));
    const before = this.landmarks();
    if (!(n >= 1) || n === before.length) return;
    const { counts } = this.app.project.value;
    const fewer = n < before.length && counts.accepted + counts.draft > 0;
    if (fewer && !(await confirmed(`Keep the first ${n} landmarks only?`, "The others will be removed from the annotated images as well.", "Remove the others"))) return;
    const names = withCount(before.map((landmark) => landmark.name), n);
    await this.put(names.map((name, i) => before[i] ?? { name, from: null }));
  }

  async useTemplate() {
    const { value } = this.templates;
    this.templates.value = "";
    if (value === FILE) return this.file.click();
    const chosen = this.known.find((template) => template.id === value);
    if (chosen) await this.use(chosen);
  }

  async readFile() {
    const file = this.file.files?.[0];
    this.file.value = "";
    if (!file) return;
    try {
      const content = JSON.parse(await file.text());
      const { kind = "object", names, edges = [], contours = [], pairs = null } = content.template ?? content;
      if (!Array.isArray(names)) throw new SyntaxError("no names");
      await this.use({ title: file.name, kind, names, edges, contours, pairs });
    } catch (error) {
      this.app.fail(error instanceof SyntaxError ? new Error(`${file.name} is no template: expected JSON with “names”, and optionally “edges”, “contours” and “pairs”.`) : error);
    }
  }

  saveFile() {
    const { kind, names, edges, contours, pairs } = this.app.project.value.template;
    const text = JSON.stringify({ kind, names, edges, contours, pairs }, null, 1);
    const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: `${kind}-template.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /** @param {{title: string} & Pick<import("../net/types.js").Template, "kind" | "names" | "edges" | "contours" | "pairs">} chosen */
  async use(chosen) {
    const { template, counts } = this.app.project.value;
    const begun = counts.accepted + counts.draft > 0;
    if (begun && !(await confirmed(`Use “${chosen.title}”?`, "Landmarks whose names aren't in the template will be removed from the annotated images.", "Use it"))) return;
    const { kind, names, edges, contours, pairs } = chosen;
    await this.send({ version: template.version, kind, names, edges, contours, pairs });
  }

  /** @param {Landmark[]} landmarks */
  async put(landmarks) {
    const { template } = this.app.project.value;
    await this.send({ version: template.version, kind: template.kind, ...rearranged(template, landmarks) });
  }

  /** @param {Parameters<import("../net/api.js").Api["putTemplate"]>[0]} template */
  async send(template) {
    const answer = await this.app.attempt(this.app.api.putTemplate(template));
    const gone = answer?.measures_gone ?? [];
    if (gone.length) this.app.say(`${gone.join(", ")}: no longer measured, since a landmark that this needs is gone.`);
    this.shown = ""; // what was typed and refused is shown as it is again
    await this.app.refresh();
    await this.app.fetchModel();
  }
}
