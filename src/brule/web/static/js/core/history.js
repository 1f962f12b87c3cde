/** Undo and redo without a limit, for one image. The server keeps the same steps, so that they survive a reload. */

import { applyEdit, joinEdits, revertEdit } from "./edits.js";

/** @typedef {import("./points.js").Shape} Shape */
/** @typedef {import("./edits.js").Edit} Edit */

export class History {
  constructor() {
    /** @type {Edit[]} */
    this.edits = [];
    /** How many of the edits are in force. */
    this.at = 0;
  }

  /**
   * Record an edit that has been applied; what had been undone is dropped.
   * @param {Edit} edit
   * @param {boolean} [joined] make it one step with the last one, as for repeated presses of an arrow key
   */
  push(edit, joined = false) {
    this.edits.length = this.at;
    const last = this.edits[this.at - 1];
    if (joined && last) this.edits[this.at - 1] = joinEdits(last, edit);
    else this.edits.push(edit);
    this.at = this.edits.length;
  }

  /**
   * @param {Shape} shape changed in place
   * @returns {Edit | null} what was undone
   */
  undo(shape) {
    if (!this.canUndo()) return null;
    const edit = this.edits[--this.at];
    revertEdit(shape, edit);
    return edit;
  }

  /**
   * @param {Shape} shape changed in place
   * @returns {Edit | null} what was done again
   */
  redo(shape) {
    if (!this.canRedo()) return null;
    const edit = this.edits[this.at++];
    applyEdit(shape, edit);
    return edit;
  }

  canUndo() {
    return this.at > 0;
  }

  canRedo() {
    return this.at < this.edits.length;
  }
}
