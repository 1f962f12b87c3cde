/** The stage of the annotation page: canvas, pointer and tools together. */

import { indexColours } from "../core/colours.js";
import { allLines } from "../core/template.js";
import { Stage } from "./stage.js";
import { PointerControl } from "./pointer.js";
import { SelectTool } from "../tools/select.js";
import { CurveTool } from "../tools/curve.js";
import { RulerTool } from "../tools/ruler.js";

/** @typedef {import("../state/editor.js").Editor} Editor */
/** @typedef {import("../net/types.js").Contour} Contour */
/** @typedef {"select" | "shape" | "curve" | "ruler"} ToolName */

const LABEL =
  "The image. Tab and Shift Tab go through the landmarks, arrow keys move the selected one, Enter accepts the image. Press Escape, then Tab, to leave.";

export class AnnotationStage {
  /**
   * @param {import("../state/app.js").App} app
   * @param {() => Editor | null} editor
   * @param {{curve: () => Contour | null, drawn: (contour: Contour, places: [number, number][]) => void,
   *   measured: (pixels: number) => void, toolChanged: () => void}} actions
   */
  constructor(app, editor, actions) {
    this.app = app;
    this.editor = editor;
    this.actions = actions;
    this.canvasStage = new Stage({ label: LABEL });
    this.tool = /** @type {ToolName} */ ("select");
    const select = new SelectTool(this.canvasStage, editor, app.settings);
    const curve = new CurveTool(this.canvasStage, editor, actions.curve, (contour, places) => {
      actions.drawn(contour, places);
      this.use("select");
    });
    const ruler = new RulerTool(this.canvasStage, (pixels) => {
      actions.measured(pixels);
      this.use("select");
    });
    this.tools = { select, shape: select, curve, ruler };
    this.pointer = new PointerControl(this.canvasStage, select);
    this.marked = /** @type {Set<number>} */ (new Set());
    this.element = this.canvasStage.element;
    this.leaving = new AbortController();
    addEventListener("blur", () => this.release(), { signal: this.leaving.signal });
  }

  /** The page is left. */
  leave() {
    this.leaving.abort();
  }

  get canvas() {
    return this.canvasStage.above;
  }

  /** The view's magnification: screen pixels of an image pixel. */
  get zoom() {
    return this.canvasStage.view.scale;
  }

  /** The longer side, in device pixels, that a preview should have. */
  get wantedSize() {
    const { width, height } = this.canvasStage.size;
    return Math.max(width, height) * this.canvasStage.density;
  }

  focus() {
    this.canvas.focus({ preventScroll: true });
  }

  /** @param {Editor} editor */
  show(editor) {
    this.escape();
    this.canvasStage.show(editor.record, this.app.settings.value.keepZoom);
    const first = document.activeElement;
    if (!first || first === document.body) this.focus();
  }

  /** Draw what the editor has now. */
  update() {
    const editor = this.editor();
    const { value, filter } = this.app.settings;
    const { template } = this.app.project.value;
    if (!editor) return;
    if (template !== this.template) {
      this.template = template;
      this.lines = allLines(template);
    }
    const select = this.tools.select;
    if (this.colours.length !== editor.n) this.colours = indexColours(editor.n);
    this.canvasStage.scene = {
      shape: editor.shape, view: this.canvasStage.view, selected: editor.selected.value, hovered: select.hovered, colours: this.colours,
      edges: value.edges ? this.lines : [], size: value.pointSize, numbers: value.numbers, names: editor.names, marked: this.marked,
      dragging: select.dragging,
    };
    this.canvasStage.handles = this.tool === "shape" || (this.tool === "select" && editor.untouched && !select.dragging);
    this.canvasStage.extra = (context) => this.tools[this.tool].draw(context);
    if (this.canvasStage.filter !== filter) this.canvasStage.setFilter(filter);
    this.canvasStage.dirty();
  }

  /** @type {string[]} */
  colours = [];

  /** @type {[number, number][]} */
  lines = [];

  /** @type {import("../net/types.js").Template | null} whose lines these are */
  template = null;

  /** @param {Set<number>} marked landmarks that a hint is about */
  mark(marked) {
    this.marked = marked;
    this.update();
  }

  /** @param {ToolName} name */
  use(name) {
    this.pointer.tool.cancel();
    this.tool = this.tool === name ? "select" : name;
    this.pointer.tool = this.tools[this.tool];
    this.actions.toolChanged();
  }

  /** Give up what is under way; without a tool in hand, let the keyboard leave the canvas. */
  escape() {
    const busy = this.tool !== "select" || this.tools.select.drag;
    this.pointer.tool.cancel();
    if (this.tool !== "select") this.use("select");
    else if (!busy && document.activeElement === this.canvas) this.canvas.blur();
  }

  /**
   * @returns {boolean} whether there was something for Enter to finish
   */
  finishTool() {
    if (this.tool !== "curve" || !this.tools.curve.line.length) return false;
    this.tools.curve.finish();
    return true;
  }

  /**
   * A key that is held: pan, loupe or hide.
   * @param {"pan" | "loupe" | "hide"} what
   * @param {boolean} on
   */
  hold(what, on) {
    const stage = this.canvasStage;
    const { last } = this.pointer;
    if (what === "pan") {
      this.pointer.panKey = on;
      this.pointer.cursor(on ? "grab" : "default");
    }
    if (what === "hide") stage.hidden = on;
    if (what === "loupe") stage.loupe = on && last ? [last.x, last.y] : null;
    stage.dirty();
  }

  release() {
    for (const what of /** @type {const} */ (["pan", "loupe", "hide"])) this.hold(what, false);
  }

  /** @param {number} factor */
  zoomBy(factor) {
    this.canvasStage.zoom(factor);
  }

  fit() {
    this.canvasStage.fit();
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  reveal(x, y) {
    this.canvasStage.reveal(x, y);
  }
}
