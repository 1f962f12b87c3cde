/** Which images the project has; folders and files can be added. */

import { button, field, fill, h } from "../lib/dom.js";
import { plural } from "../lib/format.js";

export class ImagesCard {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.about = h("div");
    this.path = h("input", { type: "text", placeholder: "/home/me/photos", spellcheck: false });
    const form = h("form", { class: "row", onsubmit: (/** @type {Event} */ event) => this.addFolder(event) }, field("Add a folder on this computer", this.path), h("button", { type: "submit" }, "Add"));
    this.form = form;
    this.files = h("input", { type: "file", multiple: true, accept: "image/*", class: "visually-hidden", tabIndex: -1, "aria-label": "Image files to add", onchange: () => void this.upload([...(this.files.files ?? [])]) });
    const drop = h("div", { class: "drop" }, "Drop images here, or ", button("choose files", () => this.files.click(), { class: "link" }), this.files);
    drop.addEventListener("dragover", (event) => this.over(event, drop, true));
    drop.addEventListener("dragleave", (event) => this.over(event, drop, false));
    drop.addEventListener("drop", (event) => {
      this.over(event, drop, false);
      void this.upload([...(event.dataTransfer?.files ?? [])]);
    });
    this.element = h("section", { class: "card" }, h("h2", {}, "1  Images"), this.about, form, drop,
      h("p", { class: "note" }, "A folder of annotations in any format that brulè reads, or of predictions, can be added the same way."));
  }

  update() {
    const { n_images: n, images, can, counts } = this.app.project.value;
    this.form.hidden = !can.add_folders;
    fill(
      this.about,
      h("p", {}, n ? h("strong", {}, plural(n, "image")) : "No images yet.", n > 0 && ` · ${counts.accepted} accepted, ${counts.draft} begun, ${counts.rejected} rejected`),
      images.length > 0 && h("ul", { class: "paths" }, images.map((folder) => h("li", {}, folder))),
    );
  }

  /** @param {Event} event */
  async addFolder(event) {
    event.preventDefault();
    const path = this.path.value.trim();
    if (!path) return;
    const answer = await this.app.attempt(this.app.api.addFolders([path]));
    if (!answer) return;
    this.path.value = "";
    this.app.say(`${plural(answer.added, "image")} added.`);
    await this.app.refresh();
  }

  /**
   * @param {DragEvent} event
   * @param {HTMLElement} drop
   * @param {boolean} on
   */
  over(event, drop, on) {
    event.preventDefault();
    drop.classList.toggle("over", on);
  }

  /** @param {File[]} files */
  async upload(files) {
    let added = 0;
    for (const file of files) {
      if (await this.app.attempt(this.app.api.upload(file.name, file))) added += 1;
    }
    if (added) this.app.say(`${plural(added, "image")} added.`);
    await this.app.refresh();
  }
}
