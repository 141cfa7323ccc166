// Messages to the studio and back: a websocket that comes back when it is lost, or, where none can
// be opened (some proxies let none through), plain requests.

const PAUSE = 2000; // ms until a request that failed is made again
const pause = () => new Promise((done) => setTimeout(done, PAUSE));
const PATIENCE = 3; // websockets that may fail before one has ever opened

export function readFrame(buffer) {
  const view = new DataView(buffer);
  const length = view.getUint32(0);
  const text = new TextDecoder().decode(new Uint8Array(buffer, 4, length));
  return { header: JSON.parse(text), body: buffer.slice(4 + length) };
}

export function readFrames(buffer) {
  const view = new DataView(buffer);
  const found = [];
  for (let at = 0; at < buffer.byteLength; ) {
    const length = view.getUint32(at);
    found.push(readFrame(buffer.slice(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return found;
}

export class Connection {
  constructor(onFrame, onStatus) {
    this.onFrame = onFrame;
    this.onStatus = (status) => {
      if (status !== this.status) onStatus((this.status = status));
    };
    this.page = crypto.randomUUID();
    this.waiting = [];
    this.failures = 0;
    this.opened = false;
    this.open();
  }

  open() {
    const url = new URL("live", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("page", this.page);
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.socket = socket;
      this.opened = true;
      this.failures = 0;
      this.onStatus("connected");
      this.waiting.splice(0).forEach((text) => socket.send(text));
    };
    socket.onmessage = (event) => this.receive(readFrame(event.data));
    socket.onclose = () => {
      this.socket = null;
      this.failures += 1;
      if (!this.opened && this.failures >= PATIENCE) {
        this.poll();
        return;
      }
      this.onStatus("lost");
      setTimeout(() => this.open(), Math.min(500 * 2 ** this.failures, 8000));
    };
  }

  async receive(frame) {
    try {
      await this.onFrame(frame.header, frame.body);
    } catch (error) {
      console.error(error);
    }
  }

  async poll() {
    this.polling = true;
    this.deliver();
    for (;;) {
      const fine = (await this.post("")) === 200;
      this.onStatus(fine ? "connected" : "lost");
      if (!fine) await pause();
    }
  }

  // One message after the other, as they were said; again, where one does not arrive.
  async deliver() {
    if (this.delivering) return;
    this.delivering = true;
    while (this.waiting.length) {
      const status = await this.post(this.waiting[0]);
      if (status && status < 500) this.waiting.shift();
      else await pause();
    }
    this.delivering = false;
  }

  // The status of the answer; 0 where none came.
  async post(text) {
    const url = new URL("poll", location.href);
    url.searchParams.set("page", this.page);
    const answer = await fetch(url, { method: "POST", body: text }).catch(() => ({ status: 0 }));
    if (answer.ok) {
      const frames = await answer.arrayBuffer().then(readFrames, () => []);
      frames.forEach((frame) => this.receive(frame));
    }
    return answer.status;
  }

  send(message) {
    const text = JSON.stringify(message);
    if (this.socket) this.socket.send(text);
    else this.waiting.push(text);
    if (this.polling) this.deliver();
  }
}
