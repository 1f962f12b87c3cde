/** Landmarks, contours and handles, drawn over the image. Sizes are in CSS pixels, whatever the zoom. */

import { HIDDEN, SUGGESTED, hasPosition } from "../core/points.js";
import { toScreen } from "../core/viewport.js";

/** @typedef {import("../core/points.js").Shape} Shape */
/** @typedef {import("../core/viewport.js").View} View */
/**
 * @typedef {{shape: Shape, view: View, selected: number, hovered: number, colours: string[], edges: [number, number][],
 *   size: number, numbers: "selected" | "all" | "none", names: string[], marked: Set<number>, dragging: boolean}} Scene
 */

const DARK = "rgb(15 12 10 / 0.85)";
const LIGHT = "rgb(255 255 255 / 0.95)";
const TURN = 2 * Math.PI;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
export function drawLandmarks(context, scene) {
  drawEdges(context, scene);
  const { shape } = scene;
  for (let i = 0; i < shape.state.length; i++) {
    if (i !== scene.selected && hasPosition(shape, i)) drawPoint(context, scene, i);
  }
  if (scene.selected >= 0 && scene.selected < shape.state.length && hasPosition(shape, scene.selected)) drawSelected(context, scene);
  drawLabels(context, scene);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawEdges(context, { shape, view, edges }) {
  context.beginPath();
  for (const [a, b] of edges) {
    if (!hasPosition(shape, a) || !hasPosition(shape, b)) continue;
    context.moveTo(...toScreen(view, shape.x[a], shape.y[a]));
    context.lineTo(...toScreen(view, shape.x[b], shape.y[b]));
  }
  context.lineWidth = 2.5;
  context.strokeStyle = "rgb(0 0 0 / 0.35)";
  context.stroke();
  context.lineWidth = 1.2;
  context.strokeStyle = "rgb(255 255 255 / 0.75)";
  context.stroke();
}

/**
 * A set point is a full disc, a hidden one a ring, a suggested one a small pale ring.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {number} i
 */
function drawPoint(context, { shape, view, colours, size, hovered, marked }, i) {
  const [x, y] = toScreen(view, shape.x[i], shape.y[i]);
  const state = shape.state[i];
  const radius = (state === SUGGESTED ? 0.7 : 1) * size + (i === hovered ? 1.5 : 0);
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  if (state === SUGGESTED || state === HIDDEN) {
    context.lineWidth = state === HIDDEN ? 4.5 : 3.5;
    context.strokeStyle = DARK;
    context.stroke();
    context.lineWidth = state === HIDDEN ? 2.5 : 1.5;
    context.strokeStyle = colours[i];
    context.stroke();
  } else {
    context.fillStyle = colours[i];
    context.fill();
    context.lineWidth = 1.25;
    context.strokeStyle = DARK;
    context.stroke();
  }
  if (marked.has(i)) ring(context, x, y, radius + 5, "#ff5a4d");
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawSelected(context, scene) {
  const { shape, view, selected, size } = scene;
  const [x, y] = toScreen(view, shape.x[selected], shape.y[selected]);
  if (!scene.dragging) drawPoint(context, scene, selected);
  ring(context, x, y, size + 5, LIGHT);
  context.beginPath(); // a cross that leaves the place itself free
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + (size + 5) * dx, y + (size + 5) * dy);
    context.lineTo(x + (size + 12) * dx, y + (size + 12) * dy);
    if (scene.dragging) {
      context.moveTo(x + 1.5 * dx, y + 1.5 * dy);
      context.lineTo(x + 4 * dx, y + 4 * dy);
    }
  }
  context.lineWidth = 3.5;
  context.strokeStyle = DARK;
  context.stroke();
  context.lineWidth = 1.5;
  context.strokeStyle = LIGHT;
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {string} colour
 */
function ring(context, x, y, radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.lineWidth = 3.5;
  context.strokeStyle = DARK;
  context.stroke();
  context.lineWidth = 1.75;
  context.strokeStyle = colour;
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawLabels(context, scene) {
  const { shape, view, selected, hovered, numbers, names, size, dragging } = scene;
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  if (numbers === "all") {
    for (let i = 0; i < shape.state.length; i++) {
      if (i !== hovered && i !== selected && hasPosition(shape, i)) {
        const [x, y] = toScreen(view, shape.x[i], shape.y[i]);
        label(context, String(i + 1), x + size + 4, y - size - 4);
      }
    }
  }
  for (const i of new Set([selected, hovered])) {
    if (i < 0 || i >= names.length || !hasPosition(shape, i) || dragging || (numbers === "none" && i !== hovered)) continue;
    const [x, y] = toScreen(view, shape.x[i], shape.y[i]);
    label(context, `${i + 1} ${names[i]}`, x + size + 10, y - size - 10);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} x
 * @param {number} y
 */
function label(context, text, x, y) {
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeStyle = DARK;
  context.strokeText(text, x, y);
  context.fillStyle = LIGHT;
  context.fillText(text, x, y);
}
