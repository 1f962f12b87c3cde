/** Short messages at the foot of the page. */

import { announce, button, h } from "../lib/dom.js";

const SHOWN_MS = { info: 4000, error: 20_000 };

/** @param {import("../state/app.js").App} app */
export function toasts(app) {
  const element = h("div", { class: "toasts", "aria-live": "polite" });
  addEventListener("hashchange", () => element.querySelector(".toast-error")?.remove()); // it was about the page before
  app.message.onChange((message) => {
    if (!message) return void element.querySelector(".toast-error")?.remove();
    const { text, kind } = message;
    const close = () => toast.remove();
    const toast = h("div", { class: `toast toast-${kind}` }, h("span", {}, text), button("×", close, { "aria-label": "Close this message" }));
    element.replaceChildren(toast);
    announce(text);
    setTimeout(close, SHOWN_MS[kind]);
  });
  return element;
}
