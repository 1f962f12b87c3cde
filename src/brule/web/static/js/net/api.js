/** The server's answers, one method for each. */

/** @typedef {import("./types.js").Project} Project */
/** @typedef {import("./types.js").Template} Template */
/** @typedef {import("./types.js").ImageRecord} ImageRecord */
/** @typedef {import("./types.js").WirePoint} WirePoint */
/** @typedef {import("./types.js").Training} Training */
/** @typedef {import("./types.js").Predicting} Predicting */
/** @typedef {import("./types.js").Measurements} Measurements */
/** @typedef {import("./types.js").MeasuredImage} MeasuredImage */
/** @typedef {import("./types.js").FolderMatch} FolderMatch */
/** @typedef {{[name: string]: string | number | boolean | undefined}} Query */

/** A request that failed: the server's word, or `offline` if it can't be reached. */
export class ApiError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {number} status 0 if the server can't be reached
   * @param {any} body
   */
  constructor(code, message, status, body) {
    super(message);
    this.code = code;
    this.status = status;
    this.body = body;
  }
}

/** What a server that can do less leaves out. */
const NOTHING_YET = {
  formats: [], runs: [], outlines: [], folders: [], scale: null, measurements: { distances: [], angles: [] }, choice: { ready: false, ids: [] },
  can: { add_folders: false, start_from: false, redraw: false },
  guess: { ready: false, source: null, trained_on: 0, held_out: null },
  train: { state: "idle", run: null, share: null, seconds: 0, seconds_left: null, iteration: 0, curve: {}, term_labels: {}, preview: null, message: null, command: "" },
};

const UNREACHABLE = "The brule server can't be reached. Is it still running in the terminal?";

