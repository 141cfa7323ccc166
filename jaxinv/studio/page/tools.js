// The tools: what the pointer and the keys do to the picture.

import { coloursOf, maskOf } from "./canvas.js";

const HELP = {
  look: "Move the slider above to compare with the photograph.",
  drag: "Press on a point and pull it to where it should go; several points may go at once. A mask says what may move.",
  mask: "Paint over what may move. Nothing painted: everything may.",
  paint: "Paint with a colour; the picture is then looked for in which it is there. Small strokes work best.",
};
const SHOWN = {
  look: ["wipe-field"],
  drag: ["clear", "apply"],
  mask: ["brush-field", "clear"],
  paint: ["brush-field", "colour-field", "edges-field", "clear", "apply"],
};
const OPTIONS = ["wipe-field", "brush-field", "colour-field", "edges-field", "clear", "apply"];
const MASK_COLOUR = "#4fc3f7";
const STEP = 16; // px of the full picture that an arrow key moves the cross, 2 with Shift
const MOST_HANDLES = 16;

const byId = (id) => document.getElementById(id);

export class Tools {
  constructor(view, send) {
    this.view = view;
    this.send = send;
    this.tool = "look";
    this.held = null;
    byId("tools").addEventListener("change", (event) => this.choose(event.target.value));
    byId("wipe").addEventListener("input", (event) => {
      view.wipe = Number(event.target.value);
      view.drawPicture();
    });
    byId("clear").addEventListener("click", () => this.clear());
    byId("apply").addEventListener("click", () => this.apply());
    const canvas = view.shown;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.begin(view.place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.go(view.place(event));
    });
    canvas.addEventListener("pointerup", (event) => this.end(view.place(event)));
    canvas.addEventListener("pointercancel", () => (this.held = null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => {
      view.cross = null;
      view.drawOverlay();
    });
    this.choose("look");
  }

  choose(tool) {
    this.tool = tool;
    for (const id of OPTIONS) byId(id).hidden = !SHOWN[tool].includes(id);
    byId("help").textContent = HELP[tool];
    byId("apply").textContent = tool === "drag" ? "Drag" : "Find";
    document.querySelector(`#tools input[value=${tool}]`).checked = true;
  }

  begin(place) {
    const { handles } = this.view;
    if (this.tool === "drag") {
      if (handles.length >= MOST_HANDLES) return;
      this.held = { from: place, to: null };
      handles.push(this.held);
    } else if (this.tool === "mask" || this.tool === "paint") {
      this.held = place;
      this.stroke(place);
    }
    this.view.drawOverlay();
  }

  go(place) {
    if (!this.held) return;
    if (this.tool === "drag") this.held.to = place;
    else {
      const [x, y] = this.held;
      const steps = Math.ceil(Math.hypot(place[0] - x, place[1] - y) / 4);
      for (let i = 1; i <= steps; i++) {
        const share = i / steps;
        this.stroke([x + share * (place[0] - x), y + share * (place[1] - y)]);
      }
      this.held = place;
    }
    this.view.drawOverlay();
  }

  end(place) {
    if (this.tool === "drag" && this.held) {
      const [x, y] = this.held.from;
      if (Math.hypot(place[0] - x, place[1] - y) < 4) this.view.handles.pop();
      else this.held.to = place;
    }
    this.held = null;
    this.view.drawOverlay();
  }

  stroke(place) {
    const layer = this.tool === "mask" ? this.view.mask : this.view.paint;
    const colour = this.tool === "mask" ? MASK_COLOUR : byId("colour").value;
    this.view.brush(layer, place, Number(byId("brush").value), colour);
  }

  key(event) {
    const { view } = this;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (way) {
      const step = event.shiftKey ? 2 : STEP;
      const clamp = (v) => Math.min(Math.max(v, 0), view.side - 1);
      view.cross ??= [view.side / 2, view.side / 2];
      view.cross = view.cross.map((v, i) => clamp(v + step * way[i]));
    } else if (event.key === "Enter" || event.key === " ") {
      this.use(view.cross ?? [view.side / 2, view.side / 2]);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    view.drawOverlay();
  }

  // With keys a handle is made of two places, the second of which is its target.
  use(place) {
    const { handles } = this.view;
    const open = handles.find((one) => !one.to);
    if (this.tool === "drag" && open) open.to = place;
    else if (this.tool === "drag" && handles.length < MOST_HANDLES) {
      handles.push({ from: place, to: null });
    } else if (this.tool === "mask" || this.tool === "paint") this.stroke(place);
  }

  clear() {
    if (this.tool === "drag") this.view.handles.length = 0;
    if (this.tool === "mask") this.view.clear(this.view.mask);
    if (this.tool === "paint") this.view.clear(this.view.paint);
    this.view.drawOverlay();
  }

  apply() {
    const { view } = this;
    if (this.tool === "drag") {
      const whole = view.handles.filter((one) => one.to);
      if (!whole.length) {
        byId("note").textContent = "Press on a point of the picture and pull it first.";
        return;
      }
      const mask = maskOf(view.mask);
      this.send({ do: "drag", from: whole.map((h) => h.from), to: whole.map((h) => h.to), mask });
      view.handles.length = 0;
    } else if (this.tool === "paint") {
      const mask = maskOf(view.paint);
      if (!mask) {
        byId("note").textContent = "Paint something first.";
        return;
      }
      this.send({ do: "paint", colours: coloursOf(view.paint), mask, edges: byId("edges").checked });
      view.clear(view.paint);
    }
    view.drawOverlay();
  }
}
