/**
 * Changes that haven't reached the disk, kept in the browser so that closing the tab loses none of them.
 *
 * Each tab writes its own entry and renews its time. An entry whose tab has gone is adopted by another one.
 */

/** @typedef {import("./saver.js").Change} Change */
/** @typedef {{time: number, changes: Change[]}} Entry */

const ABANDONED_MS = 10_000; // a living tab renews its entry more often

export class Pending {
  /**
   * @param {Storage} storage
   * @param {string} project
   * @param {string} [tab]
   */
  constructor(storage, project, tab = crypto.randomUUID()) {
    this.storage = storage;
    this.prefix = `brule.pending.${project}.`;
    this.key = this.prefix + tab;
    this.kept = /** @type {Change[]} */ ([]);
  }

  /**
   * Keep the changes that aren't saved yet.
   * @param {Change[]} changes
   * @returns {boolean} false if the browser's own storage is full or forbidden
   */
  keep(changes) {
    this.kept = changes;
    return this.write(Date.now());
  }

  /** Say that this tab still lives. */
  renew() {
    if (this.kept.length) this.write(Date.now());
  }

  /** Leave the changes to whichever tab comes next. */
  abandon() {
    if (this.kept.length) this.write(0);
  }

  /**
   * Take over what closed tabs have left.
   * @returns {Change[]}
   */
  adopt() {
    const adopted = [];
    for (const key of this.keys()) {
      const entry = this.read(key);
      if (key === this.key || !entry || Date.now() - entry.time < ABANDONED_MS) continue;
      this.storage.removeItem(key);
      adopted.push(...entry.changes);
    }
    return adopted;
  }

  /** @param {number} time */
  write(time) {
    try {
      if (this.kept.length) this.storage.setItem(this.key, JSON.stringify({ time, changes: this.kept }));
      else this.storage.removeItem(this.key);
      return true;
    } catch {
      return false;
    }
  }

  /** @returns {string[]} */
  keys() {
    const all = Array.from({ length: this.storage.length }, (_, i) => this.storage.key(i) ?? "");
    return all.filter((key) => key.startsWith(this.prefix));
  }

  /**
   * @param {string} key
   * @returns {Entry | null}
   */
  read(key) {
    try {
      const entry = JSON.parse(this.storage.getItem(key) ?? "null");
      return entry && Array.isArray(entry.changes) ? entry : null;
    } catch {
      return null;
    }
  }
}
