/** What the whole page shares: project, settings, saver, shape model, messages. */

import { WatchedApi } from "../net/watched_api.js";
import { Pending } from "../net/pending.js";
import { Saver } from "../net/saver.js";
import { listen } from "../net/events.js";
import { ShapeModel } from "../core/shape_model.js";
import { sentence } from "../lib/format.js";
import { Signal } from "../lib/signal.js";
import { Settings } from "./settings.js";

/** @typedef {import("../net/types.js").Project} Project */

const POLL_MS = 5000; // without an event stream
const RENEW_MS = 2000;
const ANY = "*"; // any request: the server couldn't be reached

export class App {
  constructor() {
    this.api = new WatchedApi((request) => this.succeeded(request));
    this.settings = new Settings(localStorage);
    this.project = new Signal(/** @type {Project} */ (/** @type {unknown} */ (null)));
    this.model = new Signal(/** @type {ShapeModel | null} */ (null));
    this.message = new Signal(/** @type {{text: string, kind: "info" | "error", request?: string} | null} */ (null));
    this.news = new Signal(/** @type {{topic: import("../net/events.js").Topic, data: any} | null} */ (null));
    this.saver = new Saver(this.api, new Pending(localStorage, "start"));
    this.connected = true;
  }

  async start() {
    this.project.current = await this.api.project();
    this.saver = new Saver(this.api, new Pending(localStorage, this.project.value.folder));
    this.saver.adopt();
    listen((topic, data) => this.heard(topic, data), (connected) => this.reconnected(connected));
    setInterval(() => this.saver.pending.renew(), RENEW_MS);
    setInterval(() => this.saver.adopt(), 5 * RENEW_MS);
    setInterval(() => void (this.connected || this.refresh()), POLL_MS);
    addEventListener("pagehide", () => this.saver.pending.abandon());
    addEventListener("online", () => this.saver.retry());
    await this.fetchModel();
  }

  /** Get the project again. */
  async refresh() {
    try {
      this.project.value = await this.api.project();
    } catch (error) {
      if (/** @type {any} */ (error).code !== "offline") this.fail(error);
    }
  }

  /**
   * An image with its annotation. If that is of other landmarks than the page's, null: the page is about to be shown anew.
   * @param {string} id
   * @param {string} [layer]
   */
  async image(id, layer) {
    const record = await this.attempt(this.api.image(id, { layer }));
    if (!record || record.landmarks === this.project.value.landmarks) return record ?? null;
    await this.refresh();
    return null;
  }

  /** Get the statistics of the annotated shapes again. */
  async fetchModel() {
    try {
      const shape = await this.api.shape();
      this.model.value = shape.mean ? new ShapeModel({ ...shape, mean: shape.mean }) : null;
    } catch {
      this.model.value = null; // points are then dragged one by one
    }
  }

  /**
   * @param {import("../net/events.js").Topic} topic
   * @param {any} data
   */
  heard(topic, data) {
    const project = this.project.value;
    if (topic === "project" || topic === "image") this.soon();
    if (topic === "train") this.project.value = { ...project, train: data };
    if (topic === "guess") this.project.value = { ...project, guess: data };
    if (topic === "choice") this.project.value = { ...project, choice: { ready: true, ids: data.ids } };
    if (topic === "train" && data.state !== "running") this.soon();
    this.news.value = { topic, data };
  }

  /** Many changes in a row are one refresh. */
  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      void this.refresh();
      void this.fetchModel();
    }, 300);
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer = undefined;

  /** @param {boolean} connected */
  reconnected(connected) {
    if (connected && !this.connected) {
      void this.refresh();
      this.saver.retry();
    }
    this.connected = connected;
  }

  /** @param {string} text */
  say(text) {
    this.message.value = { text, kind: "info" };
  }

  /** @param {unknown} error */
  fail(error) {
    const { code = "", request } = /** @type {{code?: string, request?: string}} */ (error ?? {});
    const text = sentence(error instanceof Error ? error.message : String(error));
    this.message.value = { text, kind: "error", request: code === "offline" ? ANY : request };
  }

  /**
   * A request has succeeded: the message that it had failed is no longer true.
   * @param {string} request
   */
  succeeded(request) {
    const about = this.message.value?.request;
    if (about === request || about === ANY) this.message.value = null;
  }

  /**
   * Do something and show what went wrong, if anything did.
   * @template T
   * @param {Promise<T>} work
   * @returns {Promise<T | null>}
   */
  async attempt(work) {
    try {
      return await work;
    } catch (error) {
      this.fail(error);
      return null;
    }
  }
}
