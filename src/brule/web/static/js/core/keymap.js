/** Which key does what. The same table answers key presses and fills the page of keys. */

/** @typedef {{command: string, keys: string[], text: string, group: string, shown?: string, repeat?: boolean}} Binding */

/** @type {Binding[]} */
export const BINDINGS = [
  { group: "Points", command: "next-point", keys: ["Tab"], text: "Next landmark", repeat: true },
  { group: "Points", command: "previous-point", keys: ["Shift+Tab"], text: "Previous landmark", repeat: true },
  ...arrows("", 1, "Move the landmark by 1 px", "← ↑ ↓ →"),
  ...arrows("Shift+", 10, "Move it by 10 px", "Shift + arrows"),
  ...arrows("Alt+", 0.1, "Move it by 0.1 px", "Alt + arrows"),
  { group: "Points", command: "place", keys: ["Alt+click", "Ctrl+click"], text: "Place the next landmark, even on a set one" },
  { group: "Points", command: "confirm-point", keys: ["F"], text: "The landmark is right where it is" },
  { group: "Points", command: "hidden", keys: ["H"], text: "Hidden: something covers the landmark" },
  { group: "Points", command: "absent", keys: ["X"], text: "Absent: it isn't in this image" },
  { group: "Points", command: "clear-point", keys: ["Delete"], text: "Remove the landmark" },
  { group: "Points", command: "through", keys: ["L"], text: "This landmark in all images" },
  { group: "Shape", command: "tool-shape", keys: ["S"], text: "Move, turn and scale the whole shape" },
  { group: "Shape", command: "turn-left", keys: ["["], text: "Turn the whole shape left by 1°", repeat: true },
  { group: "Shape", command: "turn-right", keys: ["]"], text: "Turn it right by 1°", repeat: true },
  { group: "Shape", command: "shrink", keys: ["{", "Shift+{"], text: "Make the whole shape 1 % smaller", shown: "{", repeat: true },
  { group: "Shape", command: "grow", keys: ["}", "Shift+}"], text: "Make it 1 % larger", shown: "}", repeat: true },
  { group: "Shape", command: "tool-curve", keys: ["C"], text: "Draw the contour of this landmark" },
  { group: "Shape", command: "guess", keys: ["G"], text: "Suggest the landmarks that aren't set" },
  { group: "Images", command: "accept", keys: ["Enter"], text: "Accept the image and go to the next" },
  { group: "Images", command: "next-image", keys: ["N", "PageDown"], text: "Next image", repeat: true },
  { group: "Images", command: "previous-image", keys: ["P", "PageUp"], text: "Previous image", repeat: true },
  { group: "Images", command: "images", keys: ["O"], text: "Choose an image from the list" },
  { group: "Images", command: "reject", keys: ["Backspace"], text: "Reject the image (unusable)" },
  { group: "View", command: "zoom-in", keys: ["+", "="], text: "Zoom in (or turn the wheel)", shown: "+", repeat: true },
  { group: "View", command: "zoom-out", keys: ["-"], text: "Zoom out", repeat: true },
  { group: "View", command: "fit", keys: ["0"], text: "Fit the image into the window" },
  { group: "View", command: "keep-zoom", keys: ["Z"], text: "Keep the zoom from image to image" },
  { group: "View", command: "pan", keys: ["Space"], text: "Hold and drag to move the image", shown: "Space" },
  { group: "View", command: "loupe", keys: ["Shift"], text: "Hold for the loupe" },
  { group: "View", command: "hide", keys: ["V"], text: "Hold to hide all landmarks" },
  { group: "View", command: "grey", keys: ["B"], text: "Show the image in grey" },
  { group: "View", command: "invert", keys: ["I"], text: "Show the image inverted" },
  { group: "Undo", command: "undo", keys: ["Ctrl+Z"], text: "Undo", repeat: true },
  { group: "Undo", command: "redo", keys: ["Ctrl+Shift+Z", "Ctrl+Y"], text: "Redo", repeat: true },
  { group: "Other", command: "leave", keys: ["Escape"], text: "Back to the pointer; leave the image with Tab" },
  { group: "Other", command: "help", keys: ["?", "Shift+?"], text: "Show all keys", shown: "?" },
];

/** Keys that a person holds down: what they do ends when they are let go. */
export const HELD = new Set(["pan", "loupe", "hide"]);

/**
 * @param {string} modifier
 * @param {number} step
 * @param {string} text
 * @param {string} shown
 * @returns {Binding[]}
 */
function arrows(modifier, step, text, shown) {
  return ["Left", "Right", "Up", "Down"].map((way, k) => ({
    group: "Points",
    command: `move-${way.toLowerCase()}-${step}`,
    keys: [`${modifier}Arrow${way}`],
    text: k ? "" : text, // one line of the page of keys for all four
    shown,
    repeat: true,
  }));
}

const BY_KEY = new Map(BINDINGS.flatMap((binding) => binding.keys.map((key) => [key, binding])));

/**
 * The name of a key with its modifiers, as the table above writes it.
 * @param {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean}} event
 */
function keyName(event) {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const held = [
    (event.ctrlKey || event.metaKey) && "Ctrl",
    event.altKey && key !== "Alt" && "Alt",
    event.shiftKey && key !== "Shift" && "Shift",
  ];
  return [...held.filter(Boolean), key].join("+");
}

/**
 * What a key press asks for.
 * @param {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean}} event
 * @returns {Binding | null}
 */
export function bindingFor(event) {
  const name = keyName(event);
  return BY_KEY.get(name) ?? (/^Shift\+[^A-Za-z]$/.test(name) ? BY_KEY.get(name.slice(6)) : undefined) ?? null;
}

/**
 * The step of a move command, or null for any other command.
 * @param {string} command
 * @returns {[number, number] | null}
 */
export function moveOf(command) {
  const match = /^move-(left|right|up|down)-([\d.]+)$/.exec(command);
  if (!match) return null;
  const step = Number(match[2]);
  const ways = /** @type {{[way: string]: [number, number]}} */ ({ left: [-step, 0], right: [step, 0], up: [0, -step], down: [0, step] });
  return ways[match[1]];
}

/**
 * Digits typed one after the other name a landmark; Enter goes there.
 */
export class NumberEntry {
  constructor() {
    this.digits = "";
  }

  /**
   * @param {string} key
   * @returns {number | "typing" | null} the number at Enter, "typing" while it grows, null if the key isn't part of one
   */
  press(key) {
    if (/^\d$/.test(key) && !(key === "0" && !this.digits)) {
      this.digits = (this.digits + key).slice(-4);
      return "typing";
    }
    const typed = this.digits;
    this.digits = "";
    if (!typed) return null;
    return key === "Enter" ? Number(typed) : null;
  }
}
