/** The page on which a person sets landmarks. */

import { announce, fill, h, isTyping } from "../lib/dom.js";
import { contourOf } from "../core/template.js";
import { NumberEntry, moveOf } from "../core/keymap.js";
import { ABSENT, EMPTY, HIDDEN, STATE_NAMES, VISIBLE, hasPosition, isDecided, nextUndecided } from "../core/points.js";
import { turnAndScale } from "../core/geometry.js";
import { toWire } from "../core/wire.js";
import { viewUrl } from "../net/api.js";
import { Editor } from "../state/editor.js";
import { forgetEditor, keepEditor, keptEditor } from "../state/editors.js";
import { emptyState } from "../panels/empty.js";
import { ImageList, firstImage } from "../panels/image_list.js";
import { SidePanels } from "../panels/side.js";
import { Toolbar, openText } from "../panels/toolbar.js";
import { askScale } from "../panels/scale.js";
import { AnnotationStage } from "../view/annotation_stage.js";

/** @typedef {import("../state/app.js").App} App */
/** @typedef {import("../core/keymap.js").Binding} Binding */

const DEGREE = Math.PI / 180;
const ZOOM_STEP = 1.25;
const REVEALED = new Set(["next-point", "previous-point", "confirm-point", "absent"]); // commands after which the landmark is brought into view

export class AnnotatePage {
  /**
   * @param {App} app
   * @param {string} id the image; "" for the first one that needs work
   * @param {string} [layer]
   */
  constructor(app, id, layer) {
    this.app = app;
    this.layer = layer;
    /** @type {Editor | null} */
    this.editor = null;
    this.numbers = new NumberEntry();
    this.images = new ImageList(app, (other) => this.go(other));
    this.toolbar = new Toolbar((command) => void this.run(command), this.images.opener);
    this.stage = new AnnotationStage(app, () => this.editor, {
      curve: () => this.contour(),
      drawn: (contour, places) => this.editor?.setCurve(contour.points, places, contour.name),
      measured: (pixels) => this.editor && askScale(app, this.editor, pixels),
      toolChanged: () => this.refresh(),
    });
    this.leaving = new AbortController();
    const until = this.leaving.signal;
    this.side = new SidePanels(app, (i) => this.choose(i), this.stage, { run: (command) => void this.run(command), until });
    this.element = h(
      "div",
      { class: "annotate" },
      h("h1", { class: "visually-hidden" }, "Annotate"),
      this.images.element,
      h("section", { class: "work", "aria-label": "Image" }, this.toolbar.element, this.toolbar.next, this.stage.element),
      this.side.element,
    );
    app.saver.saved.onChange((record) => record && this.saved(record), until);
    app.saver.refused.onChange((refused) => refused && this.refused(refused), until);
    app.saver.adopted.onChange((left) => left.forEach(({ image, layer, points, landmarks }) => points && keptEditor(image, layer)?.adopt({ points, landmarks })), until);
    app.news.onChange((news) => news && this.heard(news), until);
    app.model.onChange(() => this.attachModel(), until);
    app.settings.onChange(() => this.refresh(), until);
    void this.open(id);
  }

  leave() {
    this.leaving.abort();
    this.watching.abort();
    this.stage.leave();
  }

  /** @param {string} id */
  go(id) {
    location.hash = `#/annotate/${id}`;
  }

  /**
   * Show an image.
   * @param {string} id
   */
  async open(id) {
    const { app } = this;
    const wanted = id || (await firstImage(app));
    if (!wanted) return this.showEmpty();
    this.wanted = wanted;
    const record = await app.image(wanted, this.layer);
    if (!record || this.wanted !== wanted || this.leaving.signal.aborted) return;
    const names = app.project.value.template.names;
    const known = keptEditor(record.id, this.layer);
    const usable = known && known.landmarks === record.landmarks && known.n === names.length && known.current(record);
    const editor = usable ? known : new Editor(record, names, app.saver, this.layer);
    keepEditor(editor);
    this.use(editor);
    await this.fillIn(editor);
    if (this.editor === editor) this.settledFor = editor.id;
    this.prefetch(record);
  }

  showEmpty() {
    if (!this.app.project.value.n_images) fill(this.element, emptyState("No images yet", "Add a folder of photographs, and name the landmarks that you want to find.", { href: "#/setup", text: "Set up" }));
  }

  /** @param {Editor} editor */
  use(editor) {
    this.watching.abort();
    this.watching = new AbortController();
    this.editor = editor;
    this.attachModel();
    this.stage.show(editor);
    this.images.show(editor.id);
    editor.changed.onChange(() => this.refresh(), this.watching.signal);
    editor.selected.onChange(() => this.selected(), this.watching.signal);
    this.refresh();
  }

  /** Ends the watching of the editor that is shown. */
  watching = new AbortController();

  /** @type {string | undefined} */
  wanted = undefined;

  /** The image whose suggestion, if there is one, has arrived. */
  settledFor = "";

  /** The page to return to once the image is decided; "" stays here. */
  back = "";

  attachModel() {
    const model = this.app.model.value;
    if (this.editor) this.editor.model = model && model.size === this.editor.n ? model : null;
  }

