/** How images and landmarks are shown, and what a new image starts with. Nothing here changes the project. */

import { button, field, h } from "../lib/dom.js";
import { DEFAULTS } from "../state/settings.js";

/** @typedef {import("../state/settings.js").Settings} Settings */
/** @typedef {import("../state/settings.js").Values} Values */

/**
 * @param {Settings} settings
 * @param {AbortSignal} until the page is left
 */
export function displayPanel(settings, until) {
  const content = [
    slider(settings, until, "brightness", "Brightness", 20, 300),
    slider(settings, until, "contrast", "Contrast", 20, 300),
    h("div", { class: "checks" }, check(settings, until, "grey", "Grey (B)"), check(settings, until, "invert", "Inverted (I)")),
    slider(settings, until, "pointSize", "Size of the points", 2, 12),
    choice(settings, until, "numbers", "Numbers", { selected: "of the selected landmark", all: "of all", none: "none" }),
    choice(settings, until, "start", "A new image starts with", { best: "the best suggestion", mean: "the mean shape", none: "nothing" }),
    h(
      "div",
      { class: "checks" },
      check(settings, until, "edges", "Lines between landmarks"),
      check(settings, until, "follow", "Unset neighbours follow a drag"),
      check(settings, until, "keepZoom", "Keep the zoom (Z)"),
      check(settings, until, "offset", "Offset points from the pointer"),
    ),
    button("Reset", () => settings.change({ ...DEFAULTS, theme: settings.value.theme }), { class: "small" }),
  ];
  return h("details", { class: "panel display-panel" }, h("summary", {}, "Display"), content);
}

/**
 * @param {Settings} settings
 * @param {AbortSignal} until
 * @param {"brightness" | "contrast" | "pointSize"} name
 * @param {string} text
 * @param {number} min
 * @param {number} max
 */
function slider(settings, until, name, text, min, max) {
  const input = h("input", { type: "range", min, max, oninput: () => settings.change({ [name]: Number(input.value) }) });
  settings.watch((values) => (input.value = String(values[name])), until);
  return field(text, input);
}

/**
 * @param {Settings} settings
 * @param {AbortSignal} until
 * @param {"grey" | "invert" | "edges" | "keepZoom" | "offset" | "follow"} name
 * @param {string} text
 */
function check(settings, until, name, text) {
  const input = h("input", { type: "checkbox", onchange: () => settings.change({ [name]: input.checked }) });
  settings.watch((values) => (input.checked = values[name]), until);
  return h("label", { class: "check" }, input, text);
}

/**
 * @param {Settings} settings
 * @param {AbortSignal} until
 * @param {"numbers" | "start"} name
 * @param {string} text
 * @param {{[value: string]: string}} options
 */
function choice(settings, until, name, text, options) {
  const input = h("select", { onchange: () => settings.change(/** @type {Partial<Values>} */ ({ [name]: input.value })) },
    Object.entries(options).map(([value, label]) => h("option", { value }, label)));
  settings.watch((values) => (input.value = values[name]), until);
  return field(text, input);
}
