import assert from "node:assert/strict";
import test from "node:test";
import { ApiError } from "../static/net/api.js";
import { Pending } from "../static/net/pending.js";
import { Saver } from "../static/net/saver.js";

const at = (x) => [{ x, y: 1, state: "visible" }];
const record = (version, points = at(0), more = {}) => ({ id: "a", name: "a.jpg", version, points, status: "draft", undo: version, redo: 0, ...more });
const change = (x, more = {}) => ({ image: "a", step: "", base: 0, points: at(x), action: "move", ...more });

class Storage {
  items = new Map();
  full = false;
  get length() {
    return this.items.size;
  }
  key = (i) => [...this.items.keys()][i] ?? null;
  getItem = (key) => this.items.get(key) ?? null;
  removeItem = (key) => this.items.delete(key);
  setItem(key, value) {
    if (this.full) throw new Error("full");
    this.items.set(key, value);
  }
}

/** A server with one image: it answers what a real one would, or what `failures` holds first. */
class Server {
  version = 0;
  points = at(0);
  sent = [];
  failures = [];
  async change(id, step, body) {
    this.sent.push({ id, step, ...body });
    const failure = this.failures.shift();
    if (failure) throw failure;
    if (body.version !== this.version) throw new ApiError("conflict", "changed", 409, { current: record(this.version, this.points) });
    this.version += 1;
    if (!step) this.points = body.points;
    return record(this.version, this.points);
  }
}

const made = (storage = new Storage()) => {
  const server = new Server();
  return { server, storage, saver: new Saver(server, new Pending(storage, "p", "tab")) };
};
const until = async (condition) => {
  for (let k = 0; k < 300 && !condition(); k++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition());
};

test("changes are sent in order, each on the version of the last", async () => {
  const { saver, server } = made();
  for (const x of [1, 2, 3]) saver.add(change(x));
  assert.equal(saver.state.value.state, "saving");
  await saver.settled();
  assert.deepEqual(server.sent.map((own) => [own.version, own.points[0].x]), [[0, 1], [1, 2], [2, 3]]);
  assert.equal(saver.state.value.state, "saved");
});

test("nothing is called saved before the server has answered", async () => {
  const { saver, storage } = made();
  saver.add(change(1));
  assert.match(storage.getItem("brule.pending.p.tab"), /"x":1/);
  assert.notEqual(saver.state.value.state, "saved");
  await saver.settled();
  assert.equal(storage.length, 0);
});

test("a server that is away, or a full disk, costs nothing: the change is kept and sent again", async () => {
  for (const failure of [new ApiError("offline", "away", 0, null), new ApiError("disk_full", "full", 507, {})]) {
    const { saver, server, storage } = made();
    server.failures = [failure];
    saver.add(change(5));
    await until(() => saver.state.value.state === "waiting");
    assert.match(saver.state.value.message, /kept in this browser/);
    assert.equal(storage.length, 1);
    await saver.settled();
    assert.deepEqual(server.points, at(5));
    assert.equal(saver.state.value.state, "saved");
  }
});

test("a change whose answer was lost isn't taken for somebody else's", async () => {
  const { saver, server } = made();
  server.version = 1;
  server.points = at(7); // it had arrived
  saver.add(change(7));
  await saver.settled();
  assert.equal(saver.conflict.value, null);
  assert.equal(server.version, 1);
});

test("two windows: a person chooses, and nothing is lost before", async () => {
  for (const choice of ["keepMine", "takeTheirs"]) {
    const { saver, server } = made();
    server.version = 4;
    server.points = at(9);
    saver.add(change(1));
    saver.add(change(2));
    await until(() => saver.conflict.value);
    assert.deepEqual(saver.conflict.value.current.points, at(9));
    assert.deepEqual(saver.conflict.value.change.points, at(2));
    assert.deepEqual(server.points, at(9));
    saver.conflict.value[choice]();
    await saver.settled();
    assert.deepEqual(server.points, at(choice === "keepMine" ? 2 : 9));
    assert.equal(saver.state.value.state, "saved");
  }
});

