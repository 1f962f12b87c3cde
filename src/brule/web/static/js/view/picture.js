/** The image on the canvas: a preview at once, and sharp tiles of the part that is looked at. */

import { tileUrl, viewUrl } from "../net/api.js";

/** @typedef {import("../net/types.js").ImageRecord} ImageRecord */
/** @typedef {import("../core/viewport.js").View} View */
/** @typedef {import("../core/viewport.js").Size} Size */

const MAX_TILES = 240; // kept in memory, about 250 MB when decoded
const SHARP = 1.15; // how far a preview may be enlarged before tiles take its place
const PIXELS_SHOWN = 6; // screen pixels of an image pixel from which pixels are drawn as squares

export class Picture {
  /** @param {() => void} onLoad called when something more can be drawn */
  constructor(onLoad) {
    this.onLoad = onLoad;
    this.record = /** @type {ImageRecord | null} */ (null);
    /** @type {Map<string, HTMLImageElement>} */
    this.tiles = new Map();
    /** @type {HTMLImageElement[]} from coarse to fine */
    this.previews = [];
    this.failed = false;
  }

  /**
   * @param {ImageRecord} record
   * @param {number} size longer side that the preview should have, in device pixels
   */
  show(record, size) {
    if (this.record?.id === record.id && this.record.view.etag === record.view.etag) return;
    this.record = record;
    this.failed = false;
    this.tiles.clear();
    const { sizes, etag } = record.view;
    const wanted = sizes.find((own) => own >= size) ?? sizes[sizes.length - 1] ?? 1024;
    this.previews = [...new Set([sizes[0] ?? wanted, wanted])].map((own) => this.load(viewUrl(record.id, own, etag)));
  }

  /** @param {string} url */
  load(url) {
    const image = new Image();
    image.decoding = "async";
    image.onload = () => this.onLoad();
    image.onerror = () => {
      this.failed = true;
      this.onLoad();
    };
    image.src = url;
    return image;
  }

  /** The finest preview that has arrived. */
  get preview() {
    return [...this.previews].reverse().find((image) => image.complete && image.naturalWidth > 0) ?? null;
  }

  /**
   * @param {CanvasRenderingContext2D} context in CSS pixels
   * @param {View} view
   * @param {Size} window in CSS pixels
   * @param {number} density device pixels of a CSS pixel
   */
  paint(context, view, window, density) {
    const { record, preview } = this;
    if (!record || !preview) return;
    const { scale, x, y } = view;
    context.imageSmoothingEnabled = scale < PIXELS_SHOWN;
    context.imageSmoothingQuality = "high";
    context.drawImage(preview, x, y, scale * record.width, scale * record.height);
    const final = this.previews.every((image) => image.complete); // a finer one that is on its way may do without tiles
    if (final && (scale * density * record.width) / preview.naturalWidth > SHARP && preview.naturalWidth < record.width) {
      this.paintTiles(context, view, window, density, record);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {View} view
   * @param {Size} window
   * @param {number} density
   * @param {ImageRecord} record
   */
  paintTiles(context, view, window, density, record) {
    const { tile, levels } = record.view;
    const level = Math.min(levels - 1, Math.max(0, Math.floor(-Math.log2(view.scale * density))));
    const side = tile * 2 ** level; // image pixels that a tile covers
    const first = [-view.x / view.scale / side, -view.y / view.scale / side].map((v) => Math.max(0, Math.floor(v)));
    const right = Math.min(record.width, (window.width - view.x) / view.scale);
    const bottom = Math.min(record.height, (window.height - view.y) / view.scale);
    for (let row = first[1]; row * side < bottom; row++) {
      for (let column = first[0]; column * side < right; column++) {
        const image = this.tile({ level, column, row }, record);
        if (!image) continue;
        const [left, top] = [column * side, row * side];
        const [width, height] = [Math.min(side, record.width - left), Math.min(side, record.height - top)];
        context.drawImage(image, view.x + view.scale * left, view.y + view.scale * top, view.scale * width, view.scale * height);
      }
    }
  }

  /**
   * @param {{level: number, column: number, row: number}} place
   * @param {ImageRecord} record
   * @returns {HTMLImageElement | null} null until it has arrived
   */
  tile(place, record) {
    const url = tileUrl(record.id, place, record.view.etag);
    const known = this.tiles.get(url);
    if (known) {
      this.tiles.delete(url); // the most recently used one is the last
      this.tiles.set(url, known);
      return known.complete && known.naturalWidth > 0 ? known : null;
    }
    const image = new Image();
    image.decoding = "async";
    image.onload = () => this.onLoad();
    image.src = url;
    this.tiles.set(url, image);
    const oldest = this.tiles.keys().next().value;
    if (this.tiles.size > MAX_TILES && oldest !== undefined) this.tiles.delete(oldest);
    return null;
  }
}
