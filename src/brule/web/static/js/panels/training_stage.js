/** What a training is doing, in words; and what can be done with it. */

import { sentence } from "../lib/format.js";

/** @typedef {import("../net/types.js").Training} Training */

const DONE = 0.9995; // of the steps or of the time: the log's seconds are rounded

/**
 * Whether all steps are done, and what follows them isn't.
 * @param {Training} train
 */
export function isFinishing({ state, share }) {
  return state === "running" && share !== null && share >= DONE;
}

/**
 * What is done besides the steps, as the server names it; "" during the steps.
 * @param {Training} train
 */
export function stageOf(train) {
  if (train.state !== "running") return "";
  if (train.stage) return sentence(train.stage);
  if (isFinishing(train)) return "Finishing: calibrating, saving.";
  return train.iteration ? "" : "Preparing the images; the first step takes a moment.";
}

/**
 * How much of the steps is done. Only a finished training is at 100 %.
 * @param {Training} train
 */
export function trainedShare(train) {
  if (isFinishing(train)) return "All steps done";
  const percent = 100 * (train.share ?? (train.state === "finished" ? 1 : 0));
  return `${train.state === "finished" ? Math.round(percent) : Math.min(99, Math.round(percent))} %`;
}

/**
 * Whether a training can be continued: it was stopped, or failed, after a checkpoint.
 * @param {Training} train
 */
export function canResume({ state, can_resume: can = false }) {
  return (state === "stopped" || state === "failed") && can;
}
