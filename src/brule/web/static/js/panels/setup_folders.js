/** The project's folders of images: each can be removed, and one that was moved can be located. */

import { button, fill, h } from "../lib/dom.js";
import { plural, sentence } from "../lib/format.js";
import { confirmed, dialog } from "./dialogs.js";

/**
 * @typedef {import("../net/types.js").Folder} Folder
 */

/**
 * @param {string} what
 * @param {string[]} names
 * @param {number} count of all of them
 */
const listed = (what, names, count) => (count ? ` ${what}: ${names.join(", ")}${count > names.length ? ", …" : ""}.` : "");

export class FolderList {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.element = h("ul", { class: "paths" });
    this.shown = "";
    /** @type {Map<string, string>} */
    this.tried = new Map(); // by the folder's id: where it was looked for last
  }

  update() {
    const { folders, images, can } = this.app.project.value;
    const key = JSON.stringify([folders, images, can.add_folders]);
    if (key === this.shown) return; // a button that is in focus stays
    this.shown = key;
    this.element.hidden = !images.length;
    fill(this.element, images.map((text, k) => {
      const folder = can.add_folders ? folders[k] : null;
      return h("li", {}, text, folder?.missing && [" ", button("Locate…", () => this.locate(folder), { class: "link", "aria-label": `Locate ${folder.path}` })],
        folder && [" ", button("Remove…", () => void this.remove(folder), { class: "link", "aria-label": `Remove ${folder.path}` })]);
    }));
  }

  /** @param {Folder} folder */
  async remove(folder) {
    const { api } = this.app;
    const found = await this.app.attempt(api.removeFolder(folder.id, true));
    if (!found) return;
    const kept = found.annotated ? ` Its ${plural(found.annotated, "annotation")} (${found.accepted} accepted) won't be trained on, shown or exported any more. Nothing is deleted: they are kept in the project, and return when you add the folder again.` : "";
    const text = `${folder.path}: ${plural(found.n_images, "image")}. The image files stay where they are.${kept}`;
    if (!(await confirmed("Remove this folder from the project?", text, "Remove the folder"))) return;
    if (!(await this.app.attempt(api.removeFolder(folder.id, false)))) return;
    this.app.say(found.annotated ? `The folder is removed. Add it again to get its ${plural(found.annotated, "annotation")} back.` : "The folder is removed.");
    await this.app.refresh();
  }

  /**
   * Ask for the new place of a folder that was moved.
   * @param {Folder} folder
   */
  locate(folder) {
    const path = h("input", { type: "text", value: this.tried.get(folder.id) ?? folder.path, spellcheck: false, "aria-label": "Where the folder is now" });
    const find = () => void this.use(folder, path.value.trim());
    const shown = dialog("Where is this folder now?", [h("p", {}, folder.path), path], [
      { text: "Look there", primary: true, run: find, ready: () => path.value.trim() !== "" },
      { text: "Cancel" },
    ]);
    path.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !path.value.trim()) return;
      event.preventDefault();
      shown.close();
      find();
    });
    path.focus();
    path.select();
  }

  /**
   * Show how well a folder fits, and use it once a person agrees.
   * @param {Folder} folder
   * @param {string} path
   */
  async use(folder, path) {
    const { api } = this.app;
    this.tried.set(folder.id, path);
    const found = await this.app.attempt(api.locateFolder(folder.id, path, true));
    if (!found) return;
    const all = found.matching === found.annotated;
    const fits = !found.annotated ? "No image of this folder is annotated."
      : all ? `All ${plural(found.annotated, "annotated image")} are there.`
        : `${found.matching} of ${plural(found.annotated, "annotated image")} are there.${listed("Not found", found.lacking, found.n_lacking)}${listed("Of another size, or damaged", found.resized, found.n_resized)} Their annotations are kept.`;
    if (!(await confirmed("Use this folder?", sentence(`${path}: ${plural(found.n_images, "image")}. ${fits}`), "Use it"))) return;
    if (!(await this.app.attempt(api.locateFolder(folder.id, path, false)))) return;
    this.app.say(found.matching ? `The folder is found, with ${plural(found.matching, "annotation")}.` : "The folder is found.");
    await this.app.refresh();
  }
}
