/** Training: start, watch, stop, resume. It runs beside the page and survives it. */

import { button, field, fill, h } from "../lib/dom.js";
import { decimal, duration, plural, sentence } from "../lib/format.js";
import { lineChart } from "../panels/chart.js";
import { PresetChoice } from "../panels/preset_choice.js";
import { canResume, stageOf, trainedShare } from "../panels/training_stage.js";

/** @typedef {import("../state/app.js").App} App */
/** @typedef {import("../net/types.js").Training} Training */

const ENOUGH = 10;
const MIN = 3;
const TOTAL = new Set(["loss", "total"]); // drawn first
const POLL_MS = 3000;
const STATES = { idle: "Not started", running: "Training", stopping: "Stopping after the current step…", stopped: "Stopped", finished: "Finished", failed: "Failed" };

export class TrainPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.minutes = h("select", {}, [5, 10, 20, 40, 60, 120].map((value) => h("option", { value, selected: value === 20 }, value < 60 ? `${value} minutes` : plural(value / 60, "hour"))),
      h("option", { value: "" }, "as long as it takes"));
    this.again = h("input", { type: "checkbox", checked: true });
    this.againRow = h("label", { class: "check" }, this.again, "Start from the last detector");
    this.advice = h("p");
    this.controls = h("div", { class: "row" });
    this.status = h("section", { class: "card", "aria-live": "off" });
    this.curve = h("section", { class: "card" });
    this.preview = h("section", { class: "card" });
    this.rounds = h("section", { class: "card" });
    this.command = h("code");
    this.preset = new PresetChoice(app);
    this.preset.select.addEventListener("change", () => (this.minutes.value = this.preset.value ? "" : "20")); // each has its own time, or none
    this.set = h("textarea", { rows: 2, spellcheck: false, placeholder: "key=value, one per line" });
    this.timeRow = field("Train for", this.minutes);
    this.settings = h("details", {}, h("summary", {}, "More settings"), this.preset.element,
      field("Settings, one per line, as in brule train --set", this.set));
    this.commandRow = h("details", {}, h("summary", {}, "The same on the command line"), h("p", { class: "command" }, this.command));
    const settings = h("section", { class: "card" }, h("h2", {}, "A detector from your annotations"), this.advice, this.timeRow, this.againRow, this.controls,
      this.settings, this.commandRow);
    this.element = h("div", { class: "page train" }, h("h1", {}, "Train"), h("div", { class: "cards" }, settings, this.status, this.curve, this.preview, this.rounds));
    this.endings = [app.project.watch(() => this.update())];
    this.timer = setInterval(() => void this.poll(), POLL_MS);
    this.shownCurve = "";
  }

  leave() {
    clearInterval(this.timer);
    for (const end of this.endings) end();
  }

  async poll() {
    const { train } = this.app.project.value;
    if (train.state !== "running" && train.state !== "stopping") return;
    try {
      const now = await this.app.api.training();
      this.app.project.value = { ...this.app.project.value, train: now };
      if (now.state !== "running" && now.state !== "stopping") await this.app.refresh();
    } catch {
      // The next look comes soon.
    }
  }

  update() {
    const { train, counts, can, runs, template } = this.app.project.value;
    const n = counts.accepted;
    this.advice.textContent = !template.names.length || n < MIN
      ? `Annotate at least ${MIN} images before you train; about ten give a good detector. Accepted so far: ${n}.`
      : n < ENOUGH ? `${plural(n, "image")} accepted. You can train now; about ten give a better detector.` : `${plural(n, "image")} accepted. Training also uses the other images, without annotations.`;
    const running = train.state === "running" || train.state === "stopping";
    this.againRow.hidden = !can.start_from || running;
    this.timeRow.hidden = running;
    this.settings.hidden = running;
    this.command.textContent = train.command;
    this.commandRow.hidden = !train.command;
    this.showControls(train, n);
    this.showStatus(train);
    this.showCurve(train);
    this.showRounds(runs);
  }

  /**
   * @param {Training} train
   * @param {number} accepted
   */
  showControls(train, accepted) {
    const { api } = this.app;
    const running = train.state === "running" || train.state === "stopping";
    const start = () => this.act(api.train("", this.options()));
    const resume = () => this.act(api.train("/resume"));
    const buttons = running
      ? [button("Stop", () => this.act(api.train("/stop")), { disabled: train.state === "stopping" })]
      : [
          button(train.state === "idle" ? "Start training" : "Train again", start, { class: "primary", disabled: accepted < MIN }),
          canResume(train) && button("Resume", resume, { title: "Continue from the last checkpoint" }),
        ];
    const key = `${train.state} ${accepted >= MIN} ${train.run} ${canResume(train)}`;
    if (this.controls.dataset.key === key) return; // a button that is in focus stays
    this.controls.dataset.key = key;
    fill(this.controls, buttons);
  }

  /** What a training is asked for. */
  options() {
    const set = this.set.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return {
      ...(this.minutes.value ? { minutes: Number(this.minutes.value) } : {}),
      ...(this.app.project.value.can.start_from ? { start_from: this.again.checked } : {}),
      ...(this.preset.value ? { preset: this.preset.value } : {}),
      ...(set.length ? { set } : {}),
    };
  }

  /** @param {Promise<Training>} work */
  async act(work) {
    const train = await this.app.attempt(work);
    if (train) this.app.project.value = { ...this.app.project.value, train };
  }

  /** @param {Training} train */
  showStatus(train) {
    const share = train.share ?? (train.state === "finished" ? 1 : 0);
    const stage = stageOf(train);
    const running = train.state === "running";
    const known = running && train.iteration > 0 && !stage && train.seconds_left !== null;
    const time = `${duration(train.seconds)}${running ? " so far" : ""}`;
    const facts = [trainedShare(train), plural(train.iteration, "step"), time,
      ...(known ? [`about ${duration(train.seconds_left)} left`] : [])];
    this.status.hidden = train.state === "idle";
    fill(
      this.status,
      h("h2", {}, STATES[train.state], train.run && ` · ${train.run}`),
      h("progress", { max: 1, value: share, "aria-label": "Progress of the training" }),
      stage && h("p", { class: "stage-name" }, stage),
      h("p", {}, facts.join(" · ")),
      train.message && h("p", { class: train.state === "failed" ? "error" : "note" }, sentence(train.message)),
      train.state === "finished" && h("p", {}, h("a", { href: "#/review", class: "button primary" }, "Review the predictions")),
      train.state === "running" && h("p", { class: "note" }, "The training continues when you close this page. You can annotate in the meantime."),
    );
  }

  /** @param {Training} train */
  showCurve(train) {
    const terms = Object.keys(train.curve).sort((a, b) => Number(TOTAL.has(b)) - Number(TOTAL.has(a)));
    const series = terms.map((name) => ({ name: train.term_labels[name] ?? name, points: train.curve[name] }));
    const total = series.slice(0, TOTAL.has(terms[0]) ? 1 : 0);
    const parts = series.slice(total.length); // each in a chart of its own: they differ in size
    const key = `${train.run} ${series.map((own) => own.points.length).join()} ${train.preview}`;
    this.curve.hidden = !series.some((own) => own.points.length > 1);
    this.preview.hidden = !train.preview;
    if (key === this.shownCurve) return;
    this.shownCurve = key;
    if (series.length) {
      fill(
        this.curve,
        h("h2", {}, "Learning curve"),
        total.length > 0 && lineChart(total, { x: "step", y: "loss (lower is better)", whole: true }),
        total.length > 0 && parts.length > 0 && h("h3", {}, "Each term"),
        h("div", { class: "small-charts" }, parts.map((own) => lineChart([own], { x: "step", y: own.name, whole: true, small: true }))),
      );
    }
    if (train.preview) fill(this.preview, h("h2", {}, "Preview"), h("img", { src: train.preview, alt: "Landmarks that the detector finds in a few images", class: "preview" }));
  }

  /** @param {import("../net/types.js").Run[]} runs */
  showRounds(runs) {
    const measured = runs.flatMap((run, k) => (run.held_out ? [{ run, held: run.held_out, k }] : []));
    this.rounds.hidden = !runs.length;
    fill(
      this.rounds,
      h("h2", {}, "Error from round to round"),
      h("p", { class: "note" }, "The error is measured on accepted images that the detector was not trained on."),
      measured.length > 0 && lineChart(
        [
          { name: "this detector", points: measured.map(({ held, k }) => [k + 1, held.error_px]), dots: true },
          { name: "the mean shape, for comparison", points: measured.flatMap(({ held, k }) => (held.mean_shape_px === null ? [] : [/** @type {[number, number]} */ ([k + 1, held.mean_shape_px])])), dashed: true, dots: true },
        ],
        { x: "round", y: "mean error in px", zero: true, whole: true },
      ),
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, ["Round", "Trained on", "Error", "Held-out images"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, runs.map((run) => h("tr", {}, h("th", { scope: "row" }, run.name), h("td", {}, plural(run.trained_on, "image")),
          h("td", {}, run.held_out ? `${decimal(run.held_out.error_px)} px` : "not measured"), h("td", {}, run.held_out?.n ?? 0)))),
      ),
    );
  }
}
