/** Draw a contour once; it becomes evenly spaced landmarks. Drag along it, or click corner after corner and press Enter. */

import { evenlySpaced, lengths } from "../core/curves.js";
import { toImage, toScreen } from "../core/viewport.js";

/** @typedef {import("../view/pointer.js").At} At */
/** @typedef {{name: string, points: number[], closed: boolean}} Contour */

const STEP = 3; // CSS pixels between kept places of a drag

export class CurveTool {
  /**
   * @param {import("../view/stage.js").Stage} stage
   * @param {() => Contour | null} contour the one to draw
   * @param {(contour: Contour, places: [number, number][]) => void} finished
   */
  constructor(stage, contour, finished) {
    this.stage = stage;
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
    this.finished(contour, evenlySpaced(line, contour.points.length, contour.closed));
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
    for (const place of evenlySpaced(line, contour.points.length, contour.closed)) {
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
