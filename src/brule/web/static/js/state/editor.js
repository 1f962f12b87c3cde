/** Editing the landmarks of one image: the points, what is selected, undo, and what goes to the server. No DOM. */

import { Signal } from "../lib/signal.js";
import { difference } from "../core/edits.js";
import { History } from "../core/history.js";
import { mean, transform, within } from "../core/geometry.js";
import {
  ABSENT, EMPTY, HIDDEN, SUGGESTED, VISIBLE, copyShape, decidedCount, hasPosition, isDecided, nextUndecided, placedIndices, setPoint,
} from "../core/points.js";
import { fromWire, sameWire, suggest, toWire } from "../core/wire.js";

/** @typedef {import("../net/types.js").ImageRecord} ImageRecord */
/** @typedef {import("../net/saver.js").Saver} Saver */
/** @typedef {import("../core/shape_model.js").ShapeModel} ShapeModel */
/** @typedef {import("../core/points.js").Shape} Shape */
/** @typedef {import("../core/points.js").State} State */

export class Editor {
  /**
   * @param {ImageRecord} record
   * @param {string[]} names of the landmarks
   * @param {Saver} saver
   * @param {string} [layer] "repeat" for the second annotation of an image
   */
  constructor(record, names, saver, layer) {
    this.names = names;
    this.saver = saver;
    this.layer = layer;
    this.record = record;
    const waiting = saver.latest(record.id, layer);
    const { points, landmarks } = waiting?.points && waiting.landmarks === record.landmarks ? waiting : record;
    this.shape = fromWire(points ?? record.points, names.length);
    /** The version of the landmarks that the points are of. */
    this.landmarks = landmarks;
    this.history = new History();
    /** Steps that the server can undo below our own, and can redo before our own. */
    this.below = record.undo;
    this.above = record.redo;
    this.awaited = 0;
    /** @type {ShapeModel | null} */
    this.model = null;
    /** @type {Shape | null} the points before the change that is under way */
    this.before = null;
    /** @type {{i: number, free: number[], response: ReturnType<ShapeModel["response"]> | null} | null} */
    this.held = null;
    /** @type {number[] | null} of suggested points, in px */
    this.uncertainty = null;
    this.source = /** @type {"mean" | "model" | "detector" | null} */ (null);
    /** Suggested landmarks that were found outside the image, and are shown at its edge. */
    this.clamped = /** @type {Set<number>} */ (new Set());
    /** Landmarks that a drawn contour has placed, and nobody has moved since. */
    this.drawn = /** @type {Set<number>} */ (new Set());
    this.selected = new Signal(Math.max(0, nextUndecided(this.shape, 0)));
    this.changed = new Signal(0);
    saver.learn(record, layer);
  }

  /**
   * Whether this editor, which was left, still shows what the server has, or will have once all is saved.
   * @param {ImageRecord} record from the server
   */
  current(record) {
    const waiting = this.saver.latest(record.id, this.layer);
    if (!waiting) return this.record.version === record.version;
    return waiting.points ? sameWire(waiting.points, toWire(this.shape)) : this.awaited > 0;
  }

  get id() {
    return this.record.id;
  }

  get n() {
    return this.names.length;
  }

  touch() {
    this.changed.value += 1;
  }

  /** @param {number} i */
  select(i) {
    if (i >= 0 && i < this.n && i !== this.selected.value) this.selected.value = i;
  }

  /** @param {number} step */
  selectNext(step) {
    if (this.n) this.select((this.selected.value + step + this.n) % this.n);
  }

  /**
   * Positions that lie ready, below what a person has set. They are no step of undo.
   * @param {Pick<import("../net/types.js").Guess, "points" | "uncertainty" | "source">} guess
   */
  suggest({ points, uncertainty, source }) {
    if (!points || this.before) return;
    this.clamped = suggest(this.shape, points, this.record);
    this.uncertainty = uncertainty;
    this.source = source;
    this.touch();
  }

  /** The landmark that a click in the open sets: the selected one, or the next without a place; -1 if there is none. */
  get target() {
    const i = this.selected.value;
    if (!this.n || !isDecided(this.shape, i)) return this.n ? i : -1;
    for (let step = 1; step < this.n; step++) {
      const k = (i + step) % this.n;
      if (this.shape.state[k] === EMPTY) return k;
    }
    return -1;
  }

  // A change: begin, any number of moves, then commit or cancel.

  begin() {
    this.before = copyShape(this.shape);
  }

  cancel() {
    if (this.before) this.shape = this.before;
    this.before = null;
    this.held = null;
    this.touch();
  }

