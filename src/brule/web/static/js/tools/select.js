/** The pointer: drags points and the handles of the whole shape; a click sets the landmark that is next. */

import { nearest, turnAndScale, mean, within } from "../core/geometry.js";
import { SUGGESTED, VISIBLE, placedIndices } from "../core/points.js";
import { toImage, toScreen } from "../core/viewport.js";
import { frameOf, handleAt } from "../view/handles.js";

/** @typedef {import("../view/pointer.js").At} At */
/** @typedef {import("../state/editor.js").Editor} Editor */

// CSS pixels, whatever the zoom: around a point from where it is dragged, and from where a click is meant for the point itself
const REACH = 14;
const FINGER_REACH = 30;
const ON = 3;
const FINGER_ON = 12;
const SLACK = { firm: 2, loose: 4 }; // that the pointer moves before a drag begins; more where a click sets another landmark
const AIM = { touch: [0, -52], beside: [-24, -24], at: [0, 0] };

export class SelectTool {
  /**
   * @param {import("../view/stage.js").Stage} stage
   * @param {() => Editor | null} editor
   * @param {import("../state/settings.js").Settings} settings
   */
  constructor(stage, editor, settings) {
    this.stage = stage;
    this.editor = editor;
    this.settings = settings;
    this.hovered = -1;
    this.dragging = false;
    /** @type {At | null} where the next landmark would be set, if that isn't at the pointer */
    this.aim = null;
    /** @type {((at: At) => void) | null} */
    this.drag = null;
    /** The landmark that is pressed. */
    this.pressed = -1;
    /** Whether a handle of the shape is pressed and hasn't been dragged yet. */
    this.handle = false;
    this.label = "";
  }

  /** @param {At} at */
  pointUnder(at) {
    const editor = this.editor();
    if (!editor) return -1;
    const [x, y] = toImage(this.stage.view, at.x, at.y);
    const reach = (at.touch ? FINGER_REACH : REACH) / this.stage.view.scale;
    return nearest(editor.shape, placedIndices(editor.shape), x, y, reach);
  }

  /** @param {At} at */
  handleUnder(at) {
    const editor = this.editor();
    const frame = editor && this.stage.handles ? frameOf(editor.shape, this.stage.view) : null;
    return frame ? handleAt(frame, at.x, at.y, at.touch ? FINGER_REACH : undefined) : null;
  }

  /**
   * @param {At} at
   * @returns {boolean}
   */
  down(at) {
    const editor = this.editor();
    if (!editor) return false;
    const i = this.pointUnder(at);
    const handle = i < 0 ? this.handleUnder(at) : null;
    if (i >= 0) this.takePoint(editor, i, at);
    if (handle) this.takeShape(editor, handle, at);
    else if (at.touch) this.aim = at;
    return this.drag !== null;
  }

  /**
   * The point keeps its distance from the pointer, so that the pointer doesn't cover it.
   * @param {Editor} editor
   * @param {number} i
   * @param {At} at
   */
  takePoint(editor, i, at) {
    const [x, y] = toImage(this.stage.view, at.x, at.y);
    const [dx, dy] = [editor.shape.x[i] - x, editor.shape.y[i] - y];
    const slack = editor.target < 0 || editor.target === i ? SLACK.firm : SLACK.loose;
    let begun = false;
    this.pressed = i;
    this.label = `move ${editor.names[i]}`;
    this.drag = (now) => {
      if (!begun && Math.hypot(now.x - at.x, now.y - at.y) < slack) return;
      if (!begun) {
        editor.select(i);
        editor.begin();
        editor.hold(i, this.settings.value.follow);
        this.stage.above.style.cursor = "none";
        this.aim = null;
        this.dragging = begun = true;
      }
      const [px, py] = toImage(this.stage.view, now.x, now.y);
      editor.dragTo(px + dx, py + dy);
    };
  }

  /**
   * @param {Editor} editor
   * @param {import("../view/handles.js").HandleKind} kind
   * @param {At} at
   */
  takeShape(editor, kind, at) {
    const centre = mean(editor.shape, placedIndices(editor.shape));
    const from = toImage(this.stage.view, at.x, at.y);
    const [fx, fy] = [from[0] - centre[0], from[1] - centre[1]];
    const slack = editor.target < 0 ? 0 : SLACK.loose; // a click sets the next landmark
    this.handle = true;
    this.label = `${kind} the shape`;
    this.drag = (now) => {
      if (this.handle && Math.hypot(now.x - at.x, now.y - at.y) <= slack) return;
      if (this.handle) editor.begin();
      this.handle = false;
      const to = toImage(this.stage.view, now.x, now.y);
      const [tx, ty] = [to[0] - centre[0], to[1] - centre[1]];
      if (kind === "move") return editor.transformAll({ a: 1, b: 0, tx: to[0] - from[0], ty: to[1] - from[1] });
      const angle = kind === "turn" ? Math.atan2(ty, tx) - Math.atan2(fy, fx) : 0;
      const factor = kind === "scale" ? Math.max(0.02, Math.hypot(tx, ty) / Math.max(1e-9, Math.hypot(fx, fy))) : 1;
      editor.transformAll(turnAndScale(centre, angle, factor));
    };
  }

