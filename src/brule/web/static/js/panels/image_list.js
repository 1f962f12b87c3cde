/** The list of images. Only the rows in sight exist, so that 20,000 images are as quick as ten. */

import { button, fill, h, imageName } from "../lib/dom.js";
import { viewUrl } from "../net/api.js";

/** @typedef {import("../net/types.js").Item} Item */
/** @typedef {import("../state/app.js").App} App */

const ROW = 60; // CSS pixels; as in the style sheet
const PAGE = 100;
const ORDERS = { name: "by name", proposed: "proposed first", uncertainty: "most uncertain first", changed: "last changed first", worst_hint: "most hints first" };
const STATUSES = { "": "all images", new: "not started", draft: "in progress", accepted: "accepted", rejected: "rejected" };
export const STATUS_WORDS = { new: "not started", draft: "in progress", accepted: "accepted", rejected: "rejected" };

export class ImageList {
  /**
   * @param {App} app
   * @param {(id: string) => void} open
   */
  constructor(app, open) {
    this.app = app;
    this.open = open;
    /** @type {Map<number, Item[] | null>} pages that have arrived; null while on their way */
    this.pages = new Map();
    this.total = 0;
    this.current = "";
    this.order = select(ORDERS, "Order of the images", () => this.reset(), app.project.value.choice.ready ? "proposed" : "name");
    this.status = select(STATUSES, "Which images", () => this.reset(), "");
    this.query = h("input", { type: "search", placeholder: "Find a name…", "aria-label": "Find an image by name", oninput: () => this.soon() });
    this.space = h("div", { class: "image-rows" });
    this.scroller = h("div", { class: "image-scroller", tabIndex: -1, onscroll: () => this.render() }, this.space);
    this.heading = h("div", { class: "image-count" });
    this.closing = button("×", () => this.close(),
      { class: "icon-button close-images", title: "Close the list (Esc)", "aria-label": "Close the list of images" });
    this.element = h(
      "section",
      { id: "images", class: "image-list", "aria-label": "Images" },
      h("div", { class: "image-filter" }, this.closing, this.query, this.order, this.status), this.heading, this.scroller,
    );
    /** Shows the list in windows that have no room for it beside the image. */
    this.opener = button("Images", () => this.toggle(),
      { class: "show-images", title: "Choose an image (O)", "aria-expanded": "false", "aria-controls": "images" });
    this.element.addEventListener("click", (event) => this.clicked(event));
    this.element.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.render()).observe(this.scroller);
    void this.page(0);
  }

  /** Show the list, or hide it again; where it is always in sight, go to its search. */
  toggle() {
    if (!this.opener.offsetParent) return this.query.focus();
    if (this.close()) return;
    this.element.classList.add("open");
    this.opener.setAttribute("aria-expanded", "true");
    this.show(this.current);
    this.closing.focus();
  }

  /** @returns {boolean} whether there was a list to close */
  close() {
    if (!this.element.classList.contains("open")) return false;
    const within = this.element.contains(document.activeElement);
    this.element.classList.remove("open");
    this.opener.setAttribute("aria-expanded", "false");
    if (within) this.opener.focus({ preventScroll: true });
    return true;
  }

  /**
   * A click on the shade beside the list, which is a part of it to the browser, closes it.
   * @param {MouseEvent} event
   */
  clicked(event) {
    if (event.target === this.element && event.clientX > this.element.getBoundingClientRect().right) this.close();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "Escape" && this.close()) event.stopPropagation();
  }

  /** Increases with every other filter or order. */
  turn = 0;

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer = undefined;

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.reset(), 250);
  }

  reset() {
    this.turn += 1;
    this.pages.clear();
    this.scroller.scrollTop = 0;
    void this.page(0);
  }

  /** @param {number} number */
  async page(number) {
    if (this.pages.has(number)) return;
    const { turn } = this;
    this.pages.set(number, null);
    const filter = { offset: number * PAGE, limit: PAGE, order: this.order.value, status: this.status.value, query: this.query.value.trim() };
    const page = await this.app.attempt(this.app.api.images(filter));
    if (turn !== this.turn) return; // of an earlier filter
    if (!page) return void this.pages.delete(number);
    this.pages.set(number, page.items);
    this.total = page.total;
    this.render();
  }

  /** @param {number} index */
  item(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? null;
  }

  /**
   * The image after, or before, another one in this order; null at the end or where that isn't known.
   * @param {string} id
   * @param {number} step
   * @returns {string | null}
   */
  beside(id, step) {
    const at = this.indexOf(id);
    return at < 0 ? null : (this.item(at + step)?.id ?? null);
  }

  /** @param {string} id */
  indexOf(id) {
    for (const [number, items] of this.pages) {
      const k = items?.findIndex((item) => item.id === id) ?? -1;
      if (k >= 0) return number * PAGE + k;
    }
    return -1;
  }

  /** @param {string} id */
  show(id) {
    this.current = id;
    const at = this.indexOf(id);
    if (at >= 0) {
      if (at + 1 < this.total) void this.page(Math.floor((at + 1) / PAGE)); // the next image is known even where the list isn't shown
      const { scrollTop, clientHeight } = this.scroller;
      if (at * ROW < scrollTop || (at + 1) * ROW > scrollTop + clientHeight) this.scroller.scrollTop = at * ROW - clientHeight / 3;
    }
    this.render();
  }

  /**
   * @param {{id: string, status: Item["status"], version: number}} change
   * @param {number} [placed]
   */
  update(change, placed) {
    for (const items of this.pages.values()) {
      const item = items?.find((own) => own.id === change.id);
      if (item) Object.assign(item, { status: change.status, version: change.version }, placed === undefined ? {} : { placed });
    }
    this.render();
  }

  render() {
    this.heading.textContent = this.total === 1 ? "1 image" : `${this.total.toLocaleString("en")} images`;
    this.space.style.height = `${this.total * ROW}px`;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - 4);
    const last = Math.min(this.total, Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / ROW) + 4);
    const rows = [];
    for (let index = first; index < last; index++) {
      void this.page(Math.floor(index / PAGE));
      rows.push(this.row(index));
    }
    fill(this.space, rows);
  }

  /** @param {number} index */
  row(index) {
    const item = this.item(index);
    const style = { transform: `translateY(${index * ROW}px)` };
    if (!item) return h("div", { class: "image-row", style });
    const n = this.app.project.value.template.names.length;
    const about = item.status === "draft" ? `${item.placed} of ${n}` : STATUS_WORDS[item.status];
    const proposed = typeof item.proposed === "number" && item.status === "new";
    return h(
      "button",
      {
        type: "button", class: "image-row", style, "aria-current": item.id === this.current && "true",
        title: item.name, onclick: () => (this.close(), this.open(item.id)),
      },
      h("img", { src: viewUrl(item.id, 256), alt: "", loading: "lazy", decoding: "async", draggable: false }),
      imageName("span", item.name, "image-name"),
      h(
        "span",
        { class: "image-about" },
        h("span", { class: "dot", "data-status": item.status }),
        proposed ? h("span", { class: "badge" }, "proposed") : about,
      ),
    );
  }
}

/**
 * @param {{[value: string]: string}} options
 * @param {string} label
 * @param {() => void} onchange
 * @param {string} value
 */
function select(options, label, onchange, value) {
  const element = h("select", { "aria-label": label, onchange }, Object.entries(options).map(([key, text]) => h("option", { value: key }, text)));
  element.value = value;
  return element;
}

/**
 * The image to begin with: one that needs work, the proposed ones first; null if there is none.
 * @param {App} app
 * @returns {Promise<string | null>}
 */
export async function firstImage(app) {
  const order = app.project.value.choice.ready ? "proposed" : "name";
  for (const status of ["draft,new", ""]) {
    const page = await app.attempt(app.api.images({ limit: 1, order, status }));
    if (page?.items.length) return page.items[0].id;
  }
  return null;
}