  /**
   * Lay what is known under what isn't set yet. A second annotation starts blank, so that it can't repeat a prediction.
   * @param {Editor} editor
   */
  async fillIn(editor) {
    const { start } = this.app.settings.value;
    if (this.layer) return;
    if ((start === "none" && this.back !== "review") || (editor.record.status === "rejected" && this.back !== "review") || nextUndecided(editor.shape, 0) < 0) return;
    const empty = editor.shape.state.includes(EMPTY);
    if (editor.source && !empty) return;
    await this.guess(editor, start === "mean");
  }

  /**
   * @param {Editor} editor
   * @param {boolean} mean
   */
  async guess(editor, mean) {
    const { prediction } = editor.record;
    const reviewed = this.back === "review"; // then the prediction itself is to be corrected, and not the best guess
    if (prediction && reviewed) return editor.suggest({ source: "detector", points: prediction.points, uncertainty: prediction.uncertainty });
    try {
      const guess = await this.app.api.guess(editor.id, toWire(editor.shape), mean ? "mean" : undefined);
      if (guess.ready) editor.suggest(guess);
    } catch {
      // Without a suggestion every landmark is clicked.
    }
  }

  /**
   * The next image is in the browser before a person asks for it.
   * @param {import("../net/types.js").ImageRecord} record
   */
  prefetch(record) {
    const next = this.images.beside(record.id, 1) ?? record.next;
    if (!next) return;
    void this.app.api.image(next).then(
      (other) => {
        const size = record.view.sizes.find((own) => own >= this.stage.wantedSize) ?? record.view.sizes.at(-1) ?? 1024;
        new Image().src = viewUrl(next, size, other.view.etag);
      },
      () => undefined,
    );
  }

  /** @returns {import("../net/types.js").Contour | null} the contour of the selected landmark */
  contour() {
    return this.editor && contourOf(this.app.project.value.template, this.editor.selected.value);
  }

  /** @param {number} i */
  choose(i) {
    this.editor?.select(i);
    this.reveal();
    this.stage.focus();
  }

  /** Bring the selected landmark into view. Not after the pointer has selected it: the image would jump away from under it. */
  reveal() {
    const { editor } = this;
    const i = editor?.selected.value ?? -1;
    if (editor && hasPosition(editor.shape, i)) this.stage.reveal(editor.shape.x[i], editor.shape.y[i]);
  }

  selected() {
    const { editor } = this;
    if (!editor) return;
    const i = editor.selected.value;
    announce(`${i + 1} ${editor.names[i]}, ${STATE_NAMES[editor.shape.state[i]]}`);
    this.refresh();
  }

  refresh() {
    const { editor } = this;
    if (!editor) return;
    this.stage.update();
    if (editor.before) return; // under way: the canvas alone follows, so that every frame is quick
    this.toolbar.update(editor, this.stage.tool, { zoom: this.stage.zoom, contour: this.contour()?.name ?? null, typed: this.numbers.digits });
    this.side.update(editor, this.back);
  }

  /** @param {import("../net/types.js").ImageRecord} record */
  saved(record) {
    const editor = keptEditor(record.id, record.layer);
    editor?.arrived(record);
    if (editor && editor === this.editor && editor.source) void this.fillIn(editor); // an undo may have emptied a landmark
    if (!record.layer) this.images.update(record, record.points.filter(Boolean).length);
  }

  /** @param {{change: {image: string}, error: Error}} refused */
  refused({ change, error }) {
    this.app.fail(error);
    forgetEditor(change.image, this.layer);
    if (this.editor?.id === change.image) void this.open(change.image);
  }

  /** @param {{topic: string, data: any}} news */
  heard({ topic, data }) {
    if (topic !== "image" || data.layer === "repeat") return; // the list is about first annotations
    this.images.update(data);
    const { editor } = this;
    const foreign = editor && data.id === editor.id && !this.layer && data.version > editor.record.version;
    if (foreign && !this.app.saver.latest(editor.id, this.layer)) void this.reload(editor);
  }

  /**
   * Another window has changed the image.
   * @param {Editor} editor
   */
  async reload(editor) {
    const record = await this.app.image(editor.id);
    if (record && record.version > editor.record.version && !this.app.saver.latest(editor.id) && !editor.before) {
      this.app.saver.learn(record);
      editor.arrived(record, true);
    }
  }