export class Api {
  /** @param {typeof fetch} [fetcher] */
  constructor(fetcher = (...args) => fetch(...args)) {
    this.fetcher = fetcher;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {any} [body]
   * @returns {Promise<Response>}
   */
  async send(method, path, body) {
    const headers = /** @type {{[name: string]: string}} */ (method === "GET" ? {} : { "X-Brule": "1" });
    const raw = body instanceof Blob;
    if (body !== undefined) headers["Content-Type"] = raw ? "application/octet-stream" : "application/json";
    let response;
    try {
      response = await this.fetcher(path, { method, headers, body: body === undefined || raw ? body : JSON.stringify(body) });
    } catch {
      throw new ApiError("offline", UNREACHABLE, 0, null);
    }
    if (response.ok) return response;
    const answer = await response.json().catch(() => null);
    const { code = "internal", message = `The server answered ${response.status}.` } = answer?.error ?? {};
    throw new ApiError(code, message, response.status, answer);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {any} [body]
   * @returns {Promise<any>}
   */
  async json(method, path, body) {
    return (await this.send(method, path, body)).json();
  }

  /** @returns {Promise<Project>} */
  async project() {
    return { ...NOTHING_YET, ...(await this.json("GET", "/api/project")) };
  }

  /** @returns {Promise<{templates: import("./types.js").KnownTemplate[]}>} */
  templates() {
    return this.json("GET", "/api/templates");
  }

  /**
   * @param {{version: number, kind: string, names: string[], edges: [number, number][],
   *   contours: import("./types.js").Contour[], pairs: [number, number][] | null, from?: (number | null)[]}} template
   * @returns {Promise<{template: Template, measures_gone: string[]}>} `measures_gone` need a landmark that is gone
   */
  putTemplate(template) {
    return this.json("PUT", "/api/project/template", template);
  }

  /** @returns {Promise<{pairs: [number, number][] | null}>} */
  findPairs() {
    return this.json("POST", "/api/project/pairs", {});
  }

  /** @param {{annotator?: string, name?: string, scale?: number | null}} settings */
  putSettings(settings) {
    return this.json("PUT", "/api/project/settings", settings);
  }

  /**
   * @param {{label: string, n?: number, start: "aligned" | "drawn"}} outlines
   * @returns {Promise<{placed: number, kept: number}>}
   */
  placeOutlines(outlines) {
    return this.json("POST", "/api/project/contours", outlines);
  }

  /**
   * @param {string[]} paths
   * @returns {Promise<{added: number, n_images: number, imported: number, kept: number, outlined: number, predicted: number, left_out: string[], n_left_out: number}>}
   */
  addFolders(paths) {
    return this.json("POST", "/api/project/folders", { paths });
  }

  /**
   * @param {string} id
   * @param {boolean} check only ask what would be removed
   * @returns {Promise<{n_images: number, annotated: number, accepted: number}>}
   */
  removeFolder(id, check) {
    return this.json("POST", `/api/project/folders/${encodeURIComponent(id)}/remove`, { check });
  }

  /**
   * @param {string} id
   * @param {string} path where the folder is now
   * @param {boolean} check only ask how well it fits
   * @returns {Promise<FolderMatch>}
   */
  locateFolder(id, path, check) {
    return this.json("POST", `/api/project/folders/${encodeURIComponent(id)}/locate`, { path, check });
  }

  /**
   * @param {string} name
   * @param {Blob} file
   */
  upload(name, file) {
    return this.json("POST", `/api/upload?${query({ name })}`, file);
  }

  /** @returns {Promise<{version: number, n: number, mean: [number, number][] | null, modes: [number, number][][]}>} */
  shape() {
    return this.json("GET", "/api/shape");
  }

  /**
   * @param {Query} filter
   * @returns {Promise<import("./types.js").Page>}
   */
  images(filter) {
    return this.json("GET", `/api/images?${query(filter)}`);
  }

  /**
   * @param {string} id
   * @param {Query} [options]
   * @returns {Promise<ImageRecord>}
   */
  image(id, options = {}) {
    return this.json("GET", `${imagePath(id)}?${query(options)}`);
  }

  /**
   * @param {string} id
   * @param {"" | "/undo" | "/redo"} step
   * @param {any} change
   * @param {Query} [options]
   * @returns {Promise<ImageRecord>}
   */
  change(id, step, change, options = {}) {
    return this.json(step ? "POST" : "PUT", `${imagePath(id)}${step}?${query(options)}`, change);
  }

  /**
   * @param {string} id
   * @param {WirePoint[]} points
   * @param {"mean"} [source]
   * @returns {Promise<import("./types.js").Guess>}
   */
  guess(id, points, source) {
    return this.json("POST", `${imagePath(id)}/guess`, source ? { points, source } : { points });
  }

  /**
   * @param {string} id
   * @param {WirePoint[]} points
   * @returns {Promise<{hints: import("./types.js").Hint[]}>}
   */
  hints(id, points) {
    return this.json("POST", `${imagePath(id)}/hints`, { points });
  }

  /**
   * @param {number} index
   * @param {Query} page
   * @returns {Promise<{total: number, items: import("./types.js").Occurrence[]}>}
   */
  landmark(index, page) {
    return this.json("GET", `/api/landmarks/${index}?${query(page)}`);
  }

  /** @returns {Promise<Training>} */
  training() {
    return this.json("GET", "/api/train");
  }

  /**
   * @param {"" | "/stop" | "/resume"} step
   * @param {any} [options]
   * @returns {Promise<Training>}
   */
  train(step, options = {}) {
    return this.json("POST", `/api/train${step}`, options);
  }

  /** @returns {Promise<{predicting: Predicting}>} */
  predict() {
    return this.json("POST", "/api/predict", {});
  }

  /** @returns {Promise<{predicting: Predicting}>} */
  predicting() {
    return this.json("GET", "/api/predict");
  }

  /** @returns {Promise<{runs: import("./types.js").Run[]}>} */
  runs() {
    return this.json("GET", "/api/runs");
  }

  /** @param {Measurements} measurements */
  putMeasurements(measurements) {
    return this.json("PUT", "/api/project/measurements", measurements);
  }

  /**
   * @param {Query} page with `predicted: 1` also images that are only predicted
   * @returns {Promise<{columns: string[], total: number, predicted: number, rows: MeasuredImage[]}>} `predicted`: images that
   *   aren't finished and have a prediction
   */
  measure(page) {
    return this.json("GET", `/api/measure?${query(page)}`);
  }

  /**
   * @returns {Promise<{images: number, repeat_px: number | null, detector_px: number | null,
   *   landmarks: {name: string, repeat_px: number | null, detector_px: number | null}[]}>}
   */
  repeat() {
    return this.json("GET", "/api/repeat");
  }

  /**
   * @param {string} format
   * @returns {Promise<{files: string[], n_images: number, lost: string[], left_out: string[], n_left_out: number, download: string}>}
   */
  export(format) {
    return this.json("POST", "/api/export", { format });
  }

  /** @returns {Promise<{download: string}>} */
  exportOnnx() {
    return this.json("POST", "/api/export/onnx", {});
  }

  /**
   * @param {{id: string, points: [number, number][], style_of?: string}} wanted
   * @returns {Promise<Blob>}
   */
  async redraw(wanted) {
    return (await this.send("POST", "/api/redraw", wanted)).blob();
  }
}

/**
 * The address of an image shrunk to a longer side of at most `size` pixels.
 * @param {string} id
 * @param {number} size
 * @param {string} [etag]
 */
export function viewUrl(id, size, etag) {
  return `${imagePath(id)}/view?${query({ size, v: etag })}`;
}

/**
 * @param {string} id
 * @param {{level: number, column: number, row: number}} tile
 * @param {string} etag
 */
export function tileUrl(id, { level, column, row }, etag) {
  return `${imagePath(id)}/tile/${level}/${column}/${row}?${query({ v: etag })}`;
}

/**
 * @param {string} id
 * @param {{x: number, y: number, side: number, size: number}} crop
 */
export function cropUrl(id, crop) {
  return `${imagePath(id)}/crop?${query(crop)}`;
}

/** @param {string} id */
function imagePath(id) {
  return `/api/images/${encodeURIComponent(id)}`;
}

/** @param {Query} values */
function query(values) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== "") parameters.set(name, String(value));
  return parameters.toString();
}
