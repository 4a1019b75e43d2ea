// The network, drawn: a column of neurons for each layer, each neuron with the map of its outputs over the
// plane, and a line for each weight. Above it, one button per layer, and a + wherever a layer can be added.

import { css, diverging, fitted, mix, paper, ramp, sheet, short, signed, token } from "./colours.js";
import { layOut } from "./layout.js";
import { make } from "./make.js";
import { pick } from "./controls.js";

const LABEL = "italic 14px Palatino, Georgia, serif", EMBED = document.documentElement.classList.contains("embed");

export class NetworkView {
  constructor(app) {
    this.app = app;
    this.scroller = document.getElementById("drawing");
    this.list = document.getElementById("layers");
    this.canvas = document.getElementById("net");
    this.columns = [];
    this.canvas.addEventListener("pointermove", event => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.canvas.addEventListener("click", event => {
      this.point(event);
      const column = this.columnAt(event.offsetX, event.offsetY);
      if (column?.address) app.selectLayer(column.address);
    });
    new ResizeObserver(() => { this.place(); this.draw(); }).observe(this.scroller);
  }

  // Columns as columns.js describes them: {address, title, units, level, reads, elementwise, weights, bias, map(unit), image, value(unit)};
  // `reads` has the numbers of columns.
  show(columns) {
    const focused = document.activeElement?.closest?.("#layers") ? document.activeElement.dataset.key : null;
    this.columns = columns;
    this.place();
    this.head();
    if (focused) this.list.querySelector(`[data-key="${focused}"]`)?.focus();
    this.draw();
  }

  update(columns) {
    this.columns.forEach((column, i) => Object.assign(column, columns[i]));
    this.draw();
  }

  place() {
    const { columns } = this;
    if (!columns.length) return;
    const style = getComputedStyle(this.scroller), room = this.scroller.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const ends = [columns[0], columns.at(-1)].map(column => this.room(column));
    const height = EMBED ? Math.min(400, Math.max(160, innerHeight - 12)) : innerWidth <= 760 ? 330 : innerHeight > 1000 ? 470 : 390;
    Object.assign(this, layOut(columns, { room, ends, height, embed: EMBED }));
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.list.style.width = `${this.width}px`;
    this.list.classList.toggle("stacked", this.stacked);
    for (const each of this.list.children) this.put(each);
  }

  // What is left beside the first and the last column: for their labels, or for half a header.
  room({ labels }) {
    const context = this.canvas.getContext("2d");
    context.font = LABEL;
    return Math.max(EMBED ? 24 : 46, ...(labels ?? []).map(label => context.measureText(label).width + 10));
  }

  put(item) {
    const column = this.columns[item.dataset.column];
    if (!column) return;
    if (item.dataset.add === undefined) {
      const wide = this.size + this.narrow - 6;
      item.style.cssText = `left: ${column.x + column.wide / 2 - wide / 2}px; width: ${wide}px; top: ${this.stacked ? column.top : 0}px`;
      return;
    }
    const next = this.columns[+item.dataset.column + 1], x = next ? (column.x + column.wide + next.x) / 2 : column.x + column.wide + 27;
    item.style.cssText = `left: ${x - 12}px; width: 24px`;
  }

  head() {
    const { app, columns } = this, items = [], fixed = columns.some(column => column.fixed);
    columns.forEach((column, i) => {
      if (i === 0) {
        items.push(make("li", { "data-column": 0 }, make("span", { class: "layer data" }, column.title)));
      } else {
        const reads = this.graph && column.reads.length > 1 ? ` of ${column.reads.map(k => this.named(columns[k])).join(" and ")}` : "";
        const button = make("button", {
          type: "button", class: `layer${column.wrong ? " wrong" : ""}`, "data-key": column.address, title: `${column.title}${this.graph ? ` (${this.named(column)})` : ""}${column.told ? `\n${column.told}` : ""}`,
          "aria-pressed": String(app.selected === column.address), "aria-label": `Layer ${i}: ${column.title}${reads}${column.told ? `, ${column.told}` : ""}`,
          onclick: () => app.selectLayer(app.selected === column.address ? null : column.address), onkeydown: event => this.key(event, i),
        }, column.title);
        const item = make("li", { "data-column": i }, button);
        if (column.setUnits) {
          const change = by => () => column.setUnits(Math.max(1, column.given + by));
          item.append(make("div", { class: "units" },
            make("button", { type: "button", "data-key": `${column.address}-`, "aria-label": `One unit fewer in layer ${i}`, onclick: change(-1), disabled: column.given <= 1 }, "−"),
            make("span", {}, String(column.given)),
            make("button", { type: "button", "data-key": `${column.address}+`, "aria-label": `One unit more in layer ${i}`, onclick: change(1) }, "+")));
        }
        items.push(item);
      }
      if (!fixed) items.push(make("li", { "data-column": i, "data-add": "", class: "add" }, make("button", { type: "button", "data-key": `add${i}`, title: "Add a layer here", "aria-label": i ? `Add a layer after layer ${i}` : "Add a layer before layer 1", onclick: () => pick(app, "Add a layer", type => app.addLayer(i, type)) }, "+")));
    });
    this.list.replaceChildren(...items);
    for (const each of items) {
      this.put(each);
      const units = each.querySelector(".units");
      if (units) { units.style.width = "66px"; units.style.marginLeft = `${(parseFloat(each.style.width) - 66) / 2}px`; }
    }
  }

  key(event, i) {
    const buttons = [...this.list.querySelectorAll(".layer:not(.data)")], to = { ArrowRight: i, ArrowLeft: i - 2, Home: 0, End: buttons.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      buttons[Math.max(0, Math.min(buttons.length - 1, to))].focus();
      return;
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const column = this.columns[i], was = this.app.hovered?.address === column.address ? this.app.hovered.unit : event.key === "ArrowDown" ? -1 : column.shown;
    const unit = (was + (event.key === "ArrowDown" ? 1 : -1) + column.shown) % column.shown;
    this.app.hover({ address: column.address, unit });
    this.app.say(this.unitText(column, unit));
  }

  select() {
    for (const each of this.list.querySelectorAll(".layer[data-key]")) each.setAttribute("aria-pressed", String(each.dataset.key === this.app.selected));
    this.draw();
  }

  // The name of a column of a graph: of a node in it, "input", or of a part of a node.
  named({ address }) { return address.replace(/^body\.(nodes\.)?/, "").replaceAll(".nodes.", "."); }

  // The lines into a column, as [what it reads, from unit, to unit, weight or null]. A unit beyond those that are shown has the number after the last.
  *lines(to) {
    const units = to.reads.reduce((sum, k) => sum + this.columns[k].units, 0);
    let offset = 0;
    for (const k of to.reads) {
      const from = this.columns[k];
      if (from.image) for (let b = 0; b < to.shown; b++) yield [from, 0, b, null];
      else if (to.weights) for (let a = 0; a < from.shown; a++) for (let b = 0; b < to.shown; b++) yield [from, a, b, to.weights.data[a * to.weights.shape[1] + b]];
      else if (from.units === to.units) for (let a = 0; a < Math.min(from.shown, to.shown); a++) yield [from, a, a, null];
      else if (to.reads.length > 1 && units === to.units) for (let a = 0; a < from.shown; a++) yield [from, a, Math.min(offset + a, to.shown), null];
      else for (let a = 0; a < from.shown; a++) for (let b = 0; b < to.shown; b++) yield [from, a, b, null];
      offset += from.units;
    }
  }

  ends(from, to, a, b) {
    return [from.x + from.wide, from.y[a] + (from.image ? from.wide : this.size) / 2, to.x, b < to.shown ? to.y[b] + this.size / 2 : to.y.at(-1) + this.size + 14];
  }

  // The lanes between a column and one that it reads.
  between(from, to) {
    return Array.from({ length: to.level - from.level - 1 }, (_, i) => this.lanes.get(`${this.columns.indexOf(from)} ${from.level + 1 + i}`));
  }

  draw() {
    const { columns, canvas, size, app } = this;
    if (!columns.length || !this.width) return;
    const context = fitted(canvas, this.width, this.height), line = token("--line"), soft = token("--soft"), ink = token("--ink"), accent = token("--accent"), lane = mixed(line, soft);
    const places = this.maps(), [negative, , positive] = diverging().map(colour => css(mix(paper(), colour, 0.9)));
    context.lineCap = "round";
    const curve = (x0, y0, x1, y1) => {
      const bend = (x1 - x0) / 2;
      context.beginPath();
      context.moveTo(x0, y0);
      context.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
      context.stroke();
    };
    for (const column of columns) {
      let largest = 0;
      if (column.weights) for (const w of column.weights.data) if (Number.isFinite(w)) largest = Math.max(largest, Math.abs(w));
      const hot = app.hovered && app.hovered.address === column.address ? app.hovered.unit : -1;
      for (const [from, a, b, w] of this.lines(column)) {
        const [x0, y0, x1, y1] = this.ends(from, column, a, b), s = Number.isFinite(w) ? Math.min(1, Math.abs(w) / (largest || 1)) : 0, lanes = this.between(from, column);
        if (w === null) {
          context.strokeStyle = lanes.length ? lane : line;
          context.lineWidth = 1.5;
        } else {
          context.globalAlpha = (0.2 + 0.8 * Math.sqrt(s)) * (hot >= 0 && hot !== b ? 0.25 : 1);
          context.strokeStyle = w < 0 ? negative : positive;
          context.lineWidth = 0.6 + 5.4 * s;
        }
        if (!lanes.length) curve(x0, y0, x1, y1);
        else {
          curve(x0, y0, lanes[0].x, lanes[0].middle);
          curve(lanes.at(-1).x + lanes.at(-1).wide, lanes.at(-1).middle, x1, y1);
        }
        context.globalAlpha = 1;
      }
      context.strokeStyle = lane;
      context.lineWidth = 4;
      for (const lanes of column.reads.map(k => this.between(columns[k], column))) lanes.forEach(({ x, wide, middle }, i) => {
        curve(x, middle, x + wide, middle);
        if (i) curve(lanes[i - 1].x + lanes[i - 1].wide, lanes[i - 1].middle, x, middle);
      });
    }
    columns.forEach((column, i) => {
      for (let j = 0; j < column.shown; j++) {
        const x = column.x, y = column.y[j], wide = column.wide, hovered = app.hovered && app.hovered.address === column.address && app.hovered.unit === j;
        sheet(context, x, y, wide, wide, 5);
        const place = places.get(`${column.address} ${j}`), map = place?.map ?? column.map?.(j);
        const value = column.value?.(j);
        if (map && !place) this.line(context, map, x, y, wide);
        else if (map) {
          context.imageSmoothingEnabled = map.smooth ?? true;
          context.drawImage(this.small, place.x, place.y, map.width, map.height, x, y, wide, wide);
        }
        else if (value !== undefined) { context.fillStyle = css(signed(value, column.largest)); context.fillRect(x, y, wide, wide); }
        context.restore();
        context.beginPath();
        context.roundRect(x, y, wide, wide, 5);
        context.strokeStyle = hovered ? ink : column.wrong ? token("--bad") : app.selected === column.address && i ? accent : mixed(line, soft);
        context.lineWidth = hovered ? 2.5 : app.selected === column.address && i ? 2 : 1;
        context.stroke();
        if (value !== undefined && map) {
          context.beginPath();
          context.arc(x + wide, y + wide / 2, 5, 0, 7);
          context.fillStyle = css(signed(value, column.largest));
          context.fill();
          context.strokeStyle = soft;
          context.lineWidth = 1;
          context.stroke();
        }
        if (column.labels?.[j]) {
          context.fillStyle = soft;
          context.font = LABEL;
          context.textAlign = i ? "left" : "right";
          context.textBaseline = "middle";
          context.fillText(column.labels[j], i ? x + wide + 6 : x - 5, y + wide / 2);
        }
      }
      if (column.units > column.shown && !column.image) {
        context.fillStyle = soft;
        context.font = "12px system-ui, sans-serif";
        context.textAlign = "center";
        context.textBaseline = "top";
        context.fillText(`+ ${column.units - column.shown}`, column.x + column.wide / 2, column.y.at(-1) + size + 7);
      }
    });
    const of = column => this.graph ? ` of ${column.reads.map(k => this.named(columns[k])).join(" and ")}` : "";
    const said = columns.slice(1).map(column => `${column.title}${of(column)} with ${column.units} outputs`).join(", ");
    if (canvas.dataset.said !== said) { canvas.dataset.said = said; canvas.setAttribute("aria-label", `The network: ${columns[0].title}, then ${said}.`); }
  }

  // All maps of numbers in one picture, from blue over paper to orange: drawing one picture many times is much quicker than many.
  // Gives the place of each in it. The numbers are offset + scale * data.
  maps() {
    const places = new Map();
    let width = 0, height = 0;
    for (const column of this.columns) {
      let wide = 0, high = 0;
      for (let j = 0; j < column.shown; j++) {
        const map = column.map?.(j);
        if (!map || map.height === 1) continue;
        places.set(`${column.address} ${j}`, { map, x: width, y: high });
        wide = Math.max(wide, map.width);
        high += map.height;
      }
      width += wide;
      height = Math.max(height, high);
    }
    if (!places.size) return places;
    if (this.image?.width !== width || this.image?.height !== height) {
      this.image = new ImageData(width, height);
      this.small = new OffscreenCanvas(width, height);
    }
    const to = new Uint32Array(this.image.data.buffer);
    for (const { map: { data, from = 0, step = 1, width: w, height: h, offset, scale, largest, ink }, x, y } of places.values()) {
      const colours = ramp(ink), zero = 127.5 + offset * 127.5 / (largest || 1), s = scale * 127.5 / (largest || 1);
      for (let row = 0, i = from; row < h; row++) {
        for (let at = (y + row) * width + x, end = at + w; at < end; at++, i += step) to[at] = colours[Math.max(0, Math.min(255, Math.round(zero + data[i] * s)))];
      }
    }
    this.small.getContext("2d").putImageData(this.image, 0, 0);
    return places;
  }

  // The same of a curve, whose input is one number.
  line(context, { data, from = 0, width, offset, scale, largest }, x, y, wide) {
    const high = v => y + wide / 2 - (offset + scale * v) / (largest || 1) * (wide / 2 - 3);
    context.strokeStyle = token("--line");
    context.lineWidth = 1;
    context.beginPath(); context.moveTo(x, y + wide / 2); context.lineTo(x + wide, y + wide / 2); context.stroke();
    context.strokeStyle = token("--pos");
    context.lineWidth = 2;
    context.beginPath();
    for (let i = 0; i < width; i++) context.lineTo(x + wide * i / (width - 1), high(data[from + i]));
    context.stroke();
  }

  columnAt(x, y) {
    return this.columns.find(column => x >= column.x - 4 && x <= column.x + column.wide + 4 && (!this.stacked || y >= column.top && y <= column.bottom)) ?? null;
  }

  unitText(column, unit) {
    const lines = [`${column.title}, unit ${unit}`], map = column.map?.(unit);
    const name = (column.names ?? column.labels)?.[unit];
    if (name) lines[0] = `${column.title}, ${name}`;
    if (map && map.range) lines.push(`from ${short(map.range[0])} to ${short(map.range[1])}`);
    const value = column.value?.(unit);
    if (value !== null && value !== undefined) lines.push(`output ${short(value)}`);
    if (column.bias) lines.push(`b[${unit}] = ${short(column.bias.data[unit])}`);
    return lines.join("\n");
  }

  point(event) {
    const { offsetX: x, offsetY: y } = event, column = this.columnAt(x, y);
    if (column) {
      const unit = column.y.findIndex(top => y >= top - 2 && y <= top + column.wide + 2);
      if (unit >= 0) {
        this.app.hover(column.image ? null : { address: column.address, unit });
        this.app.tip(this.unitText(column, unit), event);
        return;
      }
    }
    this.app.hover(null);
    let best = null, close = 6;
    for (const to of this.columns) {
      if (!to.weights || x > to.x) continue;
      for (const [from, a, b, w] of this.lines(to)) {
        const [x0, y0, x1, y1] = this.ends(from, to, a, b);
        if (w === null || x < x0) continue;
        const t = (x - x0) / (x1 - x0), on = y0 + (y1 - y0) * eased(t);
        if (Math.abs(on - y) < close) { close = Math.abs(on - y); best = `${to.address}.W[${a}, ${b}] = ${short(w)}`; }
      }
    }
    this.app.tip(best, event);
  }

  leave() {
    this.app.hover(null);
    this.app.tip(null);
  }
}

// Where a line with level ends is, as a function of how far along x it is.
function eased(x) {
  let low = 0, high = 1;
  for (let k = 0; k < 12; k++) {
    const t = (low + high) / 2, at = 1.5 * t * (1 - t) * (1 - t) + 1.5 * t * t * (1 - t) + t ** 3;
    if (at < x) low = t; else high = t;
  }
  const t = (low + high) / 2;
  return 3 * t * t * (1 - t) + t ** 3;
}

const mixed = (a, b) => `color-mix(in srgb, ${a} 55%, ${b})`;
