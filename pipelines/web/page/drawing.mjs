// A surface to draw a digit on, and what it gives: a picture of the model's size, centred as MNIST's digits are.

import { element } from "./dom.mjs";

const SIZE = 280;
const PEN = 22;
const STEP = 10;
// MNIST's digits are scaled to 20 of 28 pixels, and their centre of mass is the picture's (yann.lecun.com/exdb/mnist).
const SHARE = 20 / 28;

export function makeDrawing({ width, height }) {
  const canvas = element("canvas", { id: "drawing", class: "drawing", width: SIZE, height: SIZE, tabindex: 0,
    role: "application", "aria-label": "Surface to draw a digit: arrows move the pen, Space lowers or lifts it" });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let last = null;
  let pen = { x: SIZE / 2, y: SIZE / 2, down: false };

  const clear = () => {
    context.fillStyle = "black";
    context.fillRect(0, 0, SIZE, SIZE);
    Object.assign(context, { strokeStyle: "white", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    last = null;
  };
  const stroke = (from, to) => {
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) * SIZE / box.width, y: (event.clientY - box.top) * SIZE / box.height };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const now = place(event);
    stroke(last, now);
    last = now;
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
  const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
  canvas.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (event.key === " ") pen = { ...pen, down: !pen.down };
    else if (!move) return;
    event.preventDefault();
    const within = (value) => Math.min(SIZE - PEN, Math.max(PEN, value));
    const next = move ? { ...pen, x: within(pen.x + move[0]), y: within(pen.y + move[1]) } : pen;
    if (pen.down) stroke(pen, next);
    pen = next;
  });
  clear();

  async function picture() {
    const small = element("canvas", { width, height });
    const target = small.getContext("2d");
    target.fillStyle = "black";
    target.fillRect(0, 0, width, height);
    const ink = extent(context.getImageData(0, 0, SIZE, SIZE).data);
    if (ink) {
      const scale = SHARE * width / Math.max(ink.right - ink.left, ink.bottom - ink.top);
      target.imageSmoothingQuality = "high";
      target.drawImage(canvas, width / 2 - ink.x * scale, height / 2 - ink.y * scale, SIZE * scale, SIZE * scale);
    }
    return new Promise((resolve) => { small.toBlob(resolve, "image/png"); });
  }
  return { canvas, clear, picture };
}

// The frame of what is drawn, and its centre of mass, in pixels; null for an empty surface.
function extent(pixels) {
  let [left, right, top, bottom, mass, sumX, sumY] = [SIZE, 0, SIZE, 0, 0, 0, 0];
  for (let y = 0; y < SIZE; y += 1) {
    for (let x = 0; x < SIZE; x += 1) {
      const value = pixels[4 * (y * SIZE + x)];
      if (!value) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
      mass += value;
      sumX += value * x;
      sumY += value * y;
    }
  }
  return mass ? { left, right, top, bottom, x: sumX / mass, y: sumY / mass } : null;
}
