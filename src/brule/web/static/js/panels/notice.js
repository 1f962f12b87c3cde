/** What is wrong with the project as a whole, such as a folder that was moved away: shown until it is dismissed. */

import { button, fill, h } from "../lib/dom.js";
import { sentence } from "../lib/format.js";

/** @param {import("../state/app.js").App} app */
export function notice(app) {
  const element = h("aside", { class: "notice", "aria-label": "Problems of the project", hidden: true });
  let shown = "";
  app.project.watch(({ problems = [] }) => {
    const key = problems.join("\n");
    if (key === shown) return; // dismissed problems stay away until others come
    shown = key;
    element.hidden = !problems.length;
    fill(element, h("div", {}, problems.map((text) => h("p", {}, sentence(text)))),
      button("×", () => (element.hidden = true),
        { class: "icon-button", title: "Dismiss", "aria-label": "Dismiss this notice" }));
  });
  return element;
}
