// Browsers refuse to start a worker for a page that is opened from disk, and the site's search runs in one. There, and only
// there, a hidden frame stands in for the worker: same script, same messages.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #ready;

    constructor(url) {
      super();
      this.#frame.hidden = true;
      document.body.append(this.#frame);
      const own = this.#frame.contentWindow;
      own.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      own.importScripts = (...urls) => Promise.all(urls.map((one) => this.#load(one)));
      this.#ready = this.#load(url);
    }

    #load(url) {
      return new Promise((resolve, reject) => {
        const script = this.#frame.contentDocument.createElement("script");
        Object.assign(script, { src: new URL(url, location.href).href, onload: resolve, onerror: reject });
        this.#frame.contentDocument.head.append(script);
      });
    }

    postMessage(data) {
      this.#ready.then(() => this.#frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