  /**
   * @param {string} label what the change is called in the list of undo steps
   * @param {{status?: "draft" | "accepted" | "rejected", merge?: string}} [options]
   */
  commit(label, { status, merge } = {}) {
    const edit = this.before && difference(this.before, this.shape, label);
    this.before = null;
    this.held = null;
    const news = status !== undefined && status !== this.record.status;
    if (edit) edit.remote ||= news;
    if (edit || news) {
      const change = { image: this.id, layer: this.layer, step: /** @type {""} */ (""), points: toWire(this.shape), landmarks: this.landmarks, status, action: label, merge };
      const remote = edit ? edit.remote : true;
      const joined = Boolean(edit && remote && this.history.canUndo() && !this.history.canRedo() && this.saver.merges(change));
      this.history.push(edit ?? { label, changes: [], remote: true }, joined);
      if (remote) this.above = 0;
      if (remote) this.saver.add({ ...change, base: this.record.version });
    }
    this.touch();
  }

  /**
   * Take hold of a landmark; its neighbours that aren't set will follow if the shape model is known.
   * @param {number} i
   * @param {boolean} [follow]
   */
  hold(i, follow = true) {
    const fixed = /** @type {number[]} */ ([]);
    const free = /** @type {number[]} */ ([]);
    for (const k of placedIndices(this.shape)) if (k !== i) (isDecided(this.shape, k) ? fixed : free).push(k);
    const follows = follow && this.model && this.model.size === this.n && free.length > 0 && hasPosition(this.shape, i);
    this.drawn.delete(i);
    this.held = { i, free, response: follows && this.model ? this.model.response(this.shape, fixed, i) : null };
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  dragTo(x, y) {
    const { held, before, shape } = this;
    if (!held || !before) return;
    const { i, free, response } = held;
    if (response) {
      const [dx, dy] = [x - before.x[i], y - before.y[i]];
      for (const k of free) {
        shape.x[k] = before.x[k] + dx * response.alongX.x[k] + dy * response.alongY.x[k];
        shape.y[k] = before.y[k] + dx * response.alongX.y[k] + dy * response.alongY.y[k];
      }
    }
    setPoint(shape, i, [x, y, before.state[i] === HIDDEN ? HIDDEN : VISIBLE]);
    this.touch();
  }

  /**
   * Move, turn and scale all points that have a position.
   * @param {import("../core/geometry.js").Similarity} similarity of the points as they were at the beginning
   */
  transformAll(similarity) {
    if (!this.before) return;
    for (const i of placedIndices(this.before)) {
      [this.shape.x[i], this.shape.y[i]] = transform(similarity, this.before.x[i], this.before.y[i]);
    }
    this.touch();
  }

  /**
   * Turn and scale the shape about its centre.
   * @param {string} label
   * @param {(centre: [number, number]) => import("../core/geometry.js").Similarity} similarity
   */
  turn(label, similarity) {
    const placed = placedIndices(this.shape);
    if (placed.length < 2) return;
    this.begin();
    this.transformAll(similarity(mean(this.shape, placed)));
    this.commit(label, { merge: label });
  }

  // Whole changes.

  /**
   * Put a landmark somewhere and go on to the next one.
   * @param {number} i
   * @param {number} x
   * @param {number} y
   * @param {boolean} [follow]
   */
  place(i, x, y, follow = true) {
    this.begin();
    this.hold(i, follow);
    this.dragTo(x, y);
    this.commit(`place ${this.names[i]}`);
    this.advance(i);
  }

  /** @param {number} i */
  advance(i) {
    const next = nextUndecided(this.shape, i + 1);
    if (next >= 0) this.select(next);
  }

  /**
   * @param {number} dx
   * @param {number} dy
   * @param {boolean} [follow]
   */
  nudge(dx, dy, follow = true) {
    const i = this.selected.value;
    const [x, y] = hasPosition(this.shape, i) ? [this.shape.x[i], this.shape.y[i]] : this.startingPlace();
    this.begin();
    this.hold(i, follow);
    this.dragTo(x + dx, y + dy);
    this.commit(`move ${this.names[i]}`, { merge: `move ${i}` });
  }

  /** Where a landmark begins that is placed by the keyboard: the centre of the others, or of the image. */
  startingPlace() {
    const placed = placedIndices(this.shape);
    return placed.length ? mean(this.shape, placed) : [(this.record.width - 1) / 2, (this.record.height - 1) / 2];
  }

  /**
   * Give a landmark a state; a state that it has already is taken back.
   * @param {number} i
   * @param {State} state
   * @returns {boolean} false if the landmark has no position, which hidden and visible ones need
   */
  setState(i, state) {
    const { shape } = this;
    if (state !== ABSENT && state !== EMPTY && !hasPosition(shape, i)) return false;
    const back = state === ABSENT ? EMPTY : VISIBLE;
    const next = shape.state[i] === state ? back : state;
    this.begin();
    setPoint(shape, i, [shape.x[i], shape.y[i], next]);
    this.commit(`${STATE_LABELS[next]} ${this.names[i]}`);
    return true;
  }

  /**
   * Set the points of a contour.
   * @param {number[]} indices
   * @param {[number, number][]} places
   * @param {string} name
   */
  setCurve(indices, places, name) {
    this.begin();
    indices.forEach((i, k) => setPoint(this.shape, i, [...places[k], VISIBLE]));
    for (const i of indices) this.drawn.add(i);
    this.commit(`draw ${name}`);
    this.advance(indices[indices.length - 1] ?? this.selected.value);
  }

  /**
   * Accept what is shown: suggested points become set ones.
   * @returns {number[]} landmarks without a position or, if there are none, those suggested outside the image; then nothing is accepted
   */
  accept() {
    const { x, y, state } = this.shape;
    const all = [...state.keys()];
    const missing = all.filter((i) => state[i] === EMPTY);
    const outside = all.filter((i) => state[i] === SUGGESTED && (this.clamped.has(i) || !within(this.record, x[i], y[i])));
    if (missing.length || outside.length) return missing.length ? missing : outside;
    this.begin();
    for (let i = 0; i < this.n; i++) if (this.shape.state[i] === SUGGESTED) this.shape.state[i] = VISIBLE;
    this.commit("accept", { status: "accepted" });
    return [];
  }

  reject() {
    this.begin();
    this.commit("reject", { status: "rejected" });
  }

  /** Whether nobody has set a point of the suggested shape yet, so that it is moved as a whole first. */
  get untouched() {
    return decidedCount(this.shape) === 0 && placedIndices(this.shape).length > 1;
  }

  /** @returns {string | null} what was undone; null if there is nothing */
  undo() {
    const edit = this.history.undo(this.shape);
    if (edit) {
      if (edit.remote) this.step("/undo", false);
      this.touch();
      return edit.label;
    }
    if (this.below < 1) return null;
    this.below -= 1;
    this.above += 1;
    this.step("/undo", true);
    return "the last change";
  }

  /** @returns {string | null} what was done again; null if there is nothing */
  redo() {
    const edit = this.above && !this.history.canUndo() ? null : this.history.redo(this.shape);
    if (edit) {
      if (edit.remote) this.step("/redo", false);
      this.touch();
      return edit.label;
    }
    if (this.above < 1) return null;
    this.above -= 1;
    this.below += 1;
    this.step("/redo", true);
    return "the change";
  }

  /**
   * @param {"/undo" | "/redo"} step
   * @param {boolean} awaited whether only the server knows where it leads
   */
  step(step, awaited) {
    if (awaited) this.awaited += 1;
    const { id: image, layer, landmarks } = this;
    this.saver.add({ image, layer, step, points: awaited ? null : toWire(this.shape), landmarks, base: this.record.version });
  }

  /**
   * The server has saved a change of this image, which may be another window's or page's, or somebody else has made one.
   * @param {ImageRecord} record
   * @param {boolean} [foreign]
   */
  arrived(record, foreign = false) {
    this.record = { ...record, prediction: record.prediction ?? this.record.prediction };
    const settled = !this.awaited && !this.saver.latest(this.id, this.layer);
    const other = foreign || (settled && !sameWire(record.points, toWire(this.before ?? this.shape)));
    if (other || this.awaited) {
      this.awaited = Math.max(0, this.awaited - 1);
      if (other) this.restart(record);
      this.lay(record);
    }
    this.touch();
  }

  /**
   * A change that another window has left will be saved from this one: go on from it.
   * @param {{points: import("../net/types.js").WirePoint[], landmarks?: number}} change
   */
  adopt(change) {
    this.restart(this.record);
    this.lay(change);
    this.touch();
  }

  /**
   * Points that take the place of ours; what is suggested stays. Those of other landmarks need another editor.
   * @param {{points: import("../net/types.js").WirePoint[], landmarks?: number}} source
   */
  lay({ points, landmarks }) {
    if (landmarks !== this.landmarks) return;
    const { x, y, state } = this.shape;
    this.shape = fromWire(points, this.n);
    suggest(this.shape, Array.from(state, (own, i) => (own === SUGGESTED ? { x: x[i], y: y[i] } : null)));
  }

  /** @param {ImageRecord} record whose steps are not ours */
  restart(record) {
    this.history = new History();
    this.before = null;
    this.held = null;
    this.awaited = 0;
    this.below = record.undo;
    this.above = record.redo;
  }
}

const STATE_LABELS = ["remove", "suggest", "show", "hide", "mark absent"];
