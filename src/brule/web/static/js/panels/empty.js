/** What a page shows while there is nothing to show: what is missing, and where to get it. */

import { h } from "../lib/dom.js";

/**
 * @param {string} title
 * @param {string} text
 * @param {{href: string, text: string}} way
 */
export function emptyState(title, text, way) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, text), h("a", { href: way.href, class: "button primary" }, way.text));
}
