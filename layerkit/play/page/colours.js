// Colours: those of layerkit's plots and traces. Negative is blue, positive orange, as in a trace;
// classes have the colours of the plots, which colour-blind readers can tell apart.

export const dark = () => document.documentElement.dataset.theme === "dark";
export const mix = (a, b, s) => [a[0] + (b[0] - a[0]) * s, a[1] + (b[1] - a[1]) * s, a[2] + (b[2] - a[2]) * s];
export const css = (rgb, alpha = 1) => `rgb(${rgb.map(Math.round).join(" ")} / ${alpha})`;

// A colour of the style sheet, by its name there.
const tokens = new Map();
export function token(name) {
  const key = `${name} ${dark()}`;
  if (!tokens.get(key)) tokens.set(key, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return tokens.get(key);
}


const LIGHT = [[33, 102, 172], [247, 246, 243], [201, 82, 26]], DARK = [[98, 178, 250], [36, 39, 45], [255, 140, 80]];
const CLASSES = [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [60, 60, 60], [136, 34, 85], [153, 153, 153], [153, 153, 51]];
const DARK_CLASSES = [[98, 178, 250], [255, 140, 80], [50, 190, 145], [225, 150, 195], [240, 185, 60], [150, 215, 250], [225, 225, 225], [205, 110, 155], [165, 165, 165], [190, 190, 90]];

export const diverging = () => dark() ? DARK : LIGHT;
export const paper = () => diverging()[1];
export const inkColour = () => dark() ? [240, 240, 236] : [30, 32, 38];
export const classColour = i => (dark() ? DARK_CLASSES : CLASSES)[i % CLASSES.length];

// A table of 256 colours from -1 to 1, as the four bytes of a pixel each.
const tables = new Map();
// Images are in ink on paper.
export function ramp(ink = false) {
  const key = `${dark()} ${ink}`;
  if (!tables.has(key)) {
    const [low, zero, high] = ink ? [paper(), paper(), inkColour()] : diverging(), table = new Uint8ClampedArray(256 * 4);
    for (let i = 0; i < 256; i++) {
      const s = (i - 127.5) / 127.5;
      table.set([...mix(zero, s < 0 ? low : high, Math.abs(s)), 255], 4 * i);
    }
    tables.set(key, new Uint32Array(table.buffer));
  }
  return tables.get(key);
}

export function signed(x, largest) {
  const [low, zero, high] = diverging(), s = Math.min(1, Math.abs(x) / (largest || 1));
  return mix(zero, x < 0 ? low : high, s);
}

// A number, short, as one reads it.
export function short(x) {
  if (x === null || x === undefined || typeof x === "string" || !Number.isFinite(x)) return x === null || x === undefined ? "nan" : String(x).replace("Infinity", "∞").replace("inf", "∞").replace("-", "−").replace("NaN", "nan");
  if (x === 0) return "0";
  const text = Math.abs(x) >= 0.001 && Math.abs(x) < 1e5 ? String(+x.toPrecision(3)) : x.toExponential(1).replace(".0e", "e");
  return text.replace("-", "−").replace("e-", "e−").replace("e+", "e");
}

// A canvas of as many pixels as the screen has there; drawn in CSS pixels.
export function fitted(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const times = Math.min(globalThis.devicePixelRatio || 1, 3), w = Math.round(width * times), h = Math.round(height * times);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext("2d");
  context.setTransform(times, 0, 0, times, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// A rounded sheet of paper; what is drawn then stays inside it, until context.restore().
export function sheet(context, x, y, width, height, radius) {
  context.save();
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
  context.clip();
  context.fillStyle = css(paper());
  context.fillRect(x, y, width, height);
}
