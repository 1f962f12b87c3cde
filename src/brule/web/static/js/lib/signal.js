/** A value that others can watch. */

/** @template T */
export class Signal {
  /** @param {T} value */
  constructor(value) {
    this.current = value;
    /** @type {Set<(value: T) => void>} */
    this.watchers = new Set();
  }

  get value() {
    return this.current;
  }

  set value(value) {
    this.current = value;
    this.notify();
  }

  notify() {
    for (const watcher of [...this.watchers]) watcher(this.current);
  }

  /**
   * Call a function now and at every change.
   * @param {(value: T) => void} watcher
   * @returns {() => void} ends it
   */
  watch(watcher) {
    watcher(this.current);
    return this.onChange(watcher);
  }

  /**
   * Call a function at every change.
   * @param {(value: T) => void} watcher
   * @returns {() => void} ends it
   */
  onChange(watcher) {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }
}
