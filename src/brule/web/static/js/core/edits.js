/** Edits: what changed, from what and to what, so that each can be undone. */

import { VISIBLE, pointAt, setPoint } from "./points.js";

/** @typedef {import("./points.js").Shape} Shape */
/** @typedef {import("./points.js").Point} Point */
/** @typedef {{label: string, changes: {i: number, before: Point, after: Point}[], remote: boolean}} Edit `remote`: the server has a step for it */

/**
 * What turned one shape into another; null if nothing did.
 * @param {Shape} before
 * @param {Shape} after
 * @param {string} label what a person would call it, such as "move point 3"
 * @returns {Edit | null}
 */
export function difference(before, after, label) {
  const changes = [];
  for (let i = 0; i < before.state.length; i++) {
    const same = Object.is(before.x[i], after.x[i]) && Object.is(before.y[i], after.y[i]) && before.state[i] === after.state[i];
    if (!same) changes.push({ i, before: pointAt(before, i), after: pointAt(after, i) });
  }
  const remote = changes.some(({ before: from, after: to }) => from[2] >= VISIBLE || to[2] >= VISIBLE);
  return changes.length ? { label, changes, remote } : null;
}

/**
 * @param {Shape} shape changed in place
 * @param {Edit} edit
 */
export function applyEdit(shape, edit) {
  for (const { i, after } of edit.changes) setPoint(shape, i, after);
}

/**
 * @param {Shape} shape changed in place
 * @param {Edit} edit
 */
export function revertEdit(shape, edit) {
  for (const { i, before } of edit.changes) setPoint(shape, i, before);
}

/**
 * Two edits in a row as one.
 * @param {Edit} first
 * @param {Edit} second
 * @returns {Edit}
 */
export function joinEdits(first, second) {
  const changes = new Map(first.changes.map((change) => [change.i, { ...change }]));
  for (const change of second.changes) {
    const earlier = changes.get(change.i);
    changes.set(change.i, earlier ? { ...earlier, after: change.after } : change);
  }
  return { label: second.label, changes: [...changes.values()], remote: first.remote || second.remote };
}
