// The output panel's picture: the decision map with the examples, the curve, or the digit one draws.

import { classColour, css, fitted, inkColour, mix, paper, ramp, sheet, short, signed, token } from "./colours.js";
import { Pad } from "./draw.js";
import { make } from "./make.js";

export class Picture {
  constructor(app, element) {
    this.app = app;
    this.element = element;
    this.small = new OffscreenCanvas(1, 1);
    new ResizeObserver(() => this.draw()).observe(element);
  }

  // Everything was built anew: `data` as the engine gives it.
  show(data) {
    this.data = data;
    this.testShown = this.test?.checked ?? true;
    this.winnerShown = this.winner?.checked ?? false;
    this.pad = this.canvas = this.bars = this.columns = null;
    if (data.kind === "images") this.digits();
    else if (data.columns.length === 2) this.plane();
    else if (data.columns.length === 1 && data.target === "number") this.curve();
    else this.table();
    if (data.kind === "table" && data.numbers.length > 1) this.choices();
  }

  // Of tables with more than two features, any two can be seen.
  choices() {
    const { features, columns, numbers } = this.data, menu = (k, none) => {
      const select = make("select", { "aria-label": k ? "Feature upwards" : "Feature to the right", onchange: () => {
        if (menus[0].value === menus[1].value) menus[1 - k].value = columns[k] ?? -1; // they change places
        this.app.chooseColumns(menus.map(each => +each.value));
      } },
        ...(none ? [make("option", { value: -1 }, "none")] : []), ...numbers.map(i => make("option", { value: i }, features[i])));
      select.value = columns[k] ?? -1;
      return select;
    };
    const menus = [menu(0, !columns.length), menu(1, !columns.length)];
    this.element.append(make("div", { class: "row" }, "map over ", menus[0], " and ", menus[1]));
  }

  surface(label) {
    this.canvas = make("canvas", { class: "surface", role: "img", "aria-label": label });
    this.canvas.addEventListener("pointermove", event => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.app.tip(null));
    this.canvas.addEventListener("click", event => {
      const example = this.nearest(event.offsetX, event.offsetY);
      if (example) this.app.chooseExample(example.set, example.i);
    });
  }

  check(name, on) {
    const input = make("input", { type: "checkbox", onchange: () => this.draw() });
    input.checked = on;
    return [input, make("label", { class: "check" }, input, name)];
  }

  plane() {
    const { classes, target } = this.data;
    this.mode = "plane";
    this.surface(`Map: what the network finds at each place${classes.length ? `, with the examples of ${classes.join(", ")}` : ""}`);
    const [test, testLabel] = this.check("test points", this.testShown), [winner, winnerLabel] = this.check("winner only", this.winnerShown);
    this.test = test;
    this.winner = winner;
    const keys = classes.map((name, i) => make("span", { class: "key" }, make("i", { style: `background: ${css(classColour(i))}` }), name));
    this.keys = make("div", { class: "row" }, ...keys);
    this.element.replaceChildren(this.canvas, this.keys, make("div", { class: "row" }, testLabel, ...(target === "class" ? [winnerLabel] : [])));
  }

  curve() {
    this.mode = "curve";
    this.surface("The network's curve and the examples");
    const [test, testLabel] = this.check("test points", this.testShown);
    this.test = test;
    this.element.replaceChildren(this.canvas, make("div", { class: "row" },
      make("span", { class: "key" }, make("i", { style: "background: var(--train)" }), "examples"),
      make("span", { class: "key" }, make("i", { style: "background: var(--pos); height: 4px; width: 18px; border-radius: 2px" }), "network"), testLabel));
  }