  /**
   * @param {KeyboardEvent} event
   * @param {Binding | null} binding
   */
  key(event, binding) {
    if (isTyping(event.target)) return;
    const typed = event.ctrlKey || event.metaKey || event.altKey ? null : this.numbers.press(event.key);
    if (typed !== null) {
      event.preventDefault();
      if (typeof typed === "number" && this.editor && typed >= 1 && typed <= this.editor.n) this.choose(typed - 1);
      return this.refresh();
    }
    const onControl = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement;
    if (!binding || (onControl && ["Enter", " ", "Tab"].includes(event.key))) return;
    if (event.key === "Tab" && event.target !== this.stage.canvas) return;
    if (event.target instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    if (!event.repeat || binding.repeat) void this.run(binding.command);
  }

  /** @param {string} command */
  async run(command) {
    const { editor, stage, app } = this;
    if (!editor) return;
    const { settings } = app;
    const i = editor.selected.value;
    const step = moveOf(command);
    if (step) return this.nudge(step);
    /** @type {{[command: string]: () => unknown}} */
    const commands = {
      "next-point": () => editor.selectNext(1),
      "previous-point": () => editor.selectNext(-1),
      "confirm-point": () => this.confirm(i),
      "hidden": () => editor.setState(i, HIDDEN) || app.say("Set the landmark first, then mark it as hidden."),
      "visible": () => editor.setState(i, editor.shape.state[i] === ABSENT ? EMPTY : VISIBLE) || app.say("Click on the landmark's place in the image."),
      "absent": () => editor.setState(i, ABSENT) && editor.shape.state[i] === ABSENT && editor.advance(i),
      "clear-point": () => editor.setState(i, EMPTY),
      "through": () => (location.hash = `#/landmark/${i + 1}`),
      "tool-shape": () => stage.use("shape"),
      "tool-curve": () => stage.use("curve"),
      "tool-ruler": () => stage.use("ruler"),
      "turn-left": () => editor.turn("turn the shape", (centre) => turnAndScale(centre, -DEGREE, 1)),
      "turn-right": () => editor.turn("turn the shape", (centre) => turnAndScale(centre, DEGREE, 1)),
      "shrink": () => editor.turn("scale the shape", (centre) => turnAndScale(centre, 0, 0.99)),
      "grow": () => editor.turn("scale the shape", (centre) => turnAndScale(centre, 0, 1.01)),
      "guess": () => (this.layer ? app.say("A second annotation has no suggestions: only what you place yourself counts.") : this.guess(editor, settings.value.start === "mean")),
      "accept": () => this.accept(),
      "reject": () => this.reject(),
      "next-image": () => this.step(1),
      "previous-image": () => this.step(-1),
      "zoom-in": () => stage.zoomBy(ZOOM_STEP),
      "zoom-out": () => stage.zoomBy(1 / ZOOM_STEP),
      "fit": () => stage.fit(),
      "keep-zoom": () => this.toggle("keepZoom", "Zoom is kept from image to image", "Each image is fitted into the window"),
      "grey": () => this.toggle("grey", "Shown in grey", "Shown in colour"),
      "invert": () => this.toggle("invert", "Shown inverted", "Shown as it is"),
      "undo": () => this.undone(editor.undo(), "Undone", "There is nothing to undo."),
      "redo": () => this.undone(editor.redo(), "Redone", "There is nothing to redo."),
      "images": () => this.images.toggle(),
      "leave": () => this.images.close() || stage.escape(),
      "pan": () => stage.hold("pan", true),
      "loupe": () => stage.hold("loupe", true),
      "hide": () => stage.hold("hide", true),
    };
    await commands[command]?.();
    if (REVEALED.has(command)) this.reveal();
    this.refresh();
  }

  /** @param {[number, number]} step */
  nudge([dx, dy]) {
    const { editor } = this;
    if (!editor?.n) return;
    if (this.stage.tool === "shape") return editor.turn("move the shape", () => ({ a: 1, b: 0, tx: dx, ty: dy }));
    editor.nudge(dx, dy, this.app.settings.value.follow);
    const i = editor.selected.value;
    this.reveal();
    announce(`${editor.names[i]} at ${editor.shape.x[i].toFixed(1)}, ${editor.shape.y[i].toFixed(1)}`);
  }

  /** @param {number} i */
  confirm(i) {
    const { editor } = this;
    if (!editor || !hasPosition(editor.shape, i)) return;
    if (!isDecided(editor.shape, i)) editor.setState(i, VISIBLE);
    editor.advance(i);
  }

  /**
   * @param {"keepZoom" | "grey" | "invert"} name
   * @param {string} on
   * @param {string} off
   */
  toggle(name, on, off) {
    const now = !this.app.settings.value[name];
    this.app.settings.change({ [name]: now });
    this.app.say(now ? on : off);
  }

  /**
   * @param {string | null} label
   * @param {string} done
   * @param {string} nothing
   */
  undone(label, done, nothing) {
    this.app.say(label ? `${done}: ${label}` : nothing);
  }

  accept() {
    const { editor, app } = this;
    if (!editor?.n) return;
    if (this.stage.finishTool()) return;
    const missing = editor.accept();
    if (missing.length) {
      this.choose(missing[0]);
      return app.say(openText(missing.length, hasPosition(editor.shape, missing[0])));
    }
    void this.onward();
  }

  reject() {
    this.editor?.reject();
    void this.onward();
  }

  onward() {
    if (this.back) location.hash = `#/${this.back}`;
    else void this.step(1);
  }

  /** @param {number} step */
  async step(step) {
    const { editor } = this;
    if (!editor) return;
    const other = this.images.beside(editor.id, step) ?? (step > 0 ? editor.record.next : editor.record.previous);
    if (other) this.go(other);
    else this.app.say(step > 0 ? "This is the last image." : "This is the first image.");
  }
}
