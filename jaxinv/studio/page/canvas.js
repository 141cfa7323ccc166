// The picture, and what lies over it: the photo before, handles, the mask, the paint, the cross.

export const MASK_SIDE = 256; // px of masks and of paint, as the studio keeps them
const INK = "#ffffff";
const EDGE = "#10131a";

export function layer() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = MASK_SIDE;
  canvas.getContext("2d", { willReadFrequently: true });
  return canvas;
}

export class View {
  constructor(picture, overlay) {
    this.picture = picture.getContext("2d");
    this.overlay = overlay.getContext("2d");
    this.shown = overlay;
    this.side = 1024; // px of the full picture, in which places are told
    this.now = this.before = null;
    this.wipe = 0;
    this.handles = []; // {from: [x, y], to: [x, y] or null}
    this.points = []; // where dragged points are now
    this.mask = layer();
    this.paint = layer();
    this.cross = null;
  }

  place(event) {
    const box = this.shown.getBoundingClientRect();
    const clamp = (v) => Math.min(Math.max(v, 0), this.side - 1);
    return [
      clamp(((event.clientX - box.left) / box.width) * this.side - 0.5),
      clamp(((event.clientY - box.top) / box.height) * this.side - 0.5),
    ];
  }

  drawPicture() {
    const { width, height } = this.picture.canvas;
    const base = this.now ?? this.before;
    this.picture.clearRect(0, 0, width, height);
    if (base) this.picture.drawImage(base, 0, 0, width, height);
    const cut = Math.round((this.wipe / 100) * width);
    if (this.before && cut) {
      const share = this.before.width / width;
      this.picture.drawImage(this.before, 0, 0, cut * share, this.before.height, 0, 0, cut, height);
      this.picture.fillStyle = INK;
      this.picture.fillRect(cut - 1, 0, 2, height);
    }
  }

  drawOverlay() {
    const pen = this.overlay;
    const { width, height } = pen.canvas;
    pen.clearRect(0, 0, width, height);
    pen.globalAlpha = 0.35;
    pen.drawImage(this.mask, 0, 0, width, height);
    pen.globalAlpha = 0.9;
    pen.drawImage(this.paint, 0, 0, width, height);
    pen.globalAlpha = 1;
    const scale = width / this.side;
    const at = ([x, y]) => [(x + 0.5) * scale, (y + 0.5) * scale];
    for (const { from, to } of this.handles) {
      if (to) this.line(at(from), at(to));
      this.dot(at(from), "#e53935");
      if (to) this.dot(at(to), "#1e88e5");
    }
    this.points.forEach((point) => this.dot(at(point), "#fdd835"));
    if (this.cross) this.lines(at(this.cross));
  }

  dot([x, y], colour) {
    const pen = this.overlay;
    pen.beginPath();
    pen.arc(x, y, 11, 0, 2 * Math.PI);
    pen.fillStyle = colour;
    pen.fill();
    pen.lineWidth = 4;
    pen.strokeStyle = INK;
    pen.stroke();
  }

  line(a, b) {
    const pen = this.overlay;
    for (const [width, colour] of [[8, EDGE], [4, INK]]) {
      pen.beginPath();
      pen.moveTo(...a);
      pen.lineTo(...b);
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.stroke();
    }
  }

  lines([x, y]) {
    this.line([x - 30, y], [x + 30, y]);
    this.line([x, y - 30], [x, y + 30]);
  }

  brush(canvas, place, radius, colour) {
    const pen = canvas.getContext("2d");
    const scale = MASK_SIDE / this.side;
    pen.fillStyle = colour;
    pen.beginPath();
    pen.arc((place[0] + 0.5) * scale, (place[1] + 0.5) * scale, radius / 2, 0, 2 * Math.PI);
    pen.fill();
  }

  clear(canvas) {
    canvas.getContext("2d").clearRect(0, 0, MASK_SIDE, MASK_SIDE);
  }
}

// Where a layer was drawn, as a white and black PNG in base64; null where nothing was.
export function maskOf(canvas) {
  const pixels = canvas.getContext("2d").getImageData(0, 0, MASK_SIDE, MASK_SIDE);
  let any = false;
  for (let i = 0; i < pixels.data.length; i += 4) {
    const on = pixels.data[i + 3] > 127;
    any ||= on;
    pixels.data.fill(on ? 255 : 0, i, i + 3);
    pixels.data[i + 3] = 255;
  }
  return any ? asPng(pixels) : null;
}

export function coloursOf(canvas) {
  const pixels = canvas.getContext("2d").getImageData(0, 0, MASK_SIDE, MASK_SIDE);
  for (let i = 3; i < pixels.data.length; i += 4) pixels.data[i] = 255;
  return asPng(pixels);
}

function asPng(pixels) {
  const canvas = layer();
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}
