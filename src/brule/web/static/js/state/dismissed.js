/** Hints that a person has dismissed: kept in the browser, for each image of each project. */

/** @typedef {import("../net/types.js").Hint} Hint */

const MAX_IMAGES = 2000; // of a project; the oldest are forgotten

export class DismissedHints {
  /**
   * @param {Pick<Storage, "getItem" | "setItem">} storage
   * @param {string} project its folder
   */
  constructor(storage, project) {
    this.storage = storage;
    this.key = `brule.dismissed.${project}`;
    this.known = stored(storage, this.key);
  }

  /**
   * @param {string} image
   * @param {Hint} hint
   */
  has(image, hint) {
    return (this.known.get(image) ?? []).includes(nameOf(hint));
  }

  /**
   * @param {string} image
   * @param {Hint} hint
   */
  add(image, hint) {
    const own = this.known.get(image) ?? [];
    this.known.delete(image); // so that it becomes the newest
    this.known.set(image, [...own, nameOf(hint)]);
    const oldest = this.known.keys().next().value;
    if (this.known.size > MAX_IMAGES && oldest !== undefined) this.known.delete(oldest);
    this.keep();
  }

  /**
   * Show all hints of an image again.
   * @param {string} image
   */
  clear(image) {
    this.known.delete(image);
    this.keep();
  }

  keep() {
    try {
      this.storage.setItem(this.key, JSON.stringify([...this.known]));
    } catch {
      // A full or forbidden storage: they are dismissed until the page is left.
    }
  }
}

/**
 * What a hint is about. One on the shape as a whole is the same whichever landmarks are set by now.
 * @param {Hint} hint
 */
function nameOf({ code, landmarks }) {
  const whole = code === "outlier" || (code === "exchanged" && landmarks.length > 2);
  return whole ? code : `${code} ${landmarks.join(" ")}`;
}

/**
 * @param {Pick<Storage, "getItem">} storage
 * @param {string} key
 * @returns {Map<string, string[]>}
 */
function stored(storage, key) {
  try {
    const found = JSON.parse(storage.getItem(key) ?? "[]");
    return new Map(found.filter((/** @type {any} */ own) => typeof own[0] === "string" && Array.isArray(own[1])));
  } catch {
    return new Map();
  }
}
