// A pad to draw a digit on. What is drawn becomes an image as the data set of digits was made: each of its pixels,
// from 0 to 1, is the share of inked cells, of which there are 4 x 4 in a pixel of 8 x 8.

import { fitted, inkColour, token } from "./colours.js";

const SIZE = 32;

export class Pad {
  constructor(canvas, [height, width], drawn) {
    this.canvas = canvas;
    this.height = height;
    this.width = width;
    this.drawn = drawn;
    this.ink = new Uint8Array(SIZE * SIZE);
    let last = null;
    const place = event => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * SIZE, (event.clientY - box.top) / box.height * SIZE];
    };
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      if (this.shown) this.clear();
      last = place(event);
      this.line(last, last);
    });
    canvas.addEventListener("pointermove", event => {
      if (!last) return;
      for (const each of event.getCoalescedEvents?.() ?? [event]) {
        const now = place(each);
        this.line(last, now);
        last = now;
      }
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
  }

  get empty() {
    return !this.shown && !this.ink.includes(1);
  }

  clear() {
    this.ink.fill(0);
    this.shown = null;
    this.draw();
    this.drawn(null);
  }

  // Show an image of the data in place of a drawing.
  show(numbers) {
    this.ink.fill(0);
    this.shown = numbers;
    this.draw();
    this.drawn(numbers);
  }

  line([x0, y0], [x1, y1]) {
    const steps = Math.ceil(Math.hypot(x1 - x0, y1 - y0) * 2) + 1, radius = 1.75;
    for (let k = 0; k <= steps; k++) {
      const x = x0 + (x1 - x0) * k / steps, y = y0 + (y1 - y0) * k / steps;
      for (let row = Math.floor(y - radius); row <= y + radius; row++) for (let column = Math.floor(x - radius); column <= x + radius; column++) {
        if (row >= 0 && column >= 0 && row < SIZE && column < SIZE && Math.hypot(column + 0.5 - x, row + 0.5 - y) <= radius) this.ink[row * SIZE + column] = 1;
      }
    }
    this.draw();
    this.drawn(this.numbers());
  }

  // As with the digits of the data, the drawing is brought to the middle and to their size before it is counted.
  numbers() {
    let [top, bottom, left, right] = [SIZE, -1, SIZE, -1];
    this.ink.forEach((on, i) => {
      if (!on) return;
      const row = Math.floor(i / SIZE), column = i % SIZE;
      top = Math.min(top, row); bottom = Math.max(bottom, row); left = Math.min(left, column); right = Math.max(right, column);
    });
    const { width, height } = this, found = new Array(width * height).fill(0), high = bottom - top + 1;
    const scale = Math.min(SIZE / high, (SIZE - 6) / (right - left + 1)), middle = (left + right + 1) / 2;
    for (let row = 0; row < SIZE; row++) for (let column = 0; column < SIZE; column++) {
      const y = Math.floor((row + 0.5 - SIZE / 2) / scale + (top + bottom + 1) / 2), x = Math.floor((column + 0.5 - SIZE / 2) / scale + middle);
      if (y >= 0 && x >= 0 && y < SIZE && x < SIZE && this.ink[y * SIZE + x]) found[Math.floor(row * height / SIZE) * width + Math.floor(column * width / SIZE)] += width * height / SIZE / SIZE;
    }
    return found.map(v => Math.min(1, v));
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    const context = fitted(this.canvas, width, width), ink = token("--ink");
    context.fillStyle = token("--well");
    context.fillRect(0, 0, width, width);
    context.fillStyle = ink;
    if (this.shown) {
      this.shown.forEach((v, i) => {
        context.globalAlpha = v;
        context.fillRect((i % this.width) * width / this.width, Math.floor(i / this.width) * width / this.height, width / this.width + 0.5, width / this.height + 0.5);
      });
      context.globalAlpha = 1;
      return;
    }
    const small = new OffscreenCanvas(SIZE, SIZE), cells = new ImageData(SIZE, SIZE), [red, green, blue] = inkColour();
    this.ink.forEach((on, i) => { if (on) cells.data.set([red, green, blue, 255], 4 * i); });
    small.getContext("2d").putImageData(cells, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, width, width);
    if (this.empty) {
      context.fillStyle = token("--soft");
      context.font = "14px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText("draw a digit", width / 2, width / 2 + 5);
    }
  }
}
