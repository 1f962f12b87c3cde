/** The panels beside the image. */

import { h } from "../lib/dom.js";
import { displayPanel } from "./display.js";
import { ExamplesPanel } from "./examples.js";
import { HintsPanel } from "./hints.js";
import { LandmarkList } from "./landmark_list.js";
import { LiveMeasures } from "./live_measures.js";
import { ShapePanel } from "./shape_picture.js";
import { StatePanel } from "./state.js";

export class SidePanels {
  /**
   * @param {import("../state/app.js").App} app
   * @param {(i: number) => void} choose
   * @param {import("../view/annotation_stage.js").AnnotationStage} stage
   * @param {{run: (command: string) => void, until: AbortSignal}} more `until`: the page is left
   */
  constructor(app, choose, stage, { run, until }) {
    this.app = app;
    this.shape = new ShapePanel();
    this.landmarks = new LandmarkList(choose, () => app.project.value.template, run);
    this.state = new StatePanel(app);
    this.measures = new LiveMeasures(app);
    this.examples = new ExamplesPanel(app);
    this.hints = new HintsPanel(app, (hints) => stage.mark(new Set(hints.flatMap((hint) => hint.landmarks))), choose);
    this.element = h(
      "aside",
      { class: "side", "aria-label": "Landmarks and display" },
      this.state.element, this.hints.element, this.shape.element, this.landmarks.element, this.examples.element, this.measures.element,
      displayPanel(app.settings, until),
    );
  }

  /**
   * @param {import("../state/editor.js").Editor} editor
   * @param {string} [back] the page that the image was opened from
   */
  update(editor, back) {
    this.state.update(editor, back);
    this.landmarks.update(editor);
    this.shape.update(this.app.project.value.template, editor.selected.value);
    this.examples.update(editor.selected.value, editor.id);
    this.measures.update(editor);
    this.hints.update(editor);
  }
}
