/**
 * Sends every change to the server, one after the other, until each is on the disk.
 *
 * A change waits in the queue, and in the browser's storage, until the server has answered that it is saved. If the server
 * is away or its disk is full, it is sent again and again. If somebody else has changed the same image, a person decides.
 */

import { sentence } from "../lib/format.js";
import { Signal } from "../lib/signal.js";
import { sameWire } from "../core/wire.js";

/** @typedef {import("./types.js").ImageRecord} ImageRecord */
/** @typedef {import("./types.js").WirePoint} WirePoint */
/** @typedef {import("./pending.js").Pending} Pending */
/**
 * @typedef {{image: string, layer?: string, step: "" | "/undo" | "/redo", base: number, points: WirePoint[] | null, status?: string,
 *   scale?: number | null, box?: [number, number, number, number] | null, action?: string, merge?: string, landmarks?: number, adopted?: boolean}} Change
 *   `points` of an undo are those that it leads to, null where only the server knows them; an `adopted` change was made in
 *   another window, on the version `base`; `landmarks` is the version of those that the points are of
 */
/** @typedef {{state: "saved" | "saving" | "waiting" | "conflict", message: string, waiting: number}} SaveState */
/** @typedef {{change: Change & {points: WirePoint[]}, current: ImageRecord, keepMine: () => void, takeTheirs: () => void}} Conflict */
/** @typedef {{change: (id: string, step: "" | "/undo" | "/redo", body: any, options: any) => Promise<ImageRecord>}} Sender */

const MERGE_MS = 400; // a change that the next one may still replace is held back this long
const RETRY_MS = [1000, 2000, 4000, 8000, 15000];

export class Saver {
  /**
   * @param {Sender} api
   * @param {Pending} pending
   */
  constructor(api, pending) {
    this.api = api;
    this.pending = pending;
    /** @type {Change[]} */
    this.queue = [];
    /** @type {Map<string, number>} versions that the server has answered */
    this.versions = new Map();
    this.state = new Signal(/** @type {SaveState} */ ({ state: "saved", message: "All changes saved", waiting: 0 }));
    this.saved = new Signal(/** @type {ImageRecord | null} */ (null));
    this.conflict = new Signal(/** @type {Conflict | null} */ (null));
    this.adopted = new Signal(/** @type {Change[]} */ ([]));
    this.refused = new Signal(/** @type {{change: Change, message: string, error: Error} | null} */ (null));
    this.busy = false;
    this.failures = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Send what closed tabs have left. */
  adopt() {
    const left = this.pending.adopt().map((change) => (change.step && !change.points?.length ? { ...change, points: null } : change));
    if (!left.length) return;
    const keys = left.map(keyOf);
    // The first one of an image is sent with its own base: this window may know a later version, with other people's work.
    this.queue.push(...left.map((change, k) => ({ ...change, adopted: keys.indexOf(keys[k]) === k })));
    this.kept();
    this.adopted.value = left;
    this.pump();
  }

  /**
   * Queue a change. With a `merge` key it replaces the last one in the queue that has the same key.
   * @param {Omit<Change, "base"> & {base?: number}} change
   */
  add(change) {
    const key = keyOf(change);
    const whole = { ...change, base: this.versions.get(key) ?? change.base ?? 0 };
    if (this.merges(change)) this.queue.splice(-1, 1, { ...whole, base: this.queue[this.queue.length - 1].base });
    else this.queue.push(whole);
    this.kept();
    this.pump(change.merge ? MERGE_MS : 0);
  }

  /**
   * Whether a change would replace the last one in the queue.
   * @param {{image: string, layer?: string, merge?: string}} change
   */
  merges(change) {
    const last = this.queue[this.queue.length - 1];
    const sent = this.busy && this.queue.length === 1;
    return Boolean(change.merge && last && !sent && last.merge === change.merge && keyOf(last) === keyOf(change));
  }

  /**
   * What an image's points will be when all is saved; null if nothing is waiting.
   * @param {string} image
   * @param {string} [layer]
   * @returns {Change | null}
   */
  latest(image, layer) {
    const own = this.queue.filter((change) => keyOf(change) === keyOf({ image, layer }));
    return own[own.length - 1] ?? null;
  }

  /**
   * A record that the server has sent: its version is the base of the next change.
   * @param {ImageRecord} record
   * @param {string} [layer]
   */
  learn(record, layer) {
    const key = keyOf({ image: record.id, layer });
    if (!this.queue.some((change) => keyOf(change) === key)) this.versions.set(key, record.version);
  }

  /** Everything that waits is saved. */
  async settled() {
    while (this.queue.length) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Try again at once, such as when the network is back. */
  retry() {
    if (this.queue.length && !this.busy && !this.conflict.value) this.pump();
  }

  /** @param {number} [delay] */
  pump(delay = 0) {
    clearTimeout(this.timer);
    if (this.busy || this.conflict.value || !this.queue.length) return;
    this.timer = setTimeout(() => void this.sendFirst(), delay);
  }

  async sendFirst() {
    const change = this.queue[0];
    if (!change || this.busy) return;
    this.busy = true;
    const key = keyOf(change);
    const { image, layer, step, base, points, landmarks, status, scale, box, action } = change;
    const version = change.adopted ? base : (this.versions.get(key) ?? base);
    const body = step ? { version } : dropped({ version, points, landmarks, status, scale, box, action });
    try {
      const record = await this.api.change(image, step, body, { layer });
      this.arrived(change, record);
    } catch (error) {
      this.failed(change, /** @type {import("./api.js").ApiError} */ (error));
    }
  }

  /**
   * @param {Change} change
   * @param {ImageRecord} record
   */
  arrived(change, record) {
    this.busy = false;
    this.failures = 0;
    const key = keyOf(change);
    this.versions.set(key, record.version);
    this.queue.shift();
    this.queue = this.queue.map((own) => (keyOf(own) === key && !own.adopted ? { ...own, base: record.version } : own));
    this.kept();
    this.saved.value = { ...record, layer: change.layer };
    this.pump();
  }

  /**
   * @param {Change} change
   * @param {import("./api.js").ApiError} error
   */
  failed(change, error) {
    this.busy = false;
    const current = /** @type {ImageRecord | undefined} */ (error.body?.current);
    if (error.status === 409 && current) {
      if (change.points && sameWire(current.points, change.points) && (!change.status || change.status === current.status)) {
        this.arrived(change, current); // its answer had been lost
      } else this.ask(change, current);
    } else if (error.status >= 400 && error.status < 500 && error.status !== 401) {
      this.queue = this.queue.filter((waiting) => keyOf(waiting) !== keyOf(change));
      this.versions.delete(keyOf(change));
      this.kept();
      this.refused.value = { change, message: error.message, error };
      this.pump();
    } else {
      const delay = RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)];
      this.say("waiting", `Not saved yet: ${sentence(error.message)} Your changes are kept in this browser.`);
      this.pump(delay);
    }
  }

