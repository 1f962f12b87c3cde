/** Move landmarks, and see the image redrawn by the run's decoder; in the style of another image, too. */

import { button, field, h } from "../lib/dom.js";
import { placedIndices } from "../core/points.js";
import { Editor } from "../state/editor.js";
import { AnnotationStage } from "../view/annotation_stage.js";

const WAIT_MS = 120; // after the last move

export class RedrawPage {
  /**
   * @param {import("../state/app.js").App} app
   * @param {string} id
   */
  constructor(app, id) {
    this.app = app;
    /** @type {Editor | null} */
    this.editor = null;
    this.image = h("select", { onchange: () => (location.hash = `#/redraw/${this.image.value}`) });
    this.style = h("select", { onchange: () => this.soon() });
    this.output = h("img", { class: "redrawn", alt: "The image redrawn from its landmarks" });
    this.stage = new AnnotationStage(app, () => this.editor, { curve: () => null, drawn: () => undefined, measured: () => undefined, toolChanged: () => this.stage.update() });
    this.element = h(
      "div",
      { class: "page redraw" },
      h("h1", {}, "Redraw"),
      h("p", { class: "lead" }, "Drag landmarks: the detector's decoder redraws the image from them. The project isn't changed."),
      h("div", { class: "row" }, field("Image", this.image), field("In the style of", this.style), button("Move the whole shape", () => this.stage.use("shape"))),
      h("div", { class: "redraw-pair" }, this.stage.element, h("div", { class: "redraw-out" }, this.output)),
    );
    void this.open(id);
  }

  leave() {
    this.gone = true;
    this.stage.leave();
    clearTimeout(this.timer);
    URL.revokeObjectURL(this.output.src);
  }

  gone = false;

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer = undefined;

  /** @param {string} id */
  async open(id) {
    const { api, project } = this.app;
    const page = await this.app.attempt(api.images({ limit: 200, status: "accepted,draft,new" }));
    if (!page?.items.length) return;
    const options = () => page.items.map((item) => h("option", { value: item.id }, item.name));
    this.image.append(...options());
    this.style.append(h("option", { value: "" }, "the image itself"), ...options());
    this.image.value = id || page.items[0].id;
    const record = await this.app.attempt(api.image(this.image.value));
    if (!record || this.gone) return;
    // A scratch copy: its changes go nowhere.
    const nowhere = /** @type {import("../net/saver.js").Saver} */ (/** @type {unknown} */ ({ add: () => undefined, learn: () => undefined, latest: () => null, merges: () => false }));
    const points = record.points.every((point) => point && "x" in point) ? record.points : (record.prediction?.points ?? record.points);
    this.editor = new Editor({ ...record, points }, project.value.template.names, nowhere);
    this.stage.show(this.editor);
    this.editor.changed.onChange(() => {
      this.stage.update();
      this.soon();
    });
    this.editor.selected.onChange(() => this.stage.update());
    this.stage.update();
    this.soon();
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.redraw(), WAIT_MS);
  }

  async redraw() {
    const { editor } = this;
    if (!editor || this.busy) return void (this.again = true);
    const { shape, id } = editor;
    if (placedIndices(shape).length < editor.n) return this.app.say("Every landmark needs a place before the image can be redrawn.");
    this.busy = true;
    const points = Array.from(shape.x, (x, i) => /** @type {[number, number]} */ ([x, shape.y[i]]));
    const blob = await this.app.attempt(this.app.api.redraw({ id, points, ...(this.style.value ? { style_of: this.style.value } : {}) }));
    this.busy = false;
    if (blob && !this.gone) {
      URL.revokeObjectURL(this.output.src);
      this.output.src = URL.createObjectURL(blob);
    }
    if (this.again) this.soon();
    this.again = false;
  }

  busy = false;
  again = false;

  /**
   * @param {KeyboardEvent} event
   * @param {import("../core/keymap.js").Binding | null} binding
   */
  key(event, binding) {
    const undo = binding?.command === "undo";
    if (!this.editor || (!undo && binding?.command !== "redo")) return;
    event.preventDefault();
    if (undo) this.editor.undo();
    else this.editor.redo();
  }
}
