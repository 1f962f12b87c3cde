/** The scale bar: click its two ends; its length in millimetres is asked for then. */

import { toImage, toScreen } from "../core/viewport.js";

/** @typedef {import("../view/pointer.js").At} At */

export class RulerTool {
  /**
   * @param {import("../view/stage.js").Stage} stage
   * @param {(pixels: number) => void} finished
   */
  constructor(stage, finished) {
    this.stage = stage;
    this.finished = finished;
    /** @type {[number, number][]} in image pixels */
    this.ends = [];
    /** @type {[number, number] | null} */
    this.pointer = null;
  }

  /** @param {At} at */
  down(at) {
    if (this.ends.length === 2) this.ends = [];
    this.ends.push(toImage(this.stage.view, at.x, at.y));
    this.stage.dirty();
    return true;
  }

  /** @param {At} at */
  move(at) {
    this.hover(at);
  }

  /** @param {At} at */
  up(at) {
    const [x, y] = toImage(this.stage.view, at.x, at.y);
    const [first] = this.ends;
    const dragged = this.ends.length === 1 && Math.hypot(x - first[0], y - first[1]) * this.stage.view.scale > 8;
    if (dragged) this.ends.push([x, y]);
    if (this.ends.length === 2) this.finished(Math.hypot(this.ends[1][0] - first[0], this.ends[1][1] - first[1]));
    this.stage.dirty();
  }

  tap() {}

  cancel() {
    this.ends = [];
    this.stage.dirty();
  }

  /** @param {At | null} at */
  hover(at) {
    this.pointer = at && toImage(this.stage.view, at.x, at.y);
    this.stage.dirty();
    return "crosshair";
  }

  /** @param {CanvasRenderingContext2D} context */
  draw(context) {
    const ends = this.ends.length === 1 && this.pointer ? [...this.ends, this.pointer] : this.ends;
    if (!ends.length) return;
    const places = ends.map(([x, y]) => toScreen(this.stage.view, x, y));
    for (const [width, colour] of /** @type {[number, string][]} */ ([[5, "rgb(0 0 0 / .6)"], [2, "#ffd166"]])) {
      context.beginPath();
      places.forEach((place, k) => context[k ? "lineTo" : "moveTo"](...place));
      for (const [x, y] of places) {
        context.moveTo(x, y - 7);
        context.lineTo(x, y + 7);
      }
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  }
}
