/** A colour for each landmark: the hue runs from violet over blue and green to red, as in the pictures that brule draws. */

const LIGHTNESS_AT = [0, 0.15, 0.38, 0.57, 0.73, 0.86, 1];
const LIGHTNESS = [0.6, 0.6, 0.8, 0.83, 0.87, 0.75, 0.64];

/**
 * @param {number} n
 * @returns {string[]} CSS colours
 */
export function indexColours(n) {
  return Array.from({ length: n }, (_, i) => {
    const t = n > 1 ? i / (n - 1) : 0;
    return `oklch(${interpolated(t).toFixed(3)} 0.18 ${(305 - 285 * t).toFixed(1)})`;
  });
}

/** @param {number} t */
function interpolated(t) {
  const k = Math.max(1, LIGHTNESS_AT.findIndex((at) => at >= t));
  const share = (t - LIGHTNESS_AT[k - 1]) / (LIGHTNESS_AT[k] - LIGHTNESS_AT[k - 1]);
  return LIGHTNESS[k - 1] + share * (LIGHTNESS[k] - LIGHTNESS[k - 1]);
}
