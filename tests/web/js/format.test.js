import assert from "node:assert/strict";
import test from "node:test";
import { shellWord } from "../static/lib/format.js";
import { Signal } from "../static/lib/signal.js";

test("a path is one word of the command line, whatever is in it", () => {
  assert.equal(shellWord("/home/me/wings-2.v1"), "/home/me/wings-2.v1");
  assert.equal(shellWord("/home/me/my wings"), "'/home/me/my wings'");
  assert.equal(shellWord("it's $HOME"), `'it'"'"'s $HOME'`);
  assert.equal(shellWord(""), "''");
});

test("a watcher ends with the page that it belongs to", () => {
  const signal = new Signal(1);
  const leaving = new AbortController();
  const heard = [];
  signal.watch((value) => heard.push(value), leaving.signal);
  signal.value = 2;
  leaving.abort();
  signal.value = 3;
  assert.deepEqual(heard, [1, 2]);
  signal.onChange((value) => heard.push(value), leaving.signal); // too late
  signal.value = 4;
  assert.deepEqual(heard, [1, 2]);
  assert.equal(signal.watchers.size, 0);
});
