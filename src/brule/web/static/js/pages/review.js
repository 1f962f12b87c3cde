/** Reviewing predictions, the most uncertain first: accept, reject, correct. */

import { announce, button, fill, h, imageName, isTyping } from "../lib/dom.js";
import { within } from "../core/geometry.js";
import { decimal, plural } from "../lib/format.js";
import { viewUrl } from "../net/api.js";
import { emptyState } from "../panels/empty.js";
import { sketch } from "../panels/sketch.js";

/** @typedef {import("../state/app.js").App} App */
/** @typedef {import("../net/types.js").Item} Item */
/** @typedef {import("../net/types.js").ImageRecord} ImageRecord */
/** @typedef {{item: Item, element: HTMLElement, picture: HTMLElement, record: ImageRecord | null, done: "" | "accepted" | "rejected"}} Card */

const PAGE = 60;
const CARD = { width: 240, height: 184 }; // CSS pixels; as in the style sheet
const LARGE = 560;

export class ReviewPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** @type {Card[]} */
    this.cards = [];
    this.selected = -1;
    this.total = 0;
    this.loaded = 0;
    this.grid = h("div", { class: "review-grid", role: "listbox", tabIndex: 0, "aria-label": "Images with predictions, the most uncertain first" });
    this.more = button("Show more", () => void this.load(), { hidden: true });
    this.status = h("p", { class: "note", role: "status" });
    this.large = h("aside", { class: "review-large", "aria-label": "The selected image" });
    this.predict = button("Predict all images again", () => void this.predictAgain());
    this.undoButton = button("Undo", () => this.undo(), { title: "Undo the last decision (U)", disabled: true });
    this.again = h("a", { href: "#/train", class: "button" }, "Train again");
    this.empty = emptyState("No predictions yet", "Train a detector first. It predicts the landmarks of all images, and they appear here, the most uncertain first.", { href: "#/train", text: "Train" });
    this.body = h("div", { class: "review-body" }, h("div", { class: "review-main" }, this.grid, this.more), this.large);
    this.element = h(
      "div",
      { class: "page review" },
      h("div", { class: "page-head" }, h("h1", {}, "Review"), this.predict, this.again),
      this.status,
      this.empty, this.body,
    );
    this.seen = new IntersectionObserver((entries) => this.inSight(entries), { rootMargin: "400px" });
    app.saver.refused.onChange((refused) => refused && app.fail(refused.error));
    app.news.onChange((news) => news?.topic === "predict" && this.predicting(news.data));
    app.news.onChange((news) => news?.topic === "image" && this.changed(news.data));
    app.saver.saved.onChange((record) => record && this.saved(record));
    void this.load();
    void app.api.predicting().then(({ predicting }) => this.predicting(predicting), () => undefined);
  }

  leave() {}

  /** The page is shown again: the image that was opened from here may have been corrected. */
  async resume() {
    const { card } = this;
    if (!this.cards.length) return this.loaded ? this.restart() : undefined;
    await Promise.all(this.cards.map((own) => this.renew(own, this.app.saver.versions.get(own.item.id))));
    if (!card || this.busy) return;
    await this.app.saver.settled();
    card.record = null;
    const record = await this.fetch(card);
    const done = record && (record.status === "accepted" || record.status === "rejected") ? record.status : "";
    this.mark(card, done);
    const next = this.cards.findIndex((own, k) => k > this.selected && !own.done);
    this.select(done && next >= 0 ? next : this.selected);
    this.grid.focus({ preventScroll: true });
    this.describe();
  }

  busy = false;

  async load() {
    this.busy = true;
    const page = await this.app.attempt(this.app.api.images({ order: "uncertainty", status: "new,draft,rejected", offset: this.loaded, limit: PAGE }));
    if (!page) return void (this.busy = false);
    this.total = page.total;
    this.loaded += page.items.length;
    const known = new Set(this.cards.map((card) => card.item.id));
    for (const item of page.items) if (item.predicted && !known.has(item.id)) this.add(item);
    this.more.hidden = this.loaded >= page.total || !page.items.some((item) => item.predicted);
    if (!this.cards.length) {
      const first = await this.app.attempt(this.app.api.images({ order: "uncertainty", limit: 1 })); // those with a prediction come first
      this.known = Boolean(first?.items[0]?.predicted);
    }
    this.busy = false;
    if (this.selected < 0 && this.cards.length) this.select(Math.max(0, this.cards.findIndex((card) => !card.done)));
    this.describe();
  }

  /** Whether any image has a prediction; unknown while there are cards. */
  known = false;

  describe() {
    const any = this.cards.length > 0;
    const { runs, can } = this.app.project.value;
    const detector = can.start_from || runs.some((run) => run.finished);
    const none = !any && !this.known && !this.busy && !this.wasBusy;
    const reviewed = !this.cards.some((card) => !card.done) && (any ? this.more.hidden : this.known);
    this.empty.hidden = !none || detector;
    this.body.hidden = !any;
    this.again.hidden = !any && !reviewed;
    this.again.classList.toggle("primary", reviewed);
    this.predict.hidden = !any && !reviewed && !detector && !this.wasBusy;
    this.predict.classList.toggle("primary", none && detector);
    this.undoButton.disabled = !this.decisions.length;
    this.showProgress();
    this.status.textContent = this.statusText(none && detector, reviewed);
  }

  /**
   * @param {boolean} unpredicted whether there is a detector, and no prediction
   * @param {boolean} reviewed whether every image with a prediction is decided
   */
  statusText(unpredicted, reviewed) {
    if (!this.cards.length) {
      if (this.wasBusy) return "The detector is predicting the landmarks of all images. They appear here when it is done.";
      if (unpredicted) return "No image has a prediction yet. Predict all images with the last detector to review what it finds.";
      const left = this.total ? ` ${plural(this.total, "other image")} ${this.total === 1 ? "has" : "have"} none.` : "";
      return reviewed ? `Every image with a prediction is accepted.${left} Train again, or export under Measure and export.` : "";
    }
    const left = this.cards.filter((card) => !card.done).length;
    const accepted = this.cards.filter((card) => card.done === "accepted").length;
    return reviewed
      ? `Everything is reviewed: ${plural(accepted, "image")} accepted. Train again to learn from them.`
      : `${plural(left, "image")} to review${this.more.hidden ? "" : " on this page"}, ${accepted} accepted now. Enter accepts, Backspace rejects, E opens the image to correct it, U undoes the last decision.`;
  }

  /** @param {Item} item */
  add(item) {
    const picture = h("div", { class: "card-picture" });
    const about = item.expected_px === null ? "" : `about ${decimal(item.expected_px)} px off`;
    const k = this.cards.length;
    const element = h(
      "div",
      { class: "review-card", role: "option", id: `review-${item.id}`, "aria-selected": "false", "aria-label": `${item.name}, ${about}`, onclick: () => this.select(k), ondblclick: () => this.edit() },
      picture,
      h("div", { class: "card-about" }, imageName("span", item.name, "image-name"), h("span", { class: "note" }, about)),
    );
    const card = /** @type {Card} */ ({ item, element, picture, record: null, done: "" });
    this.cards.push(card);
    this.grid.append(element);
    this.seen.observe(element);
    if (item.status === "rejected") this.mark(card, "rejected");
  }

  /** @param {IntersectionObserverEntry[]} entries */
  inSight(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = isIntersecting && this.cards.find((own) => own.element === target);
      if (!card) continue;
      this.seen.unobserve(target);
      void this.fetch(card);
    }
  }

  /** @param {Card} card */
  async fetch(card) {
    card.record ??= await this.app.image(card.item.id);
    const { record } = card;
    if (!record) return null;
    this.app.saver.learn(record);
    const side = Math.min(CARD.width, CARD.height * Math.max(1, record.width / record.height));
    fill(card.picture, this.picture(record, side, 512));
    return record;
  }

  /**
   * @param {ImageRecord} record
   * @param {number} side
   * @param {number} size
   */
  picture(record, side, size) {
    const corrected = record.status === "accepted";
    const points = corrected ? record.points : (record.prediction?.points ?? record.points);
    const { template } = this.app.project.value;
    return sketch({ src: viewUrl(record.id, size, record.view.etag), image: record, points, template, side, suggested: !corrected });
  }

  get card() {
    return this.cards[this.selected] ?? null;
  }

  /** @param {number} k */
  select(k) {
    if (!this.cards[k]) return;
    this.card?.element.setAttribute("aria-selected", "false");
    this.selected = k;
    const { element, item } = this.cards[k];
    element.setAttribute("aria-selected", "true");
    element.scrollIntoView({ block: "nearest" });
    this.grid.setAttribute("aria-activedescendant", element.id);
    announce(`${item.name}, ${item.expected_px === null ? "" : `about ${decimal(item.expected_px)} pixels off`}`);
    void this.enlarge(this.cards[k]);
  }

  /** @param {Card} card */
  async enlarge(card) {
    const record = card.record ?? (await this.fetch(card));
    if (!record || card !== this.card) return;
    const { uncertainty, expected_px: expected } = record.prediction ?? { uncertainty: null, expected_px: null };
    const names = this.app.project.value.template.names;
    const worst = (uncertainty ?? []).map((px, i) => ({ px, i })).sort((a, b) => b.px - a.px).slice(0, 3);
    /** @type {(px: number) => string} */
    const about = (px) => (expected === null ? "" : ` (± ${decimal(px)} px)`); // a spread means pixels once it is calibrated
    fill(
      this.large,
      this.picture(record, LARGE, 1024),
      imageName("h2", record.name, "image-title"),
      expected !== null && h("p", {}, `Expected error: about ${decimal(expected)} px.`),
      worst.length > 0 && h("p", { class: "note" }, `Least certain: ${worst.map(({ px, i }) => `${names[i]}${about(px)}`).join(", ")}`),
      h("div", { class: "row decide" }, button("Accept", () => this.accept(), { class: "primary" }), button("Correct", () => this.edit()), button("Reject", () => this.reject()), this.undoButton),
    );
  }

  /**
   * @param {Card} card
   * @param {Card["done"]} done
   */
  mark(card, done) {
    card.done = done;
    card.element.dataset.done = done;
  }

  accept() {
    void this.decide("accepted");
  }

  reject() {
    void this.decide("rejected");
  }

  /** @param {"accepted" | "rejected"} status */
  async decide(status) {
    const { card } = this;
    const record = card && (card.record ?? (await this.fetch(card)));
    if (!card || !record) return;
    const points = this.decided(record, status);
    if (!points) return this.app.say("Not every landmark is predicted inside the image. Open it (E) and set the others.");
    this.mark(card, status);
    this.last = card;
    this.decisions.push({ card, before: record.points });
    const { id: image, version: base, landmarks } = record;
    this.app.saver.add({ image, step: "", base, points, landmarks, status, action: status === "accepted" ? "accept the prediction" : "reject" });
    this.describe();
    const next = this.cards.findIndex((own, k) => k > this.selected && !own.done);
    if (next >= 0) this.select(next);
    else if (!this.more.hidden) await this.load();
  }

  /** @type {Card | undefined} the card of the last decision, or of the last one that was undone */
  last = undefined;

  /** Decisions that can be undone, the newest last, and what was annotated there before. @type {{card: Card, before: ImageRecord["points"]}[]} */
  decisions = [];

  /**
   * What a person has set stays as it is; the prediction fills the rest.
   * @param {ImageRecord} record
   * @param {"accepted" | "rejected"} status
   */
  decided(record, status) {
    if (status === "rejected") return record.points;
    const predicted = record.prediction?.points.map((point) => (point && "x" in point && within(record, point.x, point.y) ? point : null));
    const points = record.points.map((point, i) => point ?? predicted?.[i] ?? null);
    return points.includes(null) ? null : points;
  }

  undo() {
    const decision = this.decisions.pop();
    if (!decision?.card.record) return this.app.say("There is no decision to undo.");
    const { card, before } = decision;
    const { version: base, landmarks } = decision.card.record;
    this.app.saver.add({ image: card.item.id, step: "/undo", base, points: before, landmarks });
    this.last = card;
    this.mark(card, "");
    this.select(this.cards.indexOf(card));
    this.describe();
  }

  edit() {
    if (this.card) location.hash = `#/annotate/${this.card.item.id}/review`;
  }

  /**
   * An image may have been corrected on another page: its new points count here, too.
   * @param {ImageRecord} record
   */
  saved(record) {
    const card = this.cards.find((own) => own.item.id === record.id);
    if (!card?.record || record.layer) return;
    card.record = { ...record, prediction: record.prediction ?? card.record.prediction };
    if (card === this.last) return;
    this.mark(card, record.status === "accepted" || record.status === "rejected" ? record.status : "");
    this.describe();
  }

  /**
   * Somebody has changed an image in another window.
   * @param {{id: string, version: number, layer?: string}} news
   */
  async changed({ id, version, layer }) {
    const card = this.cards.find((own) => own.item.id === id);
    if (!card || (layer && layer !== "first") || !(await this.renew(card, version))) return;
    if (card === this.card) await this.enlarge(card);
    this.describe();
  }

  /**
   * Get an image again that has changed since, unless a change of it is on its way from here: then the answer brings it.
   * @param {Card} card
   * @param {number | undefined} version the latest that is known
   * @returns {Promise<boolean>} whether it had changed
   */
  async renew(card, version) {
    if (!card.record || version === undefined || version <= card.record.version || this.app.saver.latest(card.item.id)) return false;
    card.record = null;
    const record = await this.fetch(card);
    if (record) this.mark(card, record.status === "accepted" || record.status === "rejected" ? record.status : "");
    return true;
  }

  async predictAgain() {
    const answer = await this.app.attempt(this.app.api.predict());
    if (answer) this.predicting(answer.predicting);
  }

  /** @param {import("../net/types.js").Predicting} predicting */
  predicting({ state, done, total, message }) {
    const busy = state === "running";
    this.progress = busy ? `Predicting… ${done} of ${total}` : "";
    if (state === "failed" && message) this.app.fail(Object.assign(new Error(message), { request: "POST /api/predict" }));
    const ended = this.wasBusy && !busy;
    this.wasBusy = busy;
    if (ended && state === "finished") this.restart();
    else this.describe();
  }

  progress = "";

  showProgress() {
    this.predict.disabled = this.wasBusy;
    this.predict.textContent = this.progress || (this.cards.length || this.known ? "Predict all images again" : "Predict all images");
  }

  /** Whether the images are being predicted. */
  wasBusy = false;

  /** The predictions are new: show them. */
  restart() {
    this.cards = [];
    this.loaded = 0;
    this.selected = -1;
    fill(this.grid);
    void this.load();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const onControl = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement;
    if (onControl && event.key === "Enter") return;
    const columns = Math.max(1, Math.round(this.grid.clientWidth / (this.cards[0]?.element.offsetWidth || 1)));
    /** @type {{[key: string]: () => void}} */
    const keys = {
      Enter: () => this.accept(),
      Backspace: () => this.reject(),
      e: () => this.edit(),
      u: () => this.undo(),
      ArrowRight: () => this.select(this.selected + 1),
      ArrowLeft: () => this.select(this.selected - 1),
      ArrowDown: () => this.select(this.selected + columns),
      ArrowUp: () => this.select(this.selected - columns),
    };
    const run = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!run) return;
    event.preventDefault();
    run();
  }
}
