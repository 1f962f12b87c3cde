/** The canvas with the image and its landmarks. It draws what it is given, once a frame at most. */

import { h } from "../lib/dom.js";
import { fitted, carried, revealing, zoomed } from "../core/viewport.js";
import { drawFrame, frameOf } from "./handles.js";
import { drawLandmarks } from "./overlay.js";
import { Picture } from "./picture.js";
import { drawLoupe } from "./loupe.js";

/** @typedef {import("../core/viewport.js").View} View */
/** @typedef {import("../core/viewport.js").Size} Size */
/** @typedef {import("../net/types.js").ImageRecord} ImageRecord */
/** @typedef {(context: CanvasRenderingContext2D, view: View) => void} Extra */

export class Stage {
  /** @param {{label: string}} options */
  constructor({ label }) {
    this.below = h("canvas", { class: "stage-image", "aria-hidden": "true" });
    this.above = h("canvas", { class: "stage-points", tabIndex: 0, role: "application", "aria-label": label });
    this.element = h("div", { class: "stage" }, this.below, this.above);
    this.picture = new Picture(() => this.dirty(true));
    /** @type {View} */
    this.view = { scale: 1, x: 0, y: 0 };
    /** @type {Size} */
    this.size = { width: 1, height: 1 };
    this.density = 1;
    this.record = /** @type {ImageRecord | null} */ (null);
    /** @type {import("./overlay.js").Scene | null} */
    this.scene = null;
    this.handles = false;
    this.hidden = false;
    /** @type {[number, number] | null} where the loupe is, on the screen */
    this.loupe = null;
    /** @type {Extra | null} what a tool draws over the landmarks */
    this.extra = null;
    this.filter = "none";
    this.fits = true;
    this.pictureDirty = true;
    this.frame = 0;
    new ResizeObserver(() => this.resize()).observe(this.element);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    this.size = { width, height };
    this.density = devicePixelRatio || 1;
    for (const canvas of [this.below, this.above]) {
      canvas.width = Math.round(width * this.density);
      canvas.height = Math.round(height * this.density);
    }
    if (this.record && this.fits) this.view = fitted(this.record, this.size);
    this.dirty(true);
  }

  /**
   * @param {ImageRecord} record
   * @param {boolean} keepZoom
   */
  show(record, keepZoom) {
    const before = this.record;
    this.record = record;
    const longer = Math.max(this.size.width, this.size.height) * this.density;
    this.picture.show(record, Math.max(512, longer));
    if (before && keepZoom && !this.fits) this.view = carried(this.view, before, record, this.size);
    else if (before?.id !== record.id || !this.fits) this.fit();
    this.dirty(true);
  }

  fit() {
    if (!this.record) return;
    this.view = fitted(this.record, this.size);
    this.fits = true;
    this.dirty(true);
  }

  /**
   * @param {number} factor
   * @param {[number, number]} [at]
   */
  zoom(factor, at = [this.size.width / 2, this.size.height / 2]) {
    if (!this.record) return;
    this.setView(zoomed(this.view, factor, at, fitted(this.record, this.size)));
  }

  /** @param {View} view */
  setView(view) {
    this.view = view;
    this.fits = false;
    this.dirty(true);
  }

  /**
   * Move the image, if need be, so that a place is on the screen.
   * @param {number} x
   * @param {number} y
   */
  reveal(x, y) {
    const view = revealing(this.view, x, y, this.size);
    if (view !== this.view) this.setView(view);
  }

  /** @param {string} filter */
  setFilter(filter) {
    this.filter = filter;
    this.below.style.filter = filter;
    this.dirty();
  }

  /** @param {boolean} [picture] whether the image has to be drawn again, too */
  dirty(picture = false) {
    this.pictureDirty ||= picture;
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    if (this.pictureDirty) {
      const context = this.cleared(this.below);
      this.picture.paint(context, this.view, this.size, this.density);
      this.pictureDirty = false;
    }
    const context = this.cleared(this.above);
    if (this.scene && !this.hidden) {
      const scene = { ...this.scene, view: this.view };
      drawLandmarks(context, scene);
      const frame = this.handles ? frameOf(scene.shape, this.view) : null;
      if (frame) drawFrame(context, frame);
    }
    this.extra?.(context, this.view);
    if (this.loupe) drawLoupe(context, this, this.loupe);
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @returns {CanvasRenderingContext2D} in CSS pixels
   */
  cleared(canvas) {
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    context.clearRect(0, 0, this.size.width, this.size.height);
    return context;
  }
}
