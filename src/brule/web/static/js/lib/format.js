/** Numbers, times and messages as a person reads them, and words as a shell does. */

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/**
 * Images that were left out, and why.
 * @param {{left_out: string[], n_left_out: number}} answer
 */
export function leftOut({ left_out: reasons, n_left_out: count }) {
  return `Left out: ${reasons[0]}${count > 1 ? ` (and ${(count - 1).toLocaleString("en")} more)` : ""}`;
}

/**
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export function decimal(value, digits = 1) {
  return value === null || value === undefined || !Number.isFinite(value) ? "–" : value.toFixed(digits);
}

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * A word of a shell's command line: in quotes, unless it is plain.
 * @param {string} text
 */
export function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

const CODE = /[\\/=_<>`@]|[^.]\.[^.\s]|^-/; // within a word: a path, a file's name, a setting, an option

/**
 * A message as a sentence: a capital first letter and a full stop. Code and the names of files stay as they are.
 * @param {string} text such as "photos/a.png: not an image"
 */
export function sentence(text) {
  const whole = text.trim();
  const words = whole.split(/\s+/);
  const [first, last] = [words[0], words[words.length - 1]];
  const plain = /^\p{Ll}[\p{L}'’-]*[,;?!]?$/u.test(first) && !CODE.test(first) && !isName(whole);
  const begun = plain ? first[0].toUpperCase() + whole.slice(1) : whole;
  return /[\p{L}\p{N})\]"'”’%]$/u.test(last) && !CODE.test(last) ? `${begun}.` : begun;
}

/**
 * Whether a message begins with the name of a file that has spaces, as in "my photo.png: not an image".
 * @param {string} text
 */
function isName(text) {
  const [lead] = text.split(": ");
  return lead !== text && CODE.test(lead) && !/(^| )(an?|the|no|not|of|in|to|is|are|can't|couldn't|expected)( |$)/i.test(lead);
}
