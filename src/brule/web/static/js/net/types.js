/**
 * What the server sends. Types alone; nothing runs here.
 *
 * @typedef {import("../core/wire.js").WirePoint} WirePoint
 * @typedef {[number, number]} XY
 * @typedef {"new" | "draft" | "accepted" | "rejected"} Status
 *
 * @typedef {{name: string, points: number[], closed: boolean}} Contour
 * @typedef {{version: number, kind: string, names: string[], edges: XY[], contours: Contour[], pairs: XY[] | null,
 *   pairs_from: "person" | "found" | null, shape: XY[] | null}} Template
 * @typedef {Template & {id: string, title: string}} KnownTemplate
 *
 * @typedef {{state: "idle" | "running" | "stopping" | "stopped" | "finished" | "failed", run: string | null, share: number | null,
 *   seconds: number, seconds_left: number | null, iteration: number, curve: {[term: string]: XY[]},
 *   term_labels: {[term: string]: string}, preview: string | null, message: string | null, command: string,
 *   stage?: string | null, can_resume?: boolean}} Training
 *   `stage`: what is done besides the steps, in words; `can_resume`: whether there is a checkpoint to continue from
 * @typedef {{state: "idle" | "running" | "finished" | "failed", done: number, total: number, message: string | null}} Predicting
 * @typedef {{ready: boolean, source: "mean" | "model" | "detector" | null, trained_on: number,
 *   held_out: {mean: number | null, model: number | null, detector: number | null} | null}} Guessing
 * @typedef {{n: number, error_px: number, error_percent: number | null, mean_shape_px: number | null}} HeldOut
 * @typedef {{name: string, finished: boolean, trained_on: number, held_out: HeldOut | null, decoder: boolean}} Run
 * @typedef {{name: string, landmarks: number[]}} Measure
 * @typedef {{distances: Measure[], angles: Measure[]}} Measurements
 * @typedef {{id: string, name: string, source: "annotated" | "predicted" | "flagged", expected: number | null,
 *   values: (number | null)[]}} MeasuredImage
 * @typedef {{label: string, n_images: number, closed: boolean}} OutlineLabel
 * @typedef {{name: string, title: string, one_image: boolean, loses: string[]}} ExportFormat
 *
 * @typedef {{id: string, path: string, missing: boolean}} Folder
 * @typedef {{n_images: number, annotated: number, matching: number, lacking: string[], n_lacking: number, resized: string[],
 *   n_resized: number}} FolderMatch
 * @typedef {{name: string, folder: string, images: string[], folders: Folder[], n_images: number, empty: boolean,
 *   counts: {[status in Status]: number}, template: Template, annotator: string | null, annotators: string[],
 *   scale: number | null, formats: ExportFormat[], train: Training, guess: Guessing, choice: {ready: boolean, ids: string[]}, runs: Run[],
 *   can: {add_folders: boolean, start_from: boolean, redraw: boolean}, measurements: Measurements, landmarks: number,
 *   outlines: OutlineLabel[], problems?: string[]}} Project
 *   `landmarks` is the version of the landmarks' names, number and order; `problems`: what isn't there of the project's images
 *
 * @typedef {{id: string, name: string, status: Status, version: number, placed: number, uncertainty: number | null,
 *   expected_px: number | null, proposed: number | null, predicted: boolean, repeated: boolean}} Item
 * @typedef {{total: number, offset: number, items: Item[]}} Page
 * @typedef {{run: string, points: WirePoint[], uncertainty: number[] | null, expected_px: number | null, flagged: boolean}} Prediction
 * @typedef {{id: string, name: string, width: number, height: number, version: number, status: Status, points: WirePoint[],
 *   scale: number | null, box: [number, number, number, number] | null, annotator: string | null, undo: number, redo: number,
 *   prediction: Prediction | null, previous: string | null, next: string | null,
 *   view: {sizes: number[], tile: number, levels: number, etag: string}, landmarks: number, layer?: string}} ImageRecord
 *   `landmarks` is the version of the landmarks that the points are of; `layer` is the saver's: absent for the first annotation
 *
 * @typedef {{ready: boolean, source: "mean" | "model" | "detector" | null, points: WirePoint[] | null,
 *   uncertainty: number[] | null}} Guess
 * @typedef {{code: string, landmarks: number[], message: string, severity: "warning" | "info"}} Hint
 * @typedef {{id: string, name: string, version: number, point: WirePoint, side: number}} Occurrence
 */

export {};
