/** Building the page's elements. Text only ever goes in as text, never as markup. */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {{[name: string]: any}} Attributes `class`, `on…` handlers, `data-…`, `aria-…`, and properties of the element */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes] a value of false, null or undefined leaves an attribute out
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...nodes(children));
  return element;
}

/**
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...nodes(children));
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {any} value
 */
function setAttribute(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (value === false || value === null || value === undefined) return;
  else if (name === "class") element.className = value;
  else if (name === "style") Object.assign(element.style, value);
  else if (name.includes("-") || name === "role" || name === "for" || name === "list") element.setAttribute(name, String(value));
  else Object.assign(element, { [name]: value });
}

/**
 * @param {(Child | Child[])[]} children
 * @returns {(Node | string)[]}
 */
function nodes(children) {
  const found = [];
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) found.push(child instanceof Node ? child : String(child));
  }
  return found;
}

/**
 * Put other children in the place of an element's own.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/**
 * A button of the page.
 * @param {string} text
 * @param {(event: MouseEvent) => void} onclick
 * @param {Attributes} [attributes]
 */
export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

/**
 * A labelled control.
 * @param {string} text
 * @param {HTMLElement} control
 * @param {string} [hint]
 */
export function field(text, control, hint) {
  return h("label", { class: "field" }, h("span", { class: "field-name" }, text), control, hint && h("small", {}, hint));
}

/**
 * The name of an image. Where it is too long, its beginning is left out: names of one series differ at their end.
 * @param {"span" | "div" | "h2"} tag
 * @param {string} name
 * @param {string} [look] of the style sheet, besides that of names
 */
export function imageName(tag, name, look = "") {
  return h(tag, { class: `file-name ${look}`, title: name }, h("bdi", {}, name));
}

/**
 * Whether a key press belongs to a text field and not to the page.
 * @param {EventTarget | null} target
 */
export function isTyping(target) {
  if (target instanceof HTMLInputElement) return !["range", "checkbox", "radio", "button", "color"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/**
 * Announce something to screen readers.
 * @param {string} text
 */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = text;
}
