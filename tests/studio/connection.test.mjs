// The connection of the page, with a websocket and a clock of its own: `node --test` runs it.

import assert from "node:assert/strict";
import test from "node:test";

const sockets = [];
const later = [];
const posts = [];

class FakeSocket {
  constructor(url) {
    this.url = String(url);
    this.sent = [];
    sockets.push(this);
  }
  send(text) {
    this.sent.push(text);
  }
}

function frame(header, body = "") {
  const head = new TextEncoder().encode(JSON.stringify(header));
  const tail = new TextEncoder().encode(body);
  const whole = new Uint8Array(4 + head.length + tail.length);
  new DataView(whole.buffer).setUint32(0, head.length);
  whole.set(head, 4);
  whole.set(tail, 4 + head.length);
  return whole.buffer;
}

globalThis.location = new URL("http://127.0.0.1:8600/token/");
globalThis.WebSocket = FakeSocket;
globalThis.setTimeout = (what, wait) => later.push([what, wait]);

const { Connection, readFrame, readFrames } = await import(process.env.CONNECTION);

function make() {
  sockets.length = later.length = posts.length = 0;
  const told = [];
  const seen = [];
  const found = new Connection((header) => seen.push(header.kind), (status) => told.push(status));
  return { found, told, seen };
}

test("frames are read", () => {
  const { header, body } = readFrame(frame({ kind: "é" }, "abc"));
  assert.deepEqual(header, { kind: "é" });
  assert.equal(new TextDecoder().decode(body), "abc");
  const [a, b] = [frame({ kind: 1 }), frame({ kind: 2 }, "x")];
  const both = new Uint8Array(8 + a.byteLength + b.byteLength);
  const view = new DataView(both.buffer);
  view.setUint32(0, a.byteLength);
  both.set(new Uint8Array(a), 4);
  view.setUint32(4 + a.byteLength, b.byteLength);
  both.set(new Uint8Array(b), 8 + a.byteLength);
  assert.deepEqual(readFrames(both.buffer).map((one) => one.header.kind), [1, 2]);
});

test("a lost websocket is opened again, with what was said meanwhile", () => {
  const { found, told, seen } = make();
  const [first] = sockets;
  assert.match(first.url, /^ws:\/\/127\.0\.0\.1:8600\/token\/live\?page=/);
  found.send({ do: "one" });
  first.onopen();
  assert.deepEqual(first.sent, ['{"do":"one"}']);
  first.onmessage({ data: frame({ kind: "state" }) });
  first.onclose();
  found.send({ do: "two" });
  assert.equal(sockets.length, 1);
  later.shift()[0]();
  sockets[1].onopen();
  assert.equal(sockets[1].url, first.url);
  assert.deepEqual(sockets[1].sent, ['{"do":"two"}']);
  assert.deepEqual(told, ["connected", "lost", "connected"]);
  assert.deepEqual(seen, ["state"]);
});

test("waits grow, and end", () => {
  make();
  sockets[0].onopen();
  const waits = [];
  for (let i = 0; i < 8; i++) {
    sockets.at(-1).onclose();
    const [what, wait] = later.shift();
    waits.push(wait);
    what();
  }
  assert.ok(waits.every((wait, i) => i === 0 || wait >= waits[i - 1]));
  assert.equal(waits.at(-1), 8000);
});

test("where no websocket opens, plain requests carry everything", async () => {
  const { found, seen } = make();
  globalThis.fetch = async (url, options) => {
    posts.push([String(url), options.body]);
    if (posts.length > 3) return new Promise(() => {});
    const one = frame({ kind: "state" });
    const whole = new Uint8Array(4 + one.byteLength);
    new DataView(whole.buffer).setUint32(0, one.byteLength);
    whole.set(new Uint8Array(one), 4);
    return { ok: true, status: 200, arrayBuffer: async () => whole.buffer };
  };
  found.send({ do: "hello" });
  for (let i = 0; i < 3; i++) {
    sockets.at(-1).onclose();
    later.shift()?.[0]();
  }
  await new Promise((done) => setImmediate(done));
  assert.equal(posts[0][1], '{"do":"hello"}');
  assert.match(posts[0][0], /\/token\/poll\?page=/);
  assert.equal(posts[1][1], "");
  assert.ok(seen.length >= 1);
});

function fetching(answers) {
  globalThis.fetch = async (url, options) => {
    posts.push(options.body);
    const answer = answers(options.body, posts.length);
    if (!answer) throw new TypeError("no network");
    return answer;
  };
  for (let i = 0; i < 3; i++) {
    sockets.at(-1).onclose();
    later.shift()?.[0]();
  }
}
const empty = { ok: true, status: 200, arrayBuffer: async () => new ArrayBuffer(0) };
const turns = async (count) => {
  for (let i = 0; i < count; i++) await new Promise((done) => setImmediate(done));
};

test("plain requests say once that they are connected", async () => {
  const { told } = make();
  fetching((body, count) => (count > 5 ? new Promise(() => {}) : empty));
  await turns(8);
  assert.equal(posts.length, 6);
  assert.deepEqual(told, ["lost", "connected"]);
});

test("plain requests keep the order of messages, and repeat those that were lost", async () => {
  const { found } = make();
  const lost = new Set(['{"do":"one"}', '{"do":"two"}']);
  fetching((body) => {
    if (!body) return new Promise(() => {});
    if (lost.delete(body)) return null;
    return body.includes("refused") ? { ok: false, status: 413 } : empty;
  });
  for (const what of ["one", "refused", "two"]) found.send({ do: what });
  for (let i = 0; i < 4; i++) {
    await turns(3);
    later.splice(0).forEach(([what]) => what());
  }
  const said = posts.filter((body) => body).map((body) => JSON.parse(body).do);
  assert.deepEqual(said, ["one", "one", "refused", "two", "two"]);
});