  /**
   * @param {Change} change
   * @param {ImageRecord} current
   */
  ask(change, current) {
    const key = keyOf(change);
    const mine = this.queue.filter((own) => keyOf(own) === key && own.points).at(-1);
    const finish = () => {
      this.versions.set(key, current.version);
      this.conflict.value = null;
      this.kept();
      this.pump();
    };
    const keepMine = () => {
      const known = this.queue.filter((own) => keyOf(own) !== key || own.points);
      this.queue = known.map((own) => (keyOf(own) === key ? { ...own, step: /** @type {""} */ (""), base: current.version, adopted: false } : own));
      finish();
    };
    const takeTheirs = () => {
      this.queue = this.queue.filter((own) => keyOf(own) !== key);
      finish();
      this.saved.value = { ...current, layer: change.layer };
    };
    if (!mine?.points) return takeTheirs(); // steps of undo alone, which others' work has overtaken
    this.say("conflict", "Changed in another window: choose which one to keep");
    this.conflict.value = { change: { ...mine, points: mine.points }, current, keepMine, takeTheirs };
  }

  /** Keep the queue in the browser, and show where things are. */
  kept() {
    const safe = this.pending.keep(this.queue);
    if (this.conflict.value) return;
    if (!this.queue.length) this.say("saved", "All changes saved");
    else if (!safe) this.say("waiting", "Not saved yet, and this browser's storage is full: don't close this window.");
    else if (!this.failures) this.say("saving", "Saving…");
    else this.say("waiting", this.state.value.message);
  }

  /**
   * @param {SaveState["state"]} state
   * @param {string} message
   */
  say(state, message) {
    this.state.value = { state, message, waiting: this.queue.length };
  }
}

/** @param {{image: string, layer?: string}} change */
function keyOf({ image, layer }) {
  return layer ? `${image} ${layer}` : image;
}

/** @param {{[name: string]: any}} values */
function dropped(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
