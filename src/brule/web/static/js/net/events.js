/** News from the server: an event stream, and a look at the project every few seconds where there is none. */

/** @typedef {"image" | "project" | "guess" | "choice" | "train" | "predict"} Topic */

const TOPICS = /** @type {Topic[]} */ (["image", "project", "guess", "choice", "train", "predict"]);

/**
 * @param {(topic: Topic, data: any) => void} onEvent
 * @param {(connected: boolean) => void} onConnection
 * @returns {() => void} ends it
 */
export function listen(onEvent, onConnection) {
  const source = new EventSource("/api/events");
  source.addEventListener("open", () => onConnection(true));
  source.addEventListener("error", () => onConnection(false));
  for (const topic of TOPICS) {
    source.addEventListener(topic, (event) => onEvent(topic, parsed(event.data)));
  }
  return () => source.close();
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
