/** Which images the project has; folders and files can be added, folders removed. */

import { button, field, fill, h } from "../lib/dom.js";
import { chosenFiles, droppedFiles, imagesAmong } from "../lib/dropped.js";
import { leftOut, plural } from "../lib/format.js";
import { FolderList } from "./setup_folders.js";

export class ImagesCard {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    this.app = app;
    this.about = h("p");
    this.folders = new FolderList(app);
    this.path = h("input", { type: "text", placeholder: "/home/me/photos", spellcheck: false });
    const form = h("form", { class: "row", onsubmit: (/** @type {Event} */ event) => this.addFolder(event) }, field("Add a folder on this computer", this.path), h("button", { type: "submit" }, "Add"));
    this.form = form;
    const chooser = (/** @type {string} */ label, /** @type {boolean} */ folder) => {
      const input = h("input", { type: "file", multiple: true, ...(folder ? { webkitdirectory: true } : { accept: "image/*" }), class: "visually-hidden", tabIndex: -1, "aria-label": label });
      input.addEventListener("change", () => {
        void this.upload(chosenFiles(input.files));
        input.value = "";
      });
      return input;
    };
    const files = chooser("Image files to add", false);
    const folder = chooser("Folder of images to add", true);
    this.progress = h("p", { class: "note", role: "status", hidden: true });
    const drop = h("div", { class: "drop" }, "Drop images or a folder here, or ", button("choose images", () => files.click(), { class: "link" }), " or ", button("a folder", () => folder.click(), { class: "link" }), ".", files, folder, this.progress);
    drop.addEventListener("dragover", (event) => this.over(event, drop, true));
    drop.addEventListener("dragleave", (event) => this.over(event, drop, false));
    drop.addEventListener("drop", (event) => {
      this.over(event, drop, false);
      void droppedFiles(event.dataTransfer).then((dropped) => this.upload(dropped));
    });
    this.element = h("section", { class: "card" }, h("h2", {}, "Images"), this.about, this.folders.element, form, drop,
      h("p", { class: "note" }, "Annotations in a folder that you add by its path (COCO, TPS, CVAT, labelme, DeepLabCut, .pts, …) are imported, and so are the predictions of brule predict, for review. Dropped images are copied into the project."));
  }

  update() {
    const { n_images: n, can, counts } = this.app.project.value;
    this.form.hidden = !can.add_folders;
    fill(this.about, n ? h("strong", {}, plural(n, "image")) : "No images yet.", n > 0 && ` · ${counts.accepted} accepted, ${counts.draft} in progress, ${counts.rejected} rejected`);
    this.folders.update();
  }

  /** @param {Event} event */
  async addFolder(event) {
    event.preventDefault();
    const path = this.path.value.trim();
    if (!path) return;
    const answer = await this.app.attempt(this.app.api.addFolders([path]));
    if (!answer) return;
    this.path.value = "";
    this.app.say(addedText(answer));
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

  /**
   * Copy images into the project.
   * @param {import("../lib/dropped.js").Dropped[]} dropped
   */
  async upload(dropped) {
    const { images, others } = imagesAmong(dropped);
    if (!images.length) return this.app.fail(new Error(others ? "No images among these files. Name the folder of annotations by its path, above." : "This folder holds no images."));
    let done = 0;
    const problems = [];
    this.progress.hidden = false;
    for (const { path, file } of images) {
      this.progress.textContent = `Copying ${plural(images.length, "image")}: ${done + problems.length + 1}, ${path}`;
      try {
        await this.app.api.upload(path, file);
        done += 1;
      } catch (error) {
        problems.push(/** @type {Error} */ (error).message);
        if (/** @type {any} */ (error).code === "disk_full" || /** @type {any} */ (error).code === "offline") break;
      }
    }
    this.progress.hidden = true;
    const passed = others ? ` ${plural(others, "other file")} passed over.` : "";
    if (problems.length) this.app.fail(new Error(`${plural(done, "image")} added, ${problems.length} not: ${problems[0]}`));
    else this.app.say(`${plural(done, "image")} added.${passed}`);
    await this.app.refresh();
  }
}

/** @param {{added: number, imported: number, kept: number, outlined: number, predicted: number, left_out: string[], n_left_out: number}} answer */
function addedText({ added, imported, kept, outlined, predicted, ...left }) {
  const parts = [added || !(imported + kept + outlined + predicted) ? `${plural(added, "image")} added` : "", imported ? `${plural(imported, "annotation")} imported` : "",
    kept ? `${plural(kept, "image")} annotated here already and left as they are` : "", predicted ? `predictions of ${plural(predicted, "image")} imported: see Review` : "", outlined ? `outlines found in ${plural(outlined, "image")}: see Contours` : ""];
  const problem = left.n_left_out ? ` ${leftOut(left)}` : "";
  return `${parts.filter(Boolean).join(", ")}.${problem}`;
}
