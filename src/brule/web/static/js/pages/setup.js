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
    this.element = h(
      "div",
      { class: "page setup" },
      h("h1", {}, "Set up"),
      h("p", { class: "lead" }, "Name the landmarks (keypoints) you want to find, then annotate about ten images. brulè learns the rest from images without annotations."),
      h("div", { class: "cards" }, cards.map((card) => card.element)),
    );
    this.endings = cards.map((card) => app.project.watch(() => card.update()));
  }

  leave() {
    for (const end of this.endings) end();
  }
}