  digits() {
    this.mode = "digits";
    const pad = make("canvas", { role: "img", "aria-label": "Draw a digit here, with the mouse or a finger", tabindex: 0 });
    this.bars = make("dl", { class: "bars", "aria-label": "Probabilities of the classes" });
    this.samples = make("div", { class: "samples", role: "group", "aria-label": "Test images" });
    this.pad = new Pad(pad, this.data.image, numbers => this.app.drawn(numbers));
    const clear = make("button", { type: "button", onclick: () => this.pad.clear() }, "Clear");
    this.element.replaceChildren(make("div", { class: "pad" }, pad, this.bars), make("div", { class: "row" }, clear, make("span", {}, "or choose a test image:")), this.samples);
    const [height, width] = this.data.image, { x, t, count } = this.app.points("test");
    for (let i = 0; i < Math.min(count, 16); i++) {
      const canvas = make("canvas", { width, height }), cells = new ImageData(width, height), most = this.data.bytes ? 255 : 1;
      const numbers = Array.from(x.subarray(i * width * height, (i + 1) * width * height), v => v / most);
      numbers.forEach((v, k) => cells.data.set([...mix(paper(), inkColour(), v), 255], 4 * k));
      canvas.getContext("2d").putImageData(cells, 0, 0);
      this.samples.append(make("button", { type: "button", "aria-label": `Test image ${i}: ${this.data.classes[t[i]]}`, onclick: () => { this.pad.show(numbers); this.app.chooseExample("test", i); } }, canvas));
    }
    this.probabilities(null);
  }

  table() {
    this.mode = "table";
    this.element.replaceChildren(make("p", { class: "told" }, this.data.numbers.length > 1 ? "A map is drawn over two features, with all others at their medians." : "There is no map of these examples: the scores and the losses show what is learned."));
  }

  probabilities(found) {
    if (!this.bars) return;
    const classes = this.data.classes, best = found ? found.indexOf(Math.max(...found)) : -1;
    if (this.bars.children.length !== classes.length) this.bars.replaceChildren(...classes.map(name => make("div", {}, make("span", {}, name), make("i"))));
    [...this.bars.children].forEach((row, i) => {
      row.className = i === best ? "best" : "";
      row.lastChild.style.transform = `scaleX(${found && Number.isFinite(found[i]) ? Math.max(0.005, found[i]) : 0.005})`;
      row.title = found ? `${classes[i]}: ${short(found[i])}` : "";
    });
  }

  get box() {
    const width = this.canvas.clientWidth, left = 26, bottom = 20, top = 4, right = 4;
    return { left, top, width: width - left - right, height: width - top - bottom, whole: width };
  }

  scales() {
    const { left, top, width, height } = this.box, [[x0, x1], [y0, y1]] = this.bounds();
    return {
      px: x => left + (x - x0) / (x1 - x0) * width, py: y => top + (y1 - y) / (y1 - y0) * height,
      x: px => x0 + (px - left) / width * (x1 - x0), y: py => y1 - (py - top) / height * (y1 - y0),
    };
  }

  bounds() {
    return this.mode === "curve" ? [this.data.bounds[0], this.data.range] : this.data.bounds;
  }

  // The colour of an example: of its class, or of its number.
  colour(t) {
    if (this.data.target === "class") return classColour(t);
    const [low, high] = this.data.range;
    return signed(t - (low + high) / 2, (high - low) / 2);
  }

