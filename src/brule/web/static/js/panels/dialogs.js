/** Windows over the page: the keys, a question, two versions of one image. */

import { button, h } from "../lib/dom.js";
import { BINDINGS } from "../core/keymap.js";
import { viewUrl } from "../net/api.js";
import { sketch } from "./sketch.js";

/**
 * @param {string} title
 * @param {import("../lib/dom.js").Child[]} content
 * @param {{text: string, run?: () => void, ready?: () => boolean, primary?: boolean}[]} buttons the last one is what Escape does;
 *   one that isn't ready leaves the window open
 * @param {{wide?: boolean, closable?: boolean}} [options]
 */
export function dialog(title, content, buttons, { wide = false, closable = true } = {}) {
  const close = () => {
    window_.close();
    window_.remove();
  };
  const id = `dialog-${Math.random().toString(36).slice(2)}`;
  const window_ = h(
    "dialog",
    { class: wide ? "dialog wide" : "dialog", "aria-labelledby": id },
    h("h2", { id }, title),
    h("div", { class: "dialog-content", tabIndex: wide ? 0 : -1 }, content),
    h(
      "div",
      { class: "dialog-buttons" },
      buttons.map(({ text, run, ready, primary }) =>
        button(
          text,
          () => {
            if (ready && !ready()) return;
            close();
            run?.();
          },
          { class: primary ? "primary" : "", autofocus: Boolean(primary) },
        ),
      ),
    ),
  );
  window_.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (!closable) return;
    close();
    buttons[buttons.length - 1].run?.();
  });
  window_.addEventListener("close", () => window_.remove()); // pressed again and again, Escape closes any dialog in some browsers
  document.body.append(window_);
  window_.showModal();
  return window_;
}

/** All keys, from the table that answers them. */
export function showKeys() {
  const groups = [...new Set(BINDINGS.map((binding) => binding.group))];
  const tables = groups.map((group) =>
    h(
      "section",
      {},
      h("h3", {}, group),
      h(
        "dl",
        { class: "keys" },
        BINDINGS.filter((binding) => binding.group === group && binding.text).map(({ keys, shown, text }) =>
          h("div", {}, h("dt", {}, keycaps(shown ? [shown] : keys)), h("dd", {}, text)),
        ),
      ),
    ),
  );
  const numbers = h("p", {}, "Type a landmark's number and press ", h("kbd", {}, "Enter"), " to go to it. In the review, ", h("kbd", {}, "Enter"),
    " accepts and ", h("kbd", {}, "Backspace"), " rejects the selected image.");
  dialog("Keys", [h("div", { class: "key-groups" }, tables), numbers], [{ text: "Close", primary: true }], { wide: true });
}

/** @param {string[]} keys */
function keycaps(keys) {
  return keys.flatMap((key, k) => [k ? " or " : "", h("kbd", {}, key.replaceAll("+", " + ").replace(/^ \+ $/, "+"))]);
}

/**
 * @param {string} title
 * @param {string} text
 * @param {string} yes
 * @returns {Promise<boolean>}
 */
export function confirmed(title, text, yes) {
  return new Promise((resolve) => {
    dialog(title, [h("p", {}, text)], [
      { text: yes, primary: true, run: () => resolve(true) },
      { text: "Cancel", run: () => resolve(false) },
    ]);
  });
}

/**
 * An image was changed in two windows: a person chooses.
 * @param {import("../net/saver.js").Conflict} conflict
 * @param {import("../net/types.js").Template} template
 */
export function chooseVersion({ change, current, keepMine, takeTheirs }, template) {
  /** @type {(title: string, points: import("../net/types.js").WirePoint[]) => HTMLElement} */
  const side = (title, points) =>
    h("figure", {}, h("figcaption", {}, title), sketch({ src: viewUrl(current.id, 512, current.view.etag), image: current, points, template, side: 320 }));
  dialog(
    `${current.name} was changed in another window`,
    [
      h("p", {}, "Nothing is lost yet. Which landmarks should the project keep?"),
      h("div", { class: "two-versions" }, side("Your version, in this window", change.points), side("Saved by the other window", current.points)),
    ],
    [{ text: "Keep mine", primary: true, run: keepMine }, { text: "Take the other one", run: takeTheirs }],
    { wide: true, closable: false },
  );
}
