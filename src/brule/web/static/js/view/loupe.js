/** A magnifying glass at the pointer, drawn from the image itself and not from the screen. */

import { toImage, toScreen } from "../core/viewport.js";
import { drawLandmarks } from "./overlay.js";

const RADIUS = 92;
const TIMES = 4;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./stage.js").Stage} stage
 * @param {[number, number]} at on the screen
 */
export function drawLoupe(context, stage, [sx, sy]) {
  const centre = beside(stage, sx, sy);
  const [x, y] = toImage(stage.view, sx, sy);
  const scale = TIMES * stage.view.scale;
  const view = { scale, x: centre[0] - scale * (x + 0.5), y: centre[1] - scale * (y + 0.5) };
  context.save();
  context.beginPath();
  context.arc(...centre, RADIUS, 0, 2 * Math.PI);
  context.clip();
  context.fillStyle = "#888";
  context.fillRect(centre[0] - RADIUS, centre[1] - RADIUS, 2 * RADIUS, 2 * RADIUS);
  context.filter = stage.filter;
  stage.picture.paint(context, view, stage.size, stage.density);
  context.filter = "none";
  if (stage.scene && !stage.hidden) drawLandmarks(context, { ...stage.scene, view, numbers: "none", hovered: -1, dragging: true });
  cross(context, ...toScreen(view, x, y));
  context.restore();
  context.beginPath();
  context.arc(...centre, RADIUS, 0, 2 * Math.PI);
  context.lineWidth = 3;
  context.strokeStyle = "rgb(255 255 255 / 0.95)";
  context.stroke();
  context.lineWidth = 1;
  context.strokeStyle = "rgb(0 0 0 / 0.6)";
  context.stroke();
}

/**
 * A place for the glass beside the pointer that lies within the window.
 * @param {import("./stage.js").Stage} stage
 * @param {number} sx
 * @param {number} sy
 * @returns {[number, number]}
 */
function beside(stage, sx, sy) {
  const away = RADIUS + 28;
  const x = sx + away + RADIUS > stage.size.width ? sx - away : sx + away;
  const y = sy - away - RADIUS < 0 ? sy + away : sy - away;
  return [x, y];
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 */
function cross(context, x, y) {
  context.beginPath();
  context.moveTo(x - 9, y);
  context.lineTo(x + 9, y);
  context.moveTo(x, y - 9);
  context.lineTo(x, y + 9);
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 0.55)";
  context.stroke();
  context.lineWidth = 1;
  context.strokeStyle = "#fff";
  context.stroke();
}
