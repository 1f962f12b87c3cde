/** The bar at the top: the steps of the work, whether everything is saved, light or dark, the keys. */

import { button, fill, h } from "../lib/dom.js";
import { isFinishing, trainedShare } from "./training_stage.js";

/** @typedef {import("../state/app.js").App} App */

const THEMES = /** @type {const} */ ({ auto: ["light", "◐", "Colours: as the system"], light: ["dark", "☀", "Colours: light"], dark: ["auto", "☾", "Colours: dark"] });
const MARKS = { saved: "✓", saving: "…", waiting: "!", conflict: "!" };

/**
 * @param {App} app
 * @param {{showKeys: () => void, showConflict: () => void, current: import("../lib/signal.js").Signal<string>}} page `current`: which one is shown
 */
export function topbar(app, { showKeys, showConflict, current }) {
  const steps = h("nav", { class: "steps", "aria-label": "Steps" });
  const title = h("span", { class: "project-name" });
  const saveState = h("span", { class: "save-state", role: "status" });
  const theme = button("", () => app.settings.change({ theme: THEMES[app.settings.value.theme][0] }), { class: "icon-button" });
  const keys = button("?", showKeys, { class: "icon-button", title: "Show all keys (?)", "aria-label": "Show all keys" });
  app.settings.watch(({ theme: now }) => {
    document.documentElement.dataset.theme = now;
    theme.textContent = THEMES[now][1];
    theme.title = THEMES[now][2];
    theme.setAttribute("aria-label", THEMES[now][2]);
  });
  app.saver.state.watch(({ state, message, waiting }) => {
    saveState.dataset.state = state;
    const text = state === "conflict" ? button(message, showConflict, { class: "link" }) : message;
    fill(saveState, h("span", { class: "save-mark", "aria-hidden": "true" }, MARKS[state]), text, waiting > 1 && ` (${waiting})`);
  });
  const update = () => {
    title.textContent = app.project.value.name;
    fill(steps, stepLinks(app, current.value));
  };
  app.project.watch(update);
  current.onChange(update);
  return h("header", { class: "topbar" }, h("a", { class: "brand", href: "#/" }, "brulè"), title, steps, saveState, theme, keys);
}

const STEP_OF = /** @type {{[page: string]: string}} */ ({ landmark: "annotate", repeat: "annotate" });

/**
 * @param {App} app
 * @param {string} shown
 */
function stepLinks(app, shown) {
  const { counts, can, template, n_images, train } = app.project.value;
  const ready = n_images > 0 && template.names.length > 0;
  const running = isFinishing(train) ? "finishing" : train.state === "running" ? trainedShare(train) : "";
  const steps = [
    ["setup", "Set up", ready ? "" : "start here"],
    ["annotate", "Annotate", counts.accepted ? String(counts.accepted) : ""],
    ["train", "Train", running],
    ["review", "Review", ""],
    ["measure", "Measure and export", ""],
    ...(can.redraw ? [["redraw", "Redraw", ""]] : []),
  ];
  const here = STEP_OF[shown] ?? shown;
  return steps.map(([page, text, badge]) =>
    h(
      "a",
      { href: `#/${page}`, class: "step", "aria-current": here === page && "page" },
      h("span", { class: "step-text", "data-text": text }, text),
      badge && h("span", { class: "badge" }, badge),
    ),
  );
}
