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
   * @param {AbortSignal} [until] ends it, too
   * @returns {() => void} ends it
   */
  watch(watcher, until) {
    watcher(this.current);
    return this.onChange(watcher, until);
  }

  /**
   * Call a function at every change.
   * @param {(value: T) => void} watcher
   * @param {AbortSignal} [until] ends it, too
   * @returns {() => void} ends it
   */
  onChange(watcher, until) {
    const end = () => void this.watchers.delete(watcher);
    if (until?.aborted) return end;
    this.watchers.add(watcher);
    until?.addEventListener("abort", end, { once: true });
    return end;
  }
}
