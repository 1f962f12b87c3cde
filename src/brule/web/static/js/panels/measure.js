/** Distances and angles of all annotated images, and of predicted ones if asked for. */

import { button, fill, h } from "../lib/dom.js";
import { decimal, plural, sentence } from "../lib/format.js";

/** @typedef {import("../net/types.js").Measurements} Measurements */
/** @typedef {import("../net/types.js").MeasuredImage} MeasuredImage */
/** @typedef {"distances" | "angles"} Kind */

const PAGE = 50;
/** @type {Record<import("../net/types.js").MeasuredImage["source"], {text: string, title: string}>} */
const SOURCES = {
  annotated: { text: "you", title: "a finished annotation" },
  predicted: { text: "detector", title: "a prediction that nobody has looked at yet" },
  flagged: { text: "detector, probably wrong", title: "a prediction that the detector itself holds to be wrong" },
};

export class MeasureCard {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.offset = 0;
    this.predicted = false;
    this.choice = h("div");
    this.list = h("ul", { class: "measures" });
    this.table = h("div", { class: "table-scroll", tabIndex: 0, role: "region", "aria-label": "Measurements of all images" });
    this.pager = h("div", { class: "row" });
    const names = app.project.value.template.names;
    this.names = names;
    this.element = h(
      "section",
      { class: "card wide" },
      h("h2", {}, "Measurements"),
      h("p", { class: "note" }, "In pixels, and in millimetres for images whose scale bar you have measured (Scale bar, above the image). Centroid size is always included."),
      names.length < 2 ? h("p", {}, "Name the landmarks first, under ", h("a", { href: "#/setup" }, "Set up"), ".") : [this.form("distances"), this.form("angles"), this.list],
      this.choice, this.table, this.pager,
    );
    this.showList();
    void this.load();
  }

  get measurements() {
    return this.app.project.value.measurements;
  }

  /** @param {Kind} kind */
  form(kind) {
    const labels = kind === "distances" ? ["from", "to"] : ["from", "at", "to"];
    const choices = labels.map((label, k) =>
      h("select", { "aria-label": `${kind === "distances" ? "Distance" : "Angle"} ${label}` }, this.names.map((name, i) => h("option", { value: i, selected: i === k }, `${i + 1} ${name}`))));
    const name = h("input", { type: "text", placeholder: "name", "aria-label": "Name of the measurement", size: 12 });
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.add(kind, name.value.trim(), choices.map((choice) => Number(choice.value)));
      name.value = "";
    };
    return h("form", { class: "row measure-form", onsubmit: submit }, h("span", {}, kind === "distances" ? "Distance" : "Angle"),
      labels.map((label, k) => [h("span", { class: "note" }, label), choices[k]]).flat(), name, h("button", { type: "submit" }, "Add"));
  }

  /**
   * @param {Kind} kind
   * @param {string} name
   * @param {number[]} landmarks
   */
  async add(kind, name, landmarks) {
    if (new Set(landmarks).size < landmarks.length) return this.app.say("Choose landmarks that differ.");
    const own = { name: name || landmarks.map((i) => this.names[i]).join(" – "), landmarks };
    await this.put({ ...this.measurements, [kind]: [...this.measurements[kind], own] });
  }

  /** @param {Measurements} measurements */
  async put(measurements) {
    const kept = await this.app.attempt(this.app.api.putMeasurements(measurements));
    if (!kept) return;
    this.app.project.value = { ...this.app.project.value, measurements: kept };
    this.showList();
    await this.load();
  }

  showList() {
    const kinds = /** @type {Kind[]} */ (["distances", "angles"]);
    fill(this.list, kinds.flatMap((kind) => this.measurements[kind].map((own, k) =>
      h("li", {}, h("strong", {}, own.name), ` ${kind === "angles" ? "∠ " : ""}${own.landmarks.map((i) => i + 1).join(" – ")} `,
        button("×", () => void this.put({ ...this.measurements, [kind]: this.measurements[kind].filter((_, j) => j !== k) }), { class: "icon-button", "aria-label": `Remove ${own.name}` })))));
  }

  async load() {
    try {
      const { columns, rows, total, predicted } = await this.app.api.measure({ offset: this.offset, limit: PAGE, ...this.query });
      this.showChoice(predicted);
      this.showTable(columns, rows, total);
    } catch (error) {
      fill(this.table, h("p", { class: "note" }, sentence(/** @type {Error} */ (error).message)));
    }
  }

  get query() {
    return this.predicted ? { predicted: 1 } : {};
  }

  /** @param {number} count images that aren't finished and have a prediction */
  showChoice(count) {
    if (!count && !this.predicted) return fill(this.choice);
    const change = (/** @type {Event} */ event) => {
      this.predicted = /** @type {HTMLInputElement} */ (event.target).checked;
      this.offset = 0;
      void this.load();
    };
    fill(this.choice, h("label", { class: "check" }, h("input", { type: "checkbox", checked: this.predicted, onchange: change }),
      ` Also measure ${plural(count, "image")} as the detector predicts ${count === 1 ? "it" : "them"}, before you have looked at ${count === 1 ? "it" : "them"}`));
  }

  /**
   * @param {string[]} columns
   * @param {MeasuredImage[]} rows
   * @param {number} total
   */
  showTable(columns, rows, total) {
    if (!total) return fill(this.table, h("p", { class: "note" }, "No image is annotated yet."));
    const shown = columns.map((_, k) => k).filter((k) => rows.some((row) => row.values[k] !== null)); // no millimetres without a scale
    fill(this.table, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "image"), this.predicted && h("th", { scope: "col" }, "from"), shown.map((k) => h("th", { scope: "col" }, columnTitle(columns[k]))))),
      h("tbody", {}, rows.map((row) => h("tr", {},
        h("th", { scope: "row", class: "file-name", title: row.name },
          h("a", { href: `#/annotate/${row.id}` }, h("bdi", {}, row.name))),
        this.predicted && h("td", { title: SOURCES[row.source].title }, SOURCES[row.source].text),
        shown.map((k) => h("td", {}, decimal(row.values[k], 2))))))));
    const turn = (/** @type {number} */ by) => {
      this.offset = Math.max(0, this.offset + by);
      void this.load();
    };
    fill(this.pager, h("span", { class: "note" }, plural(total, "image")), total > PAGE && [button("Earlier", () => turn(-PAGE), { disabled: this.offset === 0 }),
      button("Later", () => turn(PAGE), { disabled: this.offset + PAGE >= total })], h("a", { href: `/api/measure.csv${this.predicted ? "?predicted=1" : ""}`, download: "", class: "button" }, "Download as CSV"));
  }
}

/** @param {string} name such as width_px */
function columnTitle(name) {
  const match = /^(.*)_(px|mm|deg)$/.exec(name);
  return match ? `${match[1].replaceAll("_", " ")} (${match[2] === "deg" ? "°" : match[2]})` : name;
}
