import { emptyShape, setPoint } from "../static/core/points.js";

/** A shape of points `[x, y, state]`. */
export function shapeOf(points) {
  const shape = emptyShape(points.length);
  points.forEach((point, i) => setPoint(shape, i, point));
  return shape;
}
