/** Draw a contour once; it becomes evenly spaced landmarks. Drag along it, or click corner after corner and press Enter. */

import { lengths, spacedBetween } from "../core/curves.js";
import { ABSENT, HIDDEN, VISIBLE, isDecided } from "../core/points.js";
import { toImage, toScreen } from "../core/viewport.js";

/** @typedef {import("../view/pointer.js").At} At */
/** @typedef {{name: string, points: number[], closed: boolean}} Contour */

const SET = new Set([VISIBLE, HIDDEN]);
const STEP = 3; // CSS pixels between kept places of a drag

export class CurveTool {
  /**
   * @param {import("../view/stage.js").Stage} stage
   * @param {() => import("../state/editor.js").Editor | null} editor
   * @param {() => Contour | null} contour the one to draw
   * @param {(contour: Contour, places: [number, number][]) => void} finished
   */
  constructor(stage, editor, contour, finished) {
    this.stage = stage;
    this.editor = editor;
    this.contour = contour;
    this.finished = finished;
    /** @type {[number, number][]} in image pixels */
    this.line = [];
    /** @type {[number, number] | null} */
    this.pointer = null;
    this.dragged = false;
  }

  /** @param {At} at */
  down(at) {
    this.dragged = false;
    this.line.push(toImage(this.stage.view, at.x, at.y));
    this.stage.dirty();
    return true;
  }

  /** @param {At} at */
  move(at) {
    const place = toImage(this.stage.view, at.x, at.y);
    const last = this.line[this.line.length - 1];
    if (Math.hypot(place[0] - last[0], place[1] - last[1]) * this.stage.view.scale < STEP) return;
    this.dragged = true;
    this.line.push(place);
    this.stage.dirty();
  }

  up() {
    if (this.dragged && this.line.length > 1) this.finish();
  }

  tap() {}

  /** The line is whole. */
  finish() {
    const contour = this.contour();
    const line = this.line;
    this.cancel();
    if (!contour || line.length < 2 || lengths(line)[line.length - 1] <= 0) return;
    const { points, places } = this.spaced(contour, line);
    this.finished({ ...contour, points }, places);
  }

  /**
   * Where the landmarks of a contour go. Those that a person has set by hand stay; if all are set, and it isn't known how, the
   * contour is drawn anew. Absent ones stay absent.
   * @param {Contour} contour
   * @param {[number, number][]} line
   * @returns {{points: number[], places: [number, number][]}} the landmarks that the line sets
   */
  spaced({ points, closed }, line) {
    const editor = this.editor();
    const all = [...points.keys()];
    if (!editor || points.every((i) => isDecided(editor.shape, i) && !editor.drawn.has(i))) {
      return { points, places: spacedBetween(line, points.length, closed, []) };
    }
    const { x, y, state } = editor.shape;
    const byHand = all.filter((k) => SET.has(state[points[k]]) && !editor.drawn.has(points[k]));
    const places = spacedBetween(line, points.length, closed, byHand.map((k) => ({ k, place: [x[points[k]], y[points[k]]] })));
    const open = all.filter((k) => !byHand.includes(k) && state[points[k]] !== ABSENT);
    return { points: open.map((k) => points[k]), places: open.map((k) => places[k]) };
  }

  cancel() {
    this.line = [];
    this.stage.dirty();
  }

  /** @param {At | null} at */
  hover(at) {
    this.pointer = at && toImage(this.stage.view, at.x, at.y);
    if (this.line.length) this.stage.dirty();
    return "crosshair";
  }

  /** @param {CanvasRenderingContext2D} context */
  draw(context) {
    const contour = this.contour();
    const line = this.pointer && !this.dragged ? [...this.line, this.pointer] : this.line;
    if (line.length < 2 || !contour) return;
    context.beginPath();
    line.forEach((place, k) => context[k ? "lineTo" : "moveTo"](...toScreen(this.stage.view, ...place)));
    context.lineWidth = 4;
    context.strokeStyle = "rgb(0 0 0 / .5)";
    context.stroke();
    context.lineWidth = 2;
    context.strokeStyle = "#ffd166";
    context.stroke();
    for (const place of this.spaced(contour, line).places) {
      context.beginPath();
      context.arc(...toScreen(this.stage.view, ...place), 3.5, 0, 2 * Math.PI);
      context.fillStyle = "#ffd166";
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = "rgb(0 0 0 / .8)";
      context.stroke();
    }
  }
}
