/** Changing the list of landmarks: lines, contours and pairs follow their landmarks. */

import { chains } from "./curves.js";

/** @typedef {import("../net/types.js").Contour} Contour */
/** @typedef {{names: string[], edges: [number, number][], contours: Contour[], pairs: [number, number][] | null}} Layout */
/** @typedef {Layout & {from: (number | null)[]}} Change `from`: which landmark each one was, null for a new one */

/**
 * The same landmarks in another order, without some, or with new ones.
 * @param {Layout} layout
 * @param {{name: string, from: number | null}[]} landmarks
 * @returns {Change}
 */
export function rearranged(layout, landmarks) {
  const now = new Map(landmarks.flatMap(({ from }, i) => (from === null ? [] : [[from, i]])));
  /** @type {(pairs: [number, number][]) => [number, number][]} */
  const kept = (pairs) =>
    pairs.flatMap(([a, b]) => {
      const [p, q] = [now.get(a), now.get(b)];
      return p === undefined || q === undefined ? [] : [/** @type {[number, number]} */ ([p, q])];
    });
  return {
    names: landmarks.map((landmark) => landmark.name),
    from: landmarks.map((landmark) => landmark.from),
    edges: kept(layout.edges),
    contours: layout.contours
      .map((contour) => ({ ...contour, points: contour.points.flatMap((i) => now.get(i) ?? []) }))
      .filter((contour) => contour.points.length > 1),
    pairs: layout.pairs && kept(layout.pairs),
  };
}

/**
 * The lines that contours draw, besides those that belong to no contour.
 * @param {[number, number][]} edges
 * @param {Contour[]} before
 * @param {Contour[]} after
 * @returns {[number, number][]}
 */
export function edgesWith(edges, before, after) {
  const old = new Set(before.flatMap(lines).map(keyOf));
  const free = edges.filter((edge) => !old.has(keyOf(edge)));
  const all = [...free, ...after.flatMap(lines)];
  return [...new Map(all.map((edge) => [keyOf(edge), edge])).values()];
}

/**
 * @param {Contour} contour
 * @returns {[number, number][]}
 */
function lines({ points, closed }) {
  /** @type {[number, number][]} */
  const found = points.slice(1).map((i, k) => [points[k], i]);
  if (closed && points.length > 2) found.push([points[points.length - 1], points[0]]);
  return found;
}

/** @param {[number, number]} edge */
function keyOf([a, b]) {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/**
 * All lines of a template: its edges, and those along its contours.
 * @param {{edges: [number, number][], contours: Contour[]}} template
 */
export function allLines({ edges, contours }) {
  return edgesWith(edges, [], contours);
}

/**
 * The contour that a landmark is on: a named one, or else the chain of its lines.
 * @param {{names: string[], edges: [number, number][], contours: Contour[]}} template
 * @param {number} i
 * @returns {Contour | null}
 */
export function contourOf({ names, edges, contours }, i) {
  const named = contours.find((contour) => contour.points.includes(i));
  const chain = named ? null : chains(edges).find((points) => points.includes(i));
  if (!chain) return named ?? null;
  const closed = chain.length > 3 && chain[0] === chain[chain.length - 1];
  return { name: `the contour of ${names[i]}`, points: closed ? chain.slice(0, -1) : chain, closed };
}

const MIN_GROUPED = 12; // landmarks; a shorter list is read at a glance

/**
 * The landmarks in groups, by the contours that they are on: one group for each run of neighbours.
 * @param {{names: string[], contours: Contour[]}} template
 * @returns {{name: string, first: number, count: number}[]} none for few landmarks, or without contours
 */
export function groupsOf({ names, contours }) {
  if (names.length < MIN_GROUPED || !contours.length) return [];
  /** @type {{name: string, first: number, count: number}[]} */
  const groups = [];
  names.forEach((_, i) => {
    const name = contours.find((contour) => contour.points.includes(i))?.name ?? "other landmarks";
    const last = groups[groups.length - 1];
    if (last?.name === name) last.count += 1;
    else groups.push({ name, first: i, count: 1 });
  });
  return groups.length > 1 ? groups : [];
}

/**
 * Names for n landmarks, such as those of an object that has none yet.
 * @param {string[]} names
 * @param {number} n
 */
export function withCount(names, n) {
  const taken = new Set(names);
  const result = names.slice(0, n);
  for (let k = 1; result.length < n; k++) {
    const name = `landmark ${k}`;
    if (!taken.has(name)) result.push(name);
  }
  return result;
}
