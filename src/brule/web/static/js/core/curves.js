/** Contours: from edges to chains of points, and from a drawn line to evenly spaced points on it. */

/** @typedef {[number, number]} XY */

/**
 * The chains that edges form, each a list of landmark indices in order. A closed one has its first index at the end again.
 * @param {[number, number][]} edges
 * @returns {number[][]}
 */
export function chains(edges) {
  /** @type {Map<number, number[]>} */
  const beside = new Map();
  for (const [a, b] of edges) {
    if (a === b) continue;
    beside.set(a, [...(beside.get(a) ?? []), b]);
    beside.set(b, [...(beside.get(b) ?? []), a]);
  }
  /** @type {Set<string>} */
  const used = new Set();
  const found = [];
  const corners = [...beside.keys()].sort((a, b) => a - b);
  const ends = corners.filter((i) => beside.get(i)?.length !== 2);
  for (const start of [...ends, ...corners]) {
    for (const next of [...(beside.get(start) ?? [])].sort((a, b) => a - b)) {
      if (!used.has(edgeKey(start, next))) found.push(followed(start, next, beside, used));
    }
  }
  return found;
}

/**
 * @param {number} start
 * @param {number} next
 * @param {Map<number, number[]>} beside
 * @param {Set<string>} used
 */
function followed(start, next, beside, used) {
  const chain = [start];
  let here = start;
  let there = /** @type {number | undefined} */ (next);
  while (there !== undefined && !used.has(edgeKey(here, there))) {
    used.add(edgeKey(here, there));
    chain.push(there);
    const neighbours = beside.get(there) ?? [];
    if (there === start || neighbours.length !== 2) break;
    [here, there] = [there, neighbours[0] === here ? neighbours[1] : neighbours[0]];
  }
  return chain;
}

/**
 * @param {number} a
 * @param {number} b
 */
function edgeKey(a, b) {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/**
 * @param {XY[]} line
 * @returns {number[]} the way along the line to each of its corners
 */
export function lengths(line) {
  const along = [0];
  for (let i = 1; i < line.length; i++) {
    along.push(along[i - 1] + Math.hypot(line[i][0] - line[i - 1][0], line[i][1] - line[i - 1][1]));
  }
  return along;
}

/**
 * Points at given ways along a line.
 * @param {XY[]} line
 * @param {number[]} ways rising
 * @returns {XY[]}
 */
function pointsAlong(line, ways) {
  const along = lengths(line);
  let k = 1;
  return ways.map((way) => {
    while (k < along.length - 1 && along[k] < way) k += 1;
    const step = along[k] - along[k - 1];
    const t = step > 0 ? Math.min(1, Math.max(0, (way - along[k - 1]) / step)) : 0;
    return [line[k - 1][0] + t * (line[k][0] - line[k - 1][0]), line[k - 1][1] + t * (line[k][1] - line[k - 1][1])];
  });
}

/**
 * N points at equal steps along a line, both ends included; of a closed line N points without the first one again.
 * @param {XY[]} line two corners or more
 * @param {number} n
 * @param {boolean} [closed]
 * @returns {XY[]}
 */
export function evenlySpaced(line, n, closed = false) {
  const path = closed ? [...line, line[0]] : line;
  const total = lengths(path)[path.length - 1];
  const steps = closed ? n : Math.max(1, n - 1);
  return pointsAlong(path, Array.from({ length: n }, (_, i) => (total * i) / steps));
}
