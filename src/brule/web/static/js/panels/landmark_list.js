/** The landmarks of the image: number, colour, name and state. */

import { button, fill, h } from "../lib/dom.js";
import { indexColours } from "../core/colours.js";
import { groupsOf } from "../core/template.js";
import { ABSENT, EMPTY, HIDDEN, STATE_NAMES, VISIBLE, decidedCount, isDecided } from "../core/points.js";

/** @typedef {import("../state/editor.js").Editor} Editor */

const STATES = /** @type {const} */ ([
  [VISIBLE, "visible", "Visible", "It is right where it is, and can be seen"],
  [HIDDEN, "hidden", "Hidden", "Something covers it (H)"],
  [ABSENT, "absent", "Absent", "It isn't in this image (X)"],
]);
const MARKS = ["", "○", "●", "◌", "✕"];

export class LandmarkList {
  /**
   * @param {(i: number) => void} choose
   * @param {() => import("../net/types.js").Template} template
   * @param {(command: string) => void} run
   */
  constructor(choose, template, run) {
    this.choose = choose;
    this.template = template;
    /** @type {{first: number, count: number, element: HTMLElement, heading: HTMLElement, about: HTMLElement}[]} */
    this.groups = [];
    /** @type {{row: HTMLElement, mark: HTMLElement, state: number}[]} */
    this.rows = [];
    this.names = /** @type {string[] | null} */ (null);
    this.selected = -1;
    this.list = h("div", { class: "landmark-rows", role: "listbox", tabIndex: 0, "aria-label": "Landmarks", onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event) });
    this.count = h("span", { class: "landmark-count" });
    this.states = STATES.map(([, command, text, title]) => button(text, () => run(command), { title }));
    this.remove = button("×", () => run("clear-point"), { title: "Remove the landmark (Delete)", "aria-label": "Remove the landmark" });
    const control = h("div", { class: "state-control", role: "group", "aria-label": "The selected landmark is" }, this.states, this.remove);
    this.element = h("section", { class: "panel landmark-list" }, h("h2", {}, "Landmarks ", this.count), this.list, control);
  }

  built = "";

  /** @param {string[]} names */
  build(names) {
    this.names = names;
    const colours = indexColours(names.length);
    this.rows = names.map((name, i) => {
      const mark = h("span", { class: "landmark-state", role: "img", "aria-label": STATE_NAMES[0] });
      const chip = h("span", { class: "chip", style: { backgroundColor: colours[i] } });
      const row = h(
        "div",
        { class: "landmark-row", role: "option", id: `landmark-${i}`, "aria-selected": "false", onclick: () => this.choose(i) },
        chip, h("span", { class: "landmark-number" }, i + 1), h("span", { class: "landmark-name", title: name }, name), mark,
      );
      return { row, mark, state: -1 };
    });
    this.selected = -1;
    const rows = this.rows.map(({ row }) => row);
    this.groups = groupsOf(this.template()).map((own) => this.group(own, rows));
    fill(this.list, this.groups.length ? this.groups.map(({ element }) => element) : rows);
  }

  /**
   * @param {{name: string, first: number, count: number}} own
   * @param {HTMLElement[]} rows
   */
  group({ name, first, count }, rows) {
    const about = h("span", { class: "landmark-count" });
    const heading = h("div", { class: "landmark-group", "aria-hidden": "true" }, h("span", {}, name), about);
    const element = h("div", { role: "group", "aria-label": name }, heading, rows.slice(first, first + count));
    heading.addEventListener("click", () => element.classList.toggle("closed"));
    return { first, count, element, heading, about };
  }

  /** @param {Editor} editor */
  update(editor) {
    const key = `${editor.names.join()}|${JSON.stringify(this.template().contours)}`;
    if (this.built !== key) this.build(editor.names);
    this.built = key;
    this.rows.forEach((own, i) => {
      const state = editor.shape.state[i];
      if (own.state === state) return;
      own.state = state;
      own.row.dataset.state = String(state);
      own.mark.textContent = MARKS[state];
      own.mark.title = STATE_NAMES[state];
      own.mark.setAttribute("aria-label", STATE_NAMES[state]);
    });
    for (const { first, count, about } of this.groups) {
      let set = 0;
      for (let i = first; i < first + count; i++) set += isDecided(editor.shape, i) ? 1 : 0;
      about.textContent = `${set} of ${count}`;
    }
    this.count.textContent = `${decidedCount(editor.shape)} of ${editor.n} set`;
    const now = editor.shape.state[editor.selected.value];
    this.states.forEach((own, k) => {
      own.disabled = !editor.n;
      own.setAttribute("aria-pressed", String(STATES[k][0] === now));
    });
    this.remove.disabled = !editor.n || now === EMPTY;
    this.select(editor.selected.value);
  }

  /** @param {number} i */
  select(i) {
    if (i === this.selected) return;
    this.rows[this.selected]?.row.setAttribute("aria-selected", "false");
    this.selected = i;
    const row = this.rows[i]?.row;
    if (!row) return;
    row.setAttribute("aria-selected", "true");
    row.parentElement?.classList.remove("closed");
    this.list.setAttribute("aria-activedescendant", row.id);
    const covered = this.groups[0]?.heading.offsetHeight ?? 0; // by the group's name, which stays at the top
    const [top, bottom] = [row.offsetTop - covered, row.offsetTop + row.offsetHeight]; // within the list, which is positioned
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (bottom > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = bottom - this.list.clientHeight;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step || !this.names) return;
    event.preventDefault();
    event.stopPropagation();
    this.choose(Math.max(0, Math.min(this.names.length - 1, this.selected + step)));
  }
}
