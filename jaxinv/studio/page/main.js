// The page: what the studio says is shown, what people do is sent.

import { View } from "./canvas.js";
import { Connection } from "./connection.js";
import * as panels from "./panels.js";
import { Tools } from "./tools.js";

const byId = (id) => document.getElementById(id);
const STATUS = { connected: "connected", lost: "connection lost: what was begun goes on; coming back" };

const states = new Map(); // of all photographs, by name
const view = new View(byId("picture"), byId("overlay"));
let chosen = "";
let wholeSize = null;
let studio = null;

const send = (message) => chosen && connection.send({ ...message, work: chosen });
const tools = new Tools(view, send);
const connection = new Connection(receive, (status) => {
  byId("status").textContent = STATUS[status];
  if (status === "connected" && chosen) send({ do: "show" });
});

async function receive(header, body) {
  if (header.kind === "studio") {
    studio = header;
    view.side = header.side;
    panels.makeSliders(header.sliders, send);
    byId("learn").hidden = !header.learnable;
    const rows = byId("rows");
    for (const option of rows.options) option.hidden = option.disabled = !header.mixes.includes(option.value);
    if (rows.selectedOptions[0]?.disabled) {
      rows.value = [...rows.options].find((option) => !option.disabled)?.value ?? "";
    }
    refresh();
  } else if (header.kind === "state") {
    states.set(header.work, header);
    if (!chosen) choose(header.work);
    else refresh();
  } else if (header.kind === "note") {
    if (header.work && header.work !== chosen) return;
    byId("note").textContent = header.text;
    panels.forgetSent();
  } else if (header.kind === "learning") {
    byId("status").textContent = header.text || STATUS.connected;
    byId("learn").hidden ||= Boolean(header.text);
  } else if (header.kind === "picture" && header.work === chosen) {
    await receivePicture(header, body);
  }
}

async function receivePicture(header, body) {
  const image = await createImageBitmap(new Blob([body], { type: "image/jpeg" }));
  if (header.work !== chosen) return;
  if (header.which === "whole") {
    wholeSize = header.size;
    view.now = view.before = null;
    drawWhole(image);
    refresh();
    return;
  }
  if (header.which === "now" && header.serial < (view.serial ?? 0)) return; // an older one, late
  if (header.which === "now") view.serial = header.serial;
  view[header.which] = image;
  byId("empty").hidden = true;
  byId("picture").dataset.serial = header.serial;
  byId("picture").dataset.size = header.size[0];
  view.drawPicture();
}

function drawWhole(image) {
  const { canvas } = view.picture;
  const scale = canvas.width / Math.max(image.width, image.height);
  const [width, height] = [image.width * scale, image.height * scale];
  view.picture.clearRect(0, 0, canvas.width, canvas.height);
  view.picture.drawImage(
    image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height,
  );
  byId("empty").hidden = true;
}

function choose(work) {
  if (work !== chosen) {
    panels.forgetSent();
    view.now = view.before = wholeSize = null;
    view.serial = 0;
    view.handles.length = 0;
    view.clear(view.mask);
    view.clear(view.paint);
    view.drawPicture();
    byId("note").textContent = "";
  }
  chosen = work;
  send({ do: "show" });
  refresh();
}

function refresh() {
  const state = states.get(chosen);
  const drawn = ["searching", "ready"].includes(state?.phase);
  panels.drawWorks(states, chosen, choose);
  panels.setSliders(state?.amounts ?? {}, drawn);
  panels.drawHistory(state?.operations ?? []);
  panels.drawExports(chosen, drawn);
  panels.drawFaces(state, wholeSize, send);
  byId("undo").disabled = !state?.operations.length;
  byId("redo").disabled = !state?.redo;
  const searching = state?.phase === "searching" || Boolean(state?.busy);
  byId("stop").hidden = !searching;
  byId("apply").disabled = state?.phase !== "ready" || Boolean(state?.busy);
  byId("progress").hidden = state?.phase !== "searching";
  byId("progress").value = state?.share ?? 0;
  view.points = state?.busy === "drag" ? state.points : [];
  view.drawOverlay();
  if (state) byId("help").dataset.phase = state.phase;
  const bad = ["failed", "faceless", "choosing"].includes(state?.phase);
  const note = byId("note");
  if (bad) note.textContent = state.note;
  else if (note.dataset.bad) note.textContent = "";
  note.dataset.bad = bad ? "yes" : "";
  if (state && !bad) byId("status").textContent = state.note || "ready";
}

async function open(files) {
  for (const file of files) {
    byId("note").textContent = "";
    if (file.size > studio?.largest) { // the server would break off, which browsers call a lost connection
      const [size, most] = [file.size, studio.largest].map((bytes) => Math.ceil(bytes / 2 ** 20));
      byId("note").textContent = `${file.name} has ${size} MB; allowed: at most ${most}. Save a smaller copy of it.`;
      continue;
    }
    byId("status").textContent = `sending ${file.name}`;
    try {
      const answer = await fetch("photos", {
        method: "POST", body: file, headers: { "x-name": encodeURIComponent(file.name) },
      });
      const said = await answer.json();
      if (answer.ok) choose(said.work);
      else byId("note").textContent = said.error;
    } catch {
      byId("note").textContent = `${file.name} did not arrive: send it again`;
    }
  }
}

byId("file").addEventListener("change", (event) => {
  open([...event.target.files]);
  event.target.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    byId("frame").classList.toggle("over", kind === "dragover");
    if (kind === "drop") open([...event.dataTransfer.files]);
  });
}
const turnBack = (what) => {
  panels.forgetSent();
  send({ do: what });
};
byId("undo").addEventListener("click", () => turnBack("undo"));
byId("redo").addEventListener("click", () => turnBack("redo"));
byId("stop").addEventListener("click", () => send({ do: "stop" }));
byId("learn").addEventListener("click", () => connection.send({ do: "learn" }));
byId("mix").addEventListener("click", () => {
  send({ do: "mix", other: byId("other").value, rows: byId("rows").value });
});
addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
  event.preventDefault();
  turnBack(event.shiftKey ? "redo" : "undo");
});
tools.choose("look");