  /** @param {At} at */
  move(at) {
    this.drag?.(at);
  }

  /** @param {At} at */
  up(at) {
    const editor = this.editor();
    this.drag?.(at);
    const { handle } = this;
    const pressed = this.dragging ? -1 : this.pressed;
    this.drag = null;
    this.dragging = this.handle = false;
    this.pressed = -1;
    if (!editor) return;
    if (editor.before) editor.commit(this.label);
    else if (handle) this.tap(at);
    else if (pressed >= 0) this.click(editor, pressed, at);
  }

  /**
   * A click near a landmark: it sets the one that is next, unless it is on a landmark itself. On a set one it selects that, unless
   * the next one is suggested there, too, or Alt or Ctrl is held; on the suggestion of the next one it confirms this.
   * @param {Editor} editor
   * @param {number} i
   * @param {At} at
   */
  click(editor, i, at) {
    const { target } = editor;
    const suggested = editor.shape.state[i] === SUGGESTED;
    const on = this.isOn(editor, i, at);
    const together = target >= 0 && i !== target && editor.shape.state[target] === SUGGESTED && this.isOn(editor, target, at, REACH);
    if (target >= 0 && (at.place || together || !(on && (i === target || !suggested)))) return this.tap(at);
    this.aim = null;
    editor.select(i);
    if (i !== target || !suggested) return editor.touch();
    editor.setState(i, VISIBLE);
    editor.advance(i);
  }

  /**
   * Whether the pointer is on a landmark, and not only within its reach.
   * @param {Editor} editor
   * @param {number} i
   * @param {At} at
   * @param {number} [reach] in CSS pixels
   */
  isOn({ shape }, i, at, reach = at.touch ? FINGER_ON : ON) {
    const [x, y] = toScreen(this.stage.view, shape.x[i], shape.y[i]);
    return Math.hypot(x - at.x, y - at.y) <= reach;
  }

  /** @param {At} at */
  tap(at) {
    const editor = this.editor();
    this.aim = null;
    const target = editor?.target ?? -1;
    if (!editor || target < 0) return;
    const [x, y] = toImage(this.stage.view, ...this.aimed(at));
    if (!within(editor.record, x, y)) return editor.touch();
    editor.place(target, x, y, this.settings.value.follow);
  }

  cancel() {
    this.drag = null;
    this.dragging = this.handle = false;
    this.pressed = -1;
    this.aim = null;
    const editor = this.editor();
    if (editor?.before) editor.cancel();
  }

  /**
   * @param {At | null} at
   * @returns {string}
   */
  hover(at) {
    const under = at ? this.pointUnder(at) : -1;
    const aim = at && this.settings.value.offset ? at : null;
    if (under !== this.hovered || aim || this.aim) {
      this.hovered = under;
      this.aim = aim;
      this.editor()?.touch();
    }
    const editor = this.editor();
    if (!at || !editor) return "default";
    if (under >= 0 && (editor.target < 0 || (this.isOn(editor, under, at) && !at.place))) return "grab";
    const handle = under < 0 && this.handleUnder(at);
    if (handle) return { move: "move", turn: "grab", scale: "nwse-resize" }[handle];
    return editor.target >= 0 ? "crosshair" : "default";
  }

  /**
   * Where a click sets a landmark: beside the pointer if wanted, above a finger always.
   * @param {At} at
   * @returns {[number, number]}
   */
  aimed(at) {
    const [dx, dy] = at.touch ? AIM.touch : this.settings.value.offset ? AIM.beside : AIM.at;
    return [at.x + dx, at.y + dy];
  }

  /** @param {CanvasRenderingContext2D} context */
  draw(context) {
    const editor = this.editor();
    if (!this.aim || !editor || this.dragging || editor.target < 0) return;
    const [x, y] = this.aimed(this.aim);
    for (const [width, colour] of /** @type {[number, string][]} */ ([[3, "rgb(0 0 0 / .6)"], [1.25, "#fff"]])) {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 3 * dx, y + 3 * dy);
        context.lineTo(x + 12 * dx, y + 12 * dy);
      }
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  }
}
