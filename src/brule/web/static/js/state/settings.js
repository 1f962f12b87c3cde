/** How a person likes the page: kept in the browser, never in the project. */

import { Signal } from "../lib/signal.js";

const KEY = "brule.settings";

export const DEFAULTS = {
  theme: /** @type {"auto" | "light" | "dark"} */ ("auto"),
  pointSize: 5,
  numbers: /** @type {"selected" | "all" | "none"} */ ("selected"),
  edges: true,
  keepZoom: false,
  offset: false, // hold points beside the pointer
  follow: true, // neighbours that aren't set follow a drag
  start: /** @type {"best" | "mean" | "none"} */ ("best"), // what a new image starts with
  brightness: 100,
  contrast: 100,
  grey: false,
  invert: false,
};

/** @typedef {typeof DEFAULTS} Values */

/** @extends {Signal<Values>} */
export class Settings extends Signal {
  /** @param {Pick<Storage, "getItem" | "setItem">} storage */
  constructor(storage) {
    super({ ...DEFAULTS, ...stored(storage) });
    this.storage = storage;
  }

  /** @param {Partial<Values>} change */
  change(change) {
    this.value = { ...this.value, ...change };
    try {
      this.storage.setItem(KEY, JSON.stringify(this.value));
    } catch {
      // A full or forbidden storage costs the settings, nothing else.
    }
  }

  /** The CSS filter that shows images as the settings have it. */
  get filter() {
    const { brightness, contrast, grey, invert } = this.value;
    if (brightness === 100 && contrast === 100 && !grey && !invert) return "none";
    return `brightness(${brightness}%) contrast(${contrast}%) grayscale(${grey ? 1 : 0}) invert(${invert ? 1 : 0})`;
  }
}

/**
 * @param {Pick<Storage, "getItem">} storage
 * @returns {Partial<Values>}
 */
function stored(storage) {
  try {
    const values = JSON.parse(storage.getItem(KEY) ?? "{}");
    const known = Object.entries(values).filter(([name, value]) => typeof value === typeof (/** @type {any} */ (DEFAULTS)[name]));
    return Object.fromEntries(known);
  } catch {
    return {};
  }
}
