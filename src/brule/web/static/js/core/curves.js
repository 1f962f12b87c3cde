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

/** @typedef {{k: number, place: XY}} Anchor a point of a contour that is known: which one, and where */

/**
 * Places for the points of a contour along a drawn line. Anchors stay where they are; the others are evenly spaced between
 * them. A closed line may have been drawn from any place. The line runs as it was drawn, unless the order of the anchors shows
 * that this is backwards: three of a closed one, two of an open one, or one at its end.
 * @param {XY[]} line two corners or more
 * @param {number} n
 * @param {boolean} closed
 * @param {Anchor[]} anchors in rising order
 * @returns {XY[]} those of anchors are their own
 */
export function spacedBetween(line, n, closed, anchors) {
  if (!anchors.length) return evenlySpaced(line, n, closed);
  const ways = [line, [...line].reverse()].map((own) => wayBetween(own, n, closed, anchors));
  const { path, total, known } = ways[0].wrong <= ways[1].wrong ? ways[0] : ways[1];
  const ends = closed ? [[known[0][0] + n, total]] : [...(known[known.length - 1][0] < n - 1 ? [[n - 1, total]] : [])];
  const stops = [...(closed || known[0][0] === 0 ? [] : [[0, 0]]), ...known, ...ends];
  /** @type {XY[]} */
  const places = Array.from({ length: n }, () => [NaN, NaN]);
  stops.slice(0, -1).forEach(([k, way], j) => {
    const [next, end] = stops[j + 1];
    const between = Array.from({ length: next - k }, (_, i) => way + ((end - way) * i) / (next - k));
    pointsAlong(path, between).forEach((place, i) => (places[(k + i) % n] = place));
  });
  if (!closed) places[n - 1] = path[path.length - 1];
  for (const { k, place } of anchors) places[k] = place;
  return places;
}

/**
 * Where along a line anchors are, and how many are out of order.
 * @param {XY[]} line
 * @param {number} n
 * @param {boolean} closed
 * @param {Anchor[]} anchors
 * @returns {{path: XY[], total: number, known: [number, number][], wrong: number}} `known`: number and way of each, both rising
 */
function wayBetween(line, n, closed, anchors) {
  const path = closed ? startingAt([...line, line[0]], anchors[0].place) : line;
  const total = lengths(path)[path.length - 1];
  const ways = anchors.map(({ place }, j) => (closed && j === 0 ? 0 : wayTo(path, place)));
  let wrong = ways.filter((way, j) => j > 0 && way < ways[j - 1]).length;
  if (!closed && anchors[0].k === 0 && ways[0] > total / 2) wrong += 1;
  if (!closed && anchors[anchors.length - 1].k === n - 1 && ways[ways.length - 1] < total / 2) wrong += 1;
  const known = anchors.map(({ k }, j) => /** @type {[number, number]} */ ([k, Math.max(...ways.slice(0, j + 1))]));
  return { path, total, known, wrong };
}

/**
 * The way along a line to its place that is nearest to a point.
 * @param {XY[]} line
 * @param {XY} place
 */
function wayTo(line, [x, y]) {
  const along = lengths(line);
  let [best, distance] = [0, Infinity];
  for (let i = 1; i < line.length; i++) {
    const [[ax, ay], [bx, by]] = [line[i - 1], line[i]];
    const squared = (bx - ax) ** 2 + (by - ay) ** 2;
    const t = squared > 0 ? Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared)) : 0;
    const apart = Math.hypot(ax + t * (bx - ax) - x, ay + t * (by - ay) - y);
    if (apart < distance) [best, distance] = [along[i - 1] + t * Math.sqrt(squared), apart];
  }
  return best;
}

/**
 * A closed line (its first corner at the end again) that starts where it is nearest to a point.
 * @param {XY[]} ring
 * @param {XY} place
 * @returns {XY[]}
 */
function startingAt(ring, place) {
  const way = wayTo(ring, place);
  const along = lengths(ring);
  const [start] = pointsAlong(ring, [way]);
  const after = ring.filter((_, i) => along[i] > way);
  const before = ring.filter((_, i) => i > 0 && along[i] <= way);
  return [start, ...after, ...before, start];
}
