/** The server's answers, with a note of which requests fail and which succeed later. */

import { Api } from "./api.js";

export class WatchedApi extends Api {
  /** @param {(request: string) => void} succeeded hears of every request that the server has granted */
  constructor(succeeded) {
    super();
    this.succeeded = succeeded;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {any} [body]
   * @returns {Promise<Response>}
   */
  async send(method, path, body) {
    const request = `${method} ${path.split("?")[0]}`;
    try {
      const response = await super.send(method, path, body);
      this.succeeded(request);
      return response;
    } catch (error) {
      throw Object.assign(/** @type {Error} */ (error), { request });
    }
  }
}
