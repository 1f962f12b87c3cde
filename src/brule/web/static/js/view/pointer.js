/** Pointer, wheel and touch on the stage: zooming and moving the image here, everything else in the tool of the moment. */

/**
 * @typedef {{x: number, y: number, touch: boolean, shift: boolean, place?: boolean}} At a place on the stage, in CSS pixels;
 *   `place`: Alt or Ctrl is held, so a click sets the next landmark whatever is there
 */
/**
 * @typedef {{down: (at: At) => boolean, move: (at: At) => void, up: (at: At) => void, tap: (at: At) => void, cancel: () => void,
 *   hover: (at: At | null) => string}} Tool
 *   `down` answers whether the tool takes the drag; if not, it moves the image, and `tap` is called if it hasn't moved.
 *   `hover` answers the cursor.
 */

const TAP = 4; // a press that moves less is a click
const WHEEL = 1.0015; // zoom for each unit of the wheel

export class PointerControl {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {Tool} tool
   */
  constructor(stage, tool) {
    this.stage = stage;
    this.tool = tool;
    this.panKey = false;
    /** @type {Map<number, At>} */
    this.down = new Map();
    /** @type {"tool" | "pan" | "pinch" | null} */
    this.mode = null;
    this.start = /** @type {At | null} */ (null);
    this.moved = false;
    const canvas = stage.above;
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointermove", (event) => this.movedTo(event));
    canvas.addEventListener("pointerup", (event) => this.released(event));
    canvas.addEventListener("pointercancel", (event) => this.lost(event));
    canvas.addEventListener("pointerleave", () => this.left());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /**
   * @param {PointerEvent | WheelEvent} event
   * @returns {At}
   */
  at(event) {
    const { left, top } = this.stage.above.getBoundingClientRect();
    const touch = "pointerType" in event && event.pointerType === "touch";
    const place = event.altKey || event.ctrlKey;
    return { x: event.clientX - left, y: event.clientY - top, touch, shift: event.shiftKey, place };
  }

  /** @param {PointerEvent} event */
  pressed(event) {
    if (event.button > 1) return;
    this.stage.above.focus({ preventScroll: true });
    this.stage.above.setPointerCapture(event.pointerId);
    const at = this.at(event);
    this.down.set(event.pointerId, at);
    if (this.down.size === 2) {
      if (this.mode === "tool") this.tool.cancel();
      this.mode = "pinch";
      return;
    }
    this.start = at;
    this.moved = false;
    const pans = this.panKey || event.button === 1;
    this.mode = !pans && this.tool.down(at) ? "tool" : "pan";
    if (this.mode === "pan") this.cursor(pans ? "grabbing" : this.tool.hover(at));
  }

  /** @param {PointerEvent} event */
  movedTo(event) {
    const at = this.at(event);
    if (this.stage.loupe) {
      this.stage.loupe = [at.x, at.y];
      this.stage.dirty();
    }
    const before = this.down.get(event.pointerId);
    if (!before || !this.start) {
      this.last = at;
      this.cursor(this.panKey ? "grab" : this.tool.hover(at));
      return;
    }
    this.last = at;
    const far = this.moved || Math.hypot(at.x - this.start.x, at.y - this.start.y) > TAP;
    if (this.mode === "pinch") this.pinched(event.pointerId, at);
    else if (this.mode === "tool") this.tool.move(at);
    else if (far) this.pan(this.moved ? before : this.start, at);
    this.moved = far;
    this.down.set(event.pointerId, at);
  }

  /** @param {PointerEvent} event */
  released(event) {
    if (!this.down.delete(event.pointerId)) return;
    const at = this.at(event);
    const [mode, moved] = [this.mode, this.moved];
    if (this.down.size) return;
    this.mode = null;
    if (mode === "tool") this.tool.up(at);
    else if (mode === "pan" && !moved && !this.panKey && event.button === 0) this.tool.tap(at);
    this.cursor(this.panKey ? "grab" : this.tool.hover(at));
  }

  /** @param {PointerEvent} event */
  lost(event) {
    this.down.delete(event.pointerId);
    if (this.mode === "tool") this.tool.cancel();
    if (!this.down.size) this.mode = null;
  }

  left() {
    if (this.down.size) return;
    this.last = undefined;
    this.tool.hover(null);
  }

  /** @type {At | undefined} where the pointer was last seen */
  last = undefined;

  /**
   * @param {At} from
   * @param {At} to
   */
  pan(from, to) {
    const { view } = this.stage;
    this.stage.setView({ ...view, x: view.x + to.x - from.x, y: view.y + to.y - from.y });
    this.cursor("grabbing");
  }

  /**
   * @param {number} id
   * @param {At} at
   */
  pinched(id, at) {
    const before = this.down.get(id);
    const other = [...this.down].find(([own]) => own !== id)?.[1];
    if (!before || !other) return;
    const ratio = Math.hypot(at.x - other.x, at.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
    this.stage.zoom(ratio, [other.x, other.y]);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 20 : 1; // lines in some browsers
    const at = this.at(event);
    this.stage.zoom(WHEEL ** (-event.deltaY * unit), [at.x, at.y]);
  }

  /** @param {string} name */
  cursor(name) {
    this.stage.above.style.cursor = name;
  }
}
