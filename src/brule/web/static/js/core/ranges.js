/** Landmark numbers as a person types them, 1-based: "1-17", "37, 38, 40-42" or "1 3 5". Indices are 0-based. */

/**
 * @param {string} text
 * @param {number} n how many landmarks there are
 * @returns {number[]} indices in the order typed
 * @throws {Error} with a sentence to show
 */
export function parseRange(text, n) {
  const indices = /** @type {number[]} */ ([]);
  for (const part of text.replace(/\s*[-–]\s*/g, "-").split(/[,;\s]+/).filter(Boolean)) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) throw new Error(`“${part}” isn't a number or a range such as 1-17.`);
    const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
    for (const number of [from, to]) {
      if (number < 1 || number > n) throw new Error(`There is no landmark ${number}; they are numbered from 1 to ${n}.`);
    }
    const step = from <= to ? 1 : -1;
    for (let number = from; number !== to + step; number += step) indices.push(number - 1);
  }
  const twice = indices.find((i, k) => indices.indexOf(i) !== k);
  if (twice !== undefined) throw new Error(`Landmark ${twice + 1} is in the list twice.`);
  return indices;
}

/**
 * @param {number[]} indices
 * @returns {string}
 */
export function formatRange(indices) {
  const parts = [];
  for (let k = 0; k < indices.length; ) {
    const step = indices[k + 1] - indices[k];
    let end = k;
    if (Math.abs(step) === 1) while (indices[end + 1] - indices[end] === step) end += 1;
    const long = end - k >= 2;
    parts.push(long ? `${indices[k] + 1}-${indices[end] + 1}` : String(indices[k] + 1));
    k = long ? end + 1 : k + 1;
  }
  return parts.join(", ");
}

/**
 * Pairs such as "1-17, 2-16".
 * @param {string} text
 * @param {number} n
 * @param {boolean} [apart] whether each landmark may be in one pair only
 * @returns {[number, number][]}
 * @throws {Error} with a sentence to show
 */
export function parsePairs(text, n, apart = true) {
  const seen = new Set();
  return text.split(",").map((own) => own.trim()).filter(Boolean).map((part) => {
    const match = /^(\d+)\s*[-–]\s*(\d+)$/.exec(part);
    if (!match) throw new Error(`“${part}” isn't a pair such as 1-17.`);
    const pair = /** @type {[number, number]} */ ([Number(match[1]) - 1, Number(match[2]) - 1]);
    for (const i of pair) {
      if (i < 0 || i >= n) throw new Error(`There is no landmark ${i + 1}; they are numbered from 1 to ${n}.`);
      if (apart && seen.has(i)) throw new Error(`Landmark ${i + 1} is in two pairs.`);
      seen.add(i);
    }
    if (pair[0] === pair[1]) throw new Error(`A pair needs two landmarks; “${part}” has one.`);
    return pair;
  });
}

/** @param {[number, number][]} pairs */
export function formatPairs(pairs) {
  return pairs.map(([a, b]) => `${a + 1}-${b + 1}`).join(", ");
}
