/** Setting up a project: images, landmarks, contours, pairs, and which images to annotate first. */

import { h } from "../lib/dom.js";
import { ImagesCard } from "../panels/setup_images.js";
import { LandmarksCard } from "../panels/setup_landmarks.js";
import { LinesCard } from "../panels/setup_lines.js";
import { ChoiceCard } from "../panels/setup_choice.js";

export class SetupPage {
  /** @param {import("../state/app.js").App} app */
  constructor(app) {
    const cards = [new ImagesCard(app), new LandmarksCard(app), new LinesCard(app), new ChoiceCard(app)];
    const go = h("a", { class: "button primary", href: "#/annotate" }, "Start annotating");
    this.element = h(
      "div",
      { class: "page setup" },
      h("div", { class: "page-head" }, h("h1", {}, "Set up"), go),
      h("p", { class: "lead" }, "Add your images, name the landmarks (keypoints) to find, and annotate about ten images. brulè learns the rest from the images without annotations."),
      h("div", { class: "cards" }, cards.map((card) => card.element)),
    );
    this.endings = cards.map((card) => app.project.watch(() => card.update()));
    const titles = cards.map((card) => /** @type {HTMLElement} */ (card.element.querySelector("h2")));
    const texts = titles.map((title) => title.textContent);
    this.endings.push(app.project.watch(() => {
      let step = 0;
      cards.forEach(({ element }, k) => (titles[k].textContent = `${element.hidden ? "" : ++step}  ${texts[k]}`));
    }));
    this.endings.push(app.project.watch(({ n_images: n, template, counts }) => {
      go.hidden = !n || !template.names.length;
      go.textContent = counts.accepted + counts.draft ? "Continue annotating" : "Start annotating";
    }));
  }

  leave() {
    for (const end of this.endings) end();
  }
}
