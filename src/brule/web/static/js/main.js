/** The page begins here: frame, pages by address, keys. */

import { button, fill, h, isTyping } from "./lib/dom.js";
import { HELD, bindingFor } from "./core/keymap.js";
import { chooseVersion, showKeys } from "./panels/dialogs.js";
import { notice } from "./panels/notice.js";
import { toasts } from "./panels/toast.js";
import { topbar } from "./panels/topbar.js";
import { AnnotatePage } from "./pages/annotate.js";
import { LandmarkPage } from "./pages/landmark.js";
import { MeasurePage } from "./pages/measure.js";
import { RedrawPage } from "./pages/redraw.js";
import { ReviewPage } from "./pages/review.js";
import { SetupPage } from "./pages/setup.js";
import { TrainPage } from "./pages/train.js";
import { sentence } from "./lib/format.js";
import { Signal } from "./lib/signal.js";
import { App } from "./state/app.js";
import { forgetEditors } from "./state/editors.js";

/**
 * @typedef {{element: HTMLElement, leave: () => void, key?: (event: KeyboardEvent, binding: import("./core/keymap.js").Binding | null) => void,
 *   open?: (id: string) => unknown}} Page
 */

const TITLES = /** @type {{[page: string]: string}} */ ({
  setup: "Set up", annotate: "Annotate", repeat: "Annotate again", train: "Train", review: "Review", measure: "Measure and export", landmark: "One landmark", redraw: "Redraw",
});

const app = new App();
const main = h("main", { id: "main" });
/** @type {Page | null} */
let page = null;
let shown = "";
const current = new Signal(""); // the page that is shown, for the bar
/** Kept, so that coming back from a correction goes on where the review was. @type {ReviewPage | null} */
let review = null;

/**
 * @param {string} name
 * @param {string} argument
 * @returns {Page}
 */
function pageFor(name, argument) {
  switch (name) {
    case "setup": return new SetupPage(app);
    case "train": return new TrainPage(app);
    case "review": return (review ??= new ReviewPage(app));
    case "measure": return new MeasurePage(app);
    case "landmark": return new LandmarkPage(app, Number(argument) - 1 || 0);
    case "redraw": return new RedrawPage(app, argument);
    case "repeat": return new AnnotatePage(app, argument, "repeat");
    default: return new AnnotatePage(app, argument);
  }
}

/** Show what the address names. */
function route() {
  const { n_images: n, template } = app.project.value;
  const [, wanted = "", argument = "", from = ""] = location.hash.split("/").map(decodeURIComponent);
  const name = TITLES[wanted] ? wanted : n && template.names.length ? "annotate" : "setup";
  document.title = `${TITLES[name]} · ${app.project.value.name} · brulè`;
  if (name === shown && name === "annotate" && page?.open) return void page.open(argument);
  page?.leave();
  shown = current.value = name;
  page = pageFor(name, argument);
  main.dataset.page = name;
  if (page instanceof AnnotatePage) page.back = from;
  fill(main, page.element);
  if (page === review) void review?.resume();
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (document.querySelector("dialog[open]")) return;
  const binding = bindingFor(event);
  if (binding?.command === "help" && !isTyping(event.target)) {
    event.preventDefault();
    return showKeys();
  }
  page?.key?.(event, binding);
}

/** @param {KeyboardEvent} event */
function released(event) {
  const command = { Shift: "loupe", " ": "pan", v: "hide", V: "hide" }[event.key];
  if (command && HELD.has(command) && page instanceof AnnotatePage) page.stage.hold(/** @type {"pan"} */ (command), false);
}

/** @param {unknown} error */
function broken(error) {
  const unauthorized = /** @type {{code?: string}} */ (error).code === "unauthorized";
  const message = sentence(error instanceof Error ? error.message : String(error));
  const text = unauthorized ? "Open the address printed in the terminal again: it holds the key to this page." : message;
  fill(document.body, h("main", { class: "page broken" }, h("h1", {}, "This page can't be shown"), h("p", {}, text), button("Try again", () => location.reload(), { class: "primary" })));
}

/** The landmarks' names, number or order were changed, here or in another window: what is shown is of earlier ones. */
function watchLandmarks() {
  const state = () => `${app.project.value.landmarks} ${app.project.value.template.names.length}`; // the first names are no change of any
  let known = state();
  app.project.onChange(() => {
    if (state() === known) return;
    known = state();
    forgetEditors();
    review?.restart();
    if (shown === "setup") return; // it follows by itself
    shown = "";
    route();
  });
}

/** Two windows have changed one image, and a person has to choose: nothing is saved until then. */
function showConflict() {
  const conflict = app.saver.conflict.value;
  if (!conflict || document.querySelector("dialog[open]")) return;
  const { change, keepMine, takeTheirs, current } = conflict;
  const theirs = () => {
    takeTheirs();
    const shows = page instanceof AnnotatePage && page.layer === change.layer ? page.editor : null;
    if (shows?.id === change.image) shows.arrived(current, true);
  };
  chooseVersion({ change, current, keepMine, takeTheirs: theirs }, app.project.value.template);
}

try {
  await app.start();
  const announcer = h("div", { id: "announcer", class: "visually-hidden", "aria-live": "polite" });
  fill(document.body, h("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => (event.preventDefault(), main.querySelector("canvas")?.focus()) }, "Skip to the image"),
    topbar(app, { showKeys, showConflict, current }), notice(app), main, toasts(app), announcer);
  watchLandmarks();
  addEventListener("hashchange", route);
  addEventListener("keydown", pressed);
  addEventListener("keyup", released);
  route();
  app.saver.conflict.watch(showConflict); // now, too: one may be left from a tab that was closed
  document.documentElement.dataset.ready = "true";
  Object.assign(window, { brule: { app, page: () => page } }); // for scripts and tests
} catch (error) {
  broken(error);
}