test("what the server refuses is reported and not sent for ever", async () => {
  const { saver, server } = made();
  server.failures = [new ApiError("bad_request", "outside the image", 400, {})];
  saver.add(change(1));
  await until(() => saver.refused.value);
  assert.equal(saver.refused.value.message, "outside the image");
  assert.equal(saver.state.value.state, "saved");
});

test("repeated presses of a key become one change, as long as it isn't on its way", async () => {
  const { saver, server } = made();
  for (const x of [1, 2, 3]) saver.add(change(x, { merge: "move 0" }));
  saver.add(change(4, { merge: "move 1" }));
  await saver.settled();
  assert.deepEqual(server.sent.map((own) => own.points[0].x), [3, 4]);
});

test("what a closed tab has left is sent by the next one; a living tab's isn't touched", async () => {
  const storage = new Storage();
  const gone = new Pending(storage, "p", "gone");
  gone.keep([change(8)]);
  const living = new Pending(storage, "p", "living");
  living.keep([change(9)]);
  const other = new Pending(storage, "q", "elsewhere");
  other.keep([change(10)]);
  gone.abandon();
  other.abandon();
  const { saver, server } = made(storage);
  saver.adopt();
  await saver.settled();
  assert.deepEqual(server.sent.map((own) => own.points[0].x), [8]);
  assert.deepEqual(living.kept, [change(9)]);
});

test("a full browser storage is admitted", async () => {
  const { saver, server, storage } = made();
  storage.full = true;
  server.failures = [new ApiError("offline", "away", 0, null)];
  saver.add(change(1));
  assert.match(saver.state.value.message, /don't close this window/);
  await saver.settled();
});

test("a closed tab's change isn't sent over a later version that this window knows", async () => {
  const storage = new Storage();
  const { saver, server } = made(storage);
  server.version = 7;
  server.points = at(7);
  saver.learn(record(7, at(7)));
  const gone = new Pending(storage, "p", "gone");
  gone.keep([change(1, { base: 5 }), change(2, { base: 5 })]);
  gone.abandon();
  saver.adopt();
  assert.deepEqual(saver.adopted.value.map((own) => own.points[0].x), [1, 2]);
  await until(() => saver.conflict.value);
  assert.deepEqual(server.points, at(7));
  saver.conflict.value.keepMine();
  await saver.settled();
  assert.deepEqual(server.points, at(2));
});

test("a closed tab's changes follow each other without a question", async () => {
  const storage = new Storage();
  const { saver, server } = made(storage);
  const gone = new Pending(storage, "p", "gone");
  gone.keep([change(1), change(2)]);
  gone.abandon();
  saver.adopt();
  await saver.settled();
  assert.equal(saver.conflict.value, null);
  assert.deepEqual([server.version, server.points], [2, at(2)]);
});

test("what waits is kept with the version that it now builds on", async () => {
  const { saver, server, storage } = made();
  const send = server.change.bind(server);
  server.change = async (id, step, body) => (body.version ? new Promise(() => undefined) : send(id, step, body));
  saver.add(change(1));
  saver.add(change(2));
  await until(() => saver.queue.length === 1);
  assert.equal(JSON.parse(storage.getItem("brule.pending.p.tab")).changes[0].base, 1);
});

test("an undo that others' work has overtaken gives way to it; earlier versions kept it without points", async () => {
  const storage = new Storage();
  const { saver, server } = made(storage);
  server.version = 3;
  server.points = at(3);
  const gone = new Pending(storage, "p", "gone");
  gone.keep([change(0, { step: "/undo", points: [], base: 2 })]);
  gone.abandon();
  saver.adopt();
  assert.equal(saver.latest("a").points, null);
  await saver.settled();
  assert.equal(saver.conflict.value, null);
  assert.deepEqual([saver.saved.value.points, server.version], [at(3), 3]);
});

test("who watches what is saved learns which annotation it is", async () => {
  const { saver } = made();
  saver.add(change(1, { layer: "repeat" }));
  await saver.settled();
  assert.equal(saver.saved.value.layer, "repeat");
});