  draw() {
    if (this.pad) this.pad.draw();
    if (!this.canvas?.isConnected || !this.canvas.clientWidth || !this.data || this.pad) return;
    const { left, top, width, height, whole } = this.box, context = fitted(this.canvas, whole, whole), { px, py } = this.scales();
    const frame = this.app.frame, hovered = this.app.hovered && this.app.unitMap(this.app.hovered);
    sheet(context, left, top, width, height, 6);
    if (this.mode === "plane" && frame) {
      if (hovered) this.unit(hovered); else if (frame.map.winner) this.classes(frame.map); else this.values(frame.map);
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.small, left, top, width, height);
    }
    this.ticks(context);
    const train = token("--train"), card = token("--card"), soft = token("--soft"), ink = token("--ink"), numbers = this.mode === "plane" && this.data.target !== "class";
    for (const set of ["train", "test"]) {
      if (set === "test" && !this.test.checked) continue;
      const { x, t, count } = this.app.points(set), radius = count > 400 ? 2.6 : whole > 380 ? 4.2 : 3.5;
      context.lineWidth = 1.2;
      for (let i = 0; i < count; i++) {
        const [cx, cy] = this.mode === "plane" ? [px(x[2 * i]), py(x[2 * i + 1])] : [px(x[i]), py(t[i])];
        const colour = this.mode === "plane" ? css(this.colour(t[i])) : train;
        context.beginPath();
        context.arc(cx, cy, radius, 0, 7);
        if (set === "train") {
          context.fillStyle = colour;
          context.fill();
          context.strokeStyle = numbers ? soft : card;
        } else {
          context.fillStyle = numbers ? colour : card;
          context.fill();
          context.strokeStyle = numbers ? ink : colour;
          context.lineWidth = 2;
        }
        context.stroke();
      }
    }
    if (this.mode === "curve" && frame) this.lines(context, frame, hovered);
    const chosen = this.app.example && this.coordinates(this.app.example);
    if (chosen) {
      context.beginPath();
      context.arc(px(chosen[0]), py(chosen[1]), 8, 0, 7);
      context.strokeStyle = token("--ink");
      context.lineWidth = 2.2;
      context.stroke();
    }
    context.restore();
  }

  coordinates({ set, i }) {
    const { x, t, count } = this.app.points(set);
    if (i >= count) return null;
    return this.mode === "plane" ? [x[2 * i], x[2 * i + 1]] : [x[i], t[i]];
  }

  ticks(context) {
    const { left, top, width, height } = this.box, { px, py } = this.scales(), [[x0, x1], [y0, y1]] = this.bounds();
    context.restore();
    context.fillStyle = token("--soft");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    for (const v of nice(x0, x1)) context.fillText(short(v), px(v), top + height + 14);
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const v of nice(y0, y1)) context.fillText(short(v), left - 5, py(v));
    context.save();
    context.beginPath();
    context.roundRect(left, top, width, height, 6);
    context.strokeStyle = token("--line");
    context.stroke();
    context.clip();
  }

  lines(context, frame, hovered) {
    const { px, py } = this.scales(), [[x0, x1], [y0, y1]] = this.bounds();
    context.strokeStyle = token("--line");
    context.lineWidth = 1;
    for (const v of nice(y0, y1)) { context.beginPath(); context.moveTo(px(x0), py(v)); context.lineTo(px(x1), py(v)); context.stroke(); }
    const draw = ({ data, from = 0, width, offset, scale }, colour) => {
      context.strokeStyle = colour;
      context.lineWidth = 3.2;
      context.lineJoin = "round";
      context.beginPath();
      for (let i = 0; i < width; i++) {
        const y = py(offset + scale * data[from + i]);
        if (Number.isFinite(y)) context.lineTo(px(x0 + (x1 - x0) * i / (width - 1)), y);
      }
      context.stroke();
    };
    const { values } = frame.map;
    draw({ data: values.data, width: values.shape[0], offset: 0, scale: 1 }, hovered ? css(mix(paper(), [201, 82, 26], 0.35)) : token("--pos"));
    if (hovered) draw(hovered, token("--word"));
  }

  canvasOf(width, height) {
    if (this.small.width !== width || this.small.height !== height) { this.small.width = width; this.small.height = height; }
    return new ImageData(width, height);
  }

  unit({ data, from = 0, width, height, offset, scale, largest }) {
    const image = this.canvasOf(width, height), to = new Uint32Array(image.data.buffer), colours = ramp(), s = 127.5 / (largest || 1);
    for (let i = 0; i < to.length; i++) to[i] = colours[Math.max(0, Math.min(255, Math.round(127.5 + (offset + scale * data[from + i]) * s)))];
    this.small.getContext("2d").putImageData(image, 0, 0);
  }

  // The class that is found at each place, paler the less sure the network is.
  classes({ winner, probability }) {
    const [height, width] = winner.shape, image = this.canvasOf(width, height), to = new Uint32Array(image.data.buffer), count = this.data.classes.length;
    const colours = this.data.classes.map((_, k) => shades(classColour(k))), only = this.winner.checked;
    for (let i = 0; i < to.length; i++) {
      const sure = (probability.data[i] - 1 / count) / (1 - 1 / count);
      to[i] = colours[winner.data[i]][only ? 255 : Math.max(0, Math.min(255, Math.round(255 * (0.1 + 0.9 * sure))))];
    }
    this.small.getContext("2d").putImageData(image, 0, 0);
  }

  // Numbers at each place: negative and positive as everywhere, from the middle of their range.
  values({ values }) {
    const [height, width] = values.shape, [low, high] = this.data.range ?? [0, 1];
    this.unit({ data: values.data, width, height, offset: -(low + high) / 2, scale: 1, largest: (high - low) / 2 });
  }

  nearest(offsetX, offsetY) {
    const { px, py } = this.scales();
    let best = null, close = 12;
    for (const set of this.test.checked ? ["train", "test"] : ["train"]) {
      const { count } = this.app.points(set);
      for (let i = 0; i < count; i++) {
        const [x, y] = this.coordinates({ set, i }), far = Math.hypot(px(x) - offsetX, py(y) - offsetY);
        if (far < close) { close = far; best = { set, i }; }
      }
    }
    return best;
  }

  point(event) {
    const { x, y } = this.scales(), at = [x(event.offsetX), y(event.offsetY)], [[x0, x1], [y0, y1]] = this.bounds(), frame = this.app.frame;
    if (at[0] < x0 || at[0] > x1 || at[1] < y0 || at[1] > y1 || !frame?.map) { this.app.tip(null); return; }
    const lines = [], example = this.nearest(event.offsetX, event.offsetY), classes = this.data.classes;
    const told = t => this.data.target === "class" ? classes[t] : short(t);
    if (this.mode === "plane") {
      const { winner, probability, values } = frame.map, [height, width] = (winner ?? values).shape;
      const i = Math.min(height - 1, Math.floor((y1 - at[1]) / (y1 - y0) * height)) * width + Math.min(width - 1, Math.floor((at[0] - x0) / (x1 - x0) * width));
      lines.push(`(${short(at[0])}, ${short(at[1])})`, `network: ${winner ? `${classes[winner.data[i]]}, ${(100 * probability.data[i]).toFixed(0)} %` : short(values.data[i])}`);
    } else {
      const { data } = frame.map.values, i = Math.round((at[0] - x0) / (x1 - x0) * (data.length - 1));
      lines.push(`x = ${short(at[0])}`, `network: ${short(data[i])}`);
    }
    if (example) lines.push(`${example.set} example ${example.i}: ${told(this.app.points(example.set).t[example.i])}`);
    this.app.tip(lines.join("\n"), event);
  }
}

// From paper to a colour, in 256 steps, as the four bytes of a pixel each.
function shades(colour) {
  const bytes = new Uint8ClampedArray(1024);
  for (let i = 0; i < 256; i++) bytes.set([...mix(paper(), colour, 0.62 * i / 255), 255], 4 * i);
  return new Uint32Array(bytes.buffer);
}

// About five numbers of one, two or five times a power of ten.
function nice(low, high) {
  const rough = (high - low) / 5, size = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find(k => k * size >= rough) * size, found = [];
  for (let v = Math.ceil(low / step) * step; v <= high - step * 0.02; v += step) if (v > low + step * 0.02) found.push(Math.abs(v) < step / 1e6 ? 0 : v);
  return found;
}
