/** Which part of the image the canvas shows: from image pixels to screen pixels (CSS pixels) and back. */

/** @typedef {{scale: number, x: number, y: number}} View screen = scale · (image + ½) + (x, y) */
/** @typedef {{width: number, height: number}} Size */

const MAX_SCALE = 64;
const MARGIN = 0.94; // of the window, when an image is fitted into it

/**
 * The view that shows the whole image.
 * @param {Size} image
 * @param {Size} window
 * @returns {View}
 */
export function fitted(image, window) {
  const scale = Math.max(1e-6, MARGIN * Math.min(window.width / image.width, window.height / image.height));
  return { scale, x: (window.width - scale * image.width) / 2, y: (window.height - scale * image.height) / 2 };
}

/**
 * @param {View} view
 * @param {number} x
 * @param {number} y
 * @returns {[number, number]}
 */
export function toScreen(view, x, y) {
  return [view.scale * (x + 0.5) + view.x, view.scale * (y + 0.5) + view.y];
}

/**
 * @param {View} view
 * @param {number} sx
 * @param {number} sy
 * @returns {[number, number]}
 */
export function toImage(view, sx, sy) {
  return [(sx - view.x) / view.scale - 0.5, (sy - view.y) / view.scale - 0.5];
}

/**
 * Zoom, and keep the image under one point of the screen.
 * @param {View} view
 * @param {number} factor
 * @param {[number, number]} at on the screen
 * @param {View} whole the fitted view, which bounds how far one can zoom out
 * @returns {View}
 */
export function zoomed(view, factor, [sx, sy], whole) {
  const scale = Math.min(Math.max(view.scale * factor, whole.scale / 4), Math.max(MAX_SCALE, 4 * whole.scale));
  const ratio = scale / view.scale;
  return { scale, x: sx - ratio * (sx - view.x), y: sy - ratio * (sy - view.y) };
}

/**
 * The same magnification and place relative to the image's size, for another image.
 * @param {View} view
 * @param {Size} from
 * @param {Size} to
 * @param {Size} window
 * @returns {View}
 */
export function carried(view, from, to, window) {
  const scale = (view.scale * Math.max(from.width, from.height)) / Math.max(to.width, to.height);
  const [cx, cy] = [window.width / 2, window.height / 2];
  const share = [(cx - view.x) / (view.scale * from.width), (cy - view.y) / (view.scale * from.height)];
  return { scale, x: cx - share[0] * scale * to.width, y: cy - share[1] * scale * to.height };
}

/**
 * The view moved so that a point is on the screen, if it isn't.
 * @param {View} view
 * @param {number} x
 * @param {number} y
 * @param {Size} window
 * @returns {View}
 */
export function revealing(view, x, y, window) {
  const [sx, sy] = toScreen(view, x, y);
  const pad = 24;
  const inside = sx >= pad && sy >= pad && sx <= window.width - pad && sy <= window.height - pad;
  return inside ? view : { ...view, x: view.x + window.width / 2 - sx, y: view.y + window.height / 2 - sy };
}
