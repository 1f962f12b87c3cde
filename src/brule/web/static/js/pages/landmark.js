/** One landmark through all annotated images, side by side: what is off stands out, a click corrects it. */

import { button, h, imageName, isTyping } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { bindingFor, moveOf } from "../core/keymap.js";
import { cropUrl } from "../net/api.js";
import { Editor } from "../state/editor.js";

/** @typedef {import("../net/types.js").Occurrence} Occurrence */
/** @typedef {{item: Occurrence, element: HTMLElement, dot: HTMLElement, editor: Editor | null}} Cell */

const PAGE = 60;
const SIDE = 168; // CSS pixels; as in the style sheet

export class LandmarkPage {
  /**
   * @param {import("../state/app.js").App} app
   * @param {number} index
   */
  constructor(app, index) {
    this.app = app;
    this.names = app.project.value.template.names;
    this.index = Math.max(0, Math.min(this.names.length - 1, index));
    /** @type {Cell[]} */
    this.cells = [];
    this.selected = -1;
    this.status = h("p", { class: "note" });
    this.grid = h("div", { class: "crops", tabIndex: 0, role: "listbox", "aria-label": `${this.names[this.index]} in all annotated images` });
    this.more = button("Show more", () => void this.load(), { hidden: true });
    const choice = h("select", { "aria-label": "Landmark", onchange: () => (location.hash = `#/landmark/${Number(choice.value) + 1}`) },
      this.names.map((name, i) => h("option", { value: i, selected: i === this.index }, `${i + 1} ${name}`)));
    this.element = h(
      "div",
      { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "One landmark through all images"), choice, button("Back", () => history.back())),
      this.status, this.grid, this.more,
    );
    this.endings = [
      app.saver.saved.onChange((record) => record && !record.layer && this.known(record.id)?.arrived(record)),
      app.saver.adopted.onChange((left) => left.forEach(({ image, layer, points, landmarks }) => !layer && points && this.known(image)?.adopt({ points, landmarks }))),
    ];
    void this.load();
  }

  leave() {
    for (const end of this.endings) end();
  }

  /** @param {string} image */
  known(image) {
    return this.cells.find((cell) => cell.item.id === image)?.editor;
  }

  async load() {
    if (!this.names.length) return void (this.status.textContent = "Name the landmarks first, under Set up.");
    const page = await this.app.attempt(this.app.api.landmark(this.index, { offset: this.cells.length, limit: PAGE }));
    if (!page) return;
    for (const item of page.items) this.add(item);
    this.more.hidden = this.cells.length >= page.total;
    this.status.textContent = page.total
      ? `${plural(page.total, "annotated image")}. Click where the landmark should be, or select a picture and use the arrow keys. Enter opens the image.`
      : "No image is annotated yet.";
    if (this.selected < 0) this.select(0);
  }

  /** @param {Occurrence} item */
  add(item) {
    const k = this.cells.length;
    const { point } = item;
    const dot = h("span", { class: "crop-dot" });
    const placed = point && "x" in point;
    const image = placed && h("img", { src: cropUrl(item.id, { x: point.x, y: point.y, side: item.side, size: 2 * SIDE }), alt: "", draggable: false, loading: "lazy" });
    const what = placed ? [image, dot] : h("span", { class: "note" }, point ? "absent" : "not set");
    const element = h("div", { class: "crop-cell", role: "option", "aria-selected": "false", id: `crop-${k}`, "aria-label": item.name },
      h("div", { class: "crop-view", onclick: (/** @type {MouseEvent} */ event) => void this.clicked(k, event) }, what),
      imageName("div", item.name, "crop-name"));
    this.cells.push({ item, element, dot, editor: null });
    this.grid.append(element);
  }

  /** @param {number} k */
  select(k) {
    if (!this.cells[k]) return;
    this.cells[this.selected]?.element.setAttribute("aria-selected", "false");
    this.selected = k;
    const { element } = this.cells[k];
    element.setAttribute("aria-selected", "true");
    element.scrollIntoView({ block: "nearest" });
    this.grid.setAttribute("aria-activedescendant", element.id);
  }

  /**
   * @param {Cell} cell
   * @returns {Promise<Editor | null>}
   */
  async editor(cell) {
    if (cell.editor) return cell.editor;
    const record = await this.app.image(cell.item.id);
    if (record) cell.editor = new Editor(record, this.names, this.app.saver);
    return cell.editor;
  }

  /**
   * @param {number} k
   * @param {MouseEvent} event
   */
  async clicked(k, event) {
    const first = k !== this.selected;
    this.select(k);
    this.grid.focus({ preventScroll: true });
    const cell = this.cells[k];
    const { point, side } = cell.item;
    if (first || !point || !("x" in point)) return; // the first click selects
    const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    await this.put(cell, point.x + ((event.clientX - box.left) / box.width - 0.5) * side, point.y + ((event.clientY - box.top) / box.height - 0.5) * side);
  }

  /**
   * @param {Cell} cell
   * @param {number} x
   * @param {number} y
   */
  async put(cell, x, y) {
    const editor = await this.editor(cell);
    const { point, side } = cell.item;
    if (!editor || !point || !("x" in point)) return;
    editor.select(this.index);
    editor.begin();
    editor.hold(this.index, false);
    editor.dragTo(x, y);
    editor.commit(`move ${this.names[this.index]}`, { merge: `move ${this.index}` });
    cell.dot.style.left = `${50 + (100 * (x - point.x)) / side}%`;
    cell.dot.style.top = `${50 + (100 * (y - point.y)) / side}%`;
  }

  /** @param {[number, number]} step */
  async nudge([dx, dy]) {
    const cell = this.cells[this.selected];
    const editor = cell && (await this.editor(cell));
    if (editor) await this.put(cell, editor.shape.x[this.index] + dx, editor.shape.y[this.index] + dy);
  }

  async undo() {
    const cell = this.cells[this.selected];
    const editor = cell && (await this.editor(cell));
    const { point, side } = cell?.item ?? {};
    if (!editor?.undo() || !point || !("x" in point) || !side) return this.app.say("There is nothing to undo here.");
    cell.dot.style.left = `${50 + (100 * (editor.shape.x[this.index] - point.x)) / side}%`;
    cell.dot.style.top = `${50 + (100 * (editor.shape.y[this.index] - point.y)) / side}%`;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (isTyping(event.target)) return;
    const command = bindingFor(event)?.command ?? "";
    const step = moveOf(command);
    const onGrid = event.target === this.grid || event.target === document.body;
    /** @type {{[command: string]: () => void}} */
    const commands = {
      "next-point": () => this.select(this.selected + 1),
      "previous-point": () => this.select(this.selected - 1),
      "accept": () => this.cells[this.selected] && (location.hash = `#/annotate/${this.cells[this.selected].item.id}`),
      "undo": () => void this.undo(),
      "through": () => history.back(),
      "leave": () => this.grid.blur(),
    };
    const run = step ? () => void this.nudge(step) : commands[command];
    if (!run || !onGrid) return;
    event.preventDefault();
    run();
  }
}
