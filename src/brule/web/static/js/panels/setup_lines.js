/** Contours, other lines, and left–right pairs. */

import { button, field, fill, h } from "../lib/dom.js";
import { formatPairs, formatRange, parsePairs, parseRange } from "../core/ranges.js";
import { edgesWith } from "../core/template.js";
import { Outlines } from "./setup_outlines.js";

/** @typedef {import("../net/types.js").Contour} Contour */
/** @typedef {import("../net/types.js").Template} Template */

const SOURCES = { found: "Found from the shapes; correct them if they are wrong.", person: "Set by you.", template: "Part of the template.", none: "None known yet." };

export class LinesCard {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.contours = h("div", { class: "contours" });
    this.pairs = h("textarea", { rows: 2, spellcheck: false, placeholder: "1-17, 2-16", onchange: () => void this.putPairs() });
    this.edges = h("textarea", { rows: 2, spellcheck: false, placeholder: "1-2, 2-3", onchange: () => void this.putEdges() });
    this.pairsFrom = h("span", { class: "note" });
    this.shown = "";
    this.outlines = new Outlines(app);
    this.element = h(
      "section",
      { class: "card" },
      h("h2", {}, "Contours and pairs"),
      h("p", { class: "note" }, "Optional. A contour is drawn in one stroke and becomes evenly spaced landmarks. Name its landmarks in order, such as 1-17."),
      this.outlines.element,
      this.contours,
      button("Add a contour", () => void this.addContour(), { class: "small" }),
      field("Left–right pairs", this.pairs),
      h("p", {}, button("Find them from the annotated shapes", () => void this.findPairs(), { class: "small" }), " ", this.pairsFrom),
      h("details", {}, h("summary", {}, "Lines between landmarks"), field("Lines (display only)", this.edges)),
    );
  }

  update() {
    const { template, outlines } = this.app.project.value;
    this.outlines.update();
    const key = JSON.stringify([template.version, template.pairs, template.contours, outlines.length]);
    if (key === this.shown) return;
    this.shown = key;
    this.element.hidden = template.names.length < 2 && !outlines.length;
    fill(this.contours, template.contours.map((contour, k) => this.row(contour, k)));
    this.pairs.value = template.pairs ? formatPairs(template.pairs) : "";
    this.edges.value = formatPairs(template.edges);
    this.pairsFrom.textContent = SOURCES[template.pairs_from ?? (template.pairs?.length ? "template" : "none")];
  }

  /**
   * @param {Contour} contour
   * @param {number} k
   */
  row(contour, k) {
    const name = h("input", { type: "text", value: contour.name, "aria-label": "Name of the contour", onchange: () => void this.change(k, { name: name.value.trim() || contour.name }) });
    const points = h("input", { type: "text", value: formatRange(contour.points), "aria-label": `Landmarks of ${contour.name}`, onchange: () => void this.changePoints(k, points.value) });
    const closed = h("input", { type: "checkbox", checked: contour.closed, onchange: () => void this.change(k, { closed: closed.checked }) });
    return h("div", { class: "contour" }, name, points, h("label", { class: "check" }, closed, "closed"),
      button("×", () => void this.put(this.template.contours.filter((_, j) => j !== k)), { class: "icon-button", "aria-label": `Remove ${contour.name}` }));
  }

  get template() {
    return this.app.project.value.template;
  }

  /**
   * @param {number} k
   * @param {Partial<Contour>} change
   */
  change(k, change) {
    return this.put(this.template.contours.map((contour, j) => (j === k ? { ...contour, ...change } : contour)));
  }

  /**
   * @param {number} k
   * @param {string} text
   */
  async changePoints(k, text) {
    const points = this.parsed(() => parseRange(text, this.template.names.length));
    if (points && points.length < 2) this.app.say("A contour needs two landmarks or more.");
    else if (points) await this.change(k, { points });
  }

  addContour() {
    const { contours, names } = this.template;
    const taken = new Set(contours.flatMap((contour) => contour.points));
    const free = names.map((_, i) => i).filter((i) => !taken.has(i));
    const points = free.length > 1 ? free : [0, 1];
    return this.put([...contours, { name: `contour ${contours.length + 1}`, points, closed: false }]);
  }

  /** @param {Contour[]} contours */
  put(contours) {
    return this.send({ contours, edges: edgesWith(this.template.edges, this.template.contours, contours) });
  }

  async putPairs() {
    const pairs = this.parsed(() => parsePairs(this.pairs.value, this.template.names.length));
    if (pairs) await this.send({ pairs });
  }

  async putEdges() {
    const edges = this.parsed(() => parsePairs(this.edges.value, this.template.names.length, false));
    if (edges) await this.send({ edges });
  }

  async findPairs() {
    const answer = await this.app.attempt(this.app.api.findPairs());
    if (!answer) return;
    if (!answer.pairs?.length) return this.app.say("No left–right pairs found. Annotate a few images first, or type them.");
    this.pairs.value = formatPairs(answer.pairs);
    await this.send({ pairs: answer.pairs });
  }

  /**
   * @template T
   * @param {() => T} parse
   * @returns {T | null}
   */
  parsed(parse) {
    try {
      return parse();
    } catch (error) {
      this.app.fail(error);
      return null;
    }
  }

  /** @param {Partial<Pick<Template, "contours" | "edges" | "pairs">>} change */
  async send(change) {
    const { version, kind, names, edges, contours, pairs } = this.template;
    await this.app.attempt(this.app.api.putTemplate({ version, kind, names, edges, contours, pairs, ...change, from: names.map((_, i) => i) }));
    this.shown = "";
    await this.app.refresh();
  }
}
