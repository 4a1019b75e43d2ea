// The loss by epoch, on training and test examples.

import { fitted, short, token } from "./colours.js";

const MOST = 800;

export class Curves {
  constructor(canvas, log) {
    this.canvas = canvas;
    this.log = log;
    this.clear();
    log.addEventListener("change", () => this.draw());
    canvas.addEventListener("pointermove", event => { this.at = event.offsetX; this.draw(); });
    canvas.addEventListener("pointerleave", () => { this.at = null; this.draw(); });
  }

  clear() {
    this.points = [];
    this.at = null;
  }

  add(x, train, test) {
    const last = this.points.at(-1);
    if (last && last.x >= x) return;
    this.points.push({ x, train, test });
    if (this.points.length > MOST) this.points = this.points.filter((_, i) => i % 2 === 0 || i === this.points.length - 1);
  }

  draw() {
    const { canvas, points } = this, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    const context = fitted(canvas), left = 44, right = width - 6, top = 20, bottom = height - 18;
    const soft = token("--soft"), line = token("--line");
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = soft;
    context.fillText("loss", left, 12);
    const values = points.flatMap(p => [p.train, p.test]).filter(v => Number.isFinite(v) && (!this.log.checked || v > 0));
    const scale = this.log.checked ? v => Math.log10(Math.max(v, 1e-12)) : v => v;
    let low = values.length ? Math.min(...values) : 0, high = values.length ? Math.max(...values) : 1;
    if (!this.log.checked) low = Math.min(0, low);
    if (high <= low) high = low + (Math.abs(low) || 1);
    const [a, b] = [scale(low), scale(high)], end = points.at(-1)?.x || 1;
    const px = x => left + (right - left) * x / end, py = v => bottom - (bottom - top) * (scale(v) - a) / (b - a || 1);
    context.strokeStyle = line;
    context.lineWidth = 1;
    context.textAlign = "right";
    for (const s of [0, 0.5, 1]) {
      const v = this.log.checked ? 10 ** (a + s * (b - a)) : low + s * (high - low), y = Math.round(py(v)) + 0.5;
      context.beginPath(); context.moveTo(left, y); context.lineTo(right, y); context.stroke();
      context.fillText(short(+v.toPrecision(2)), left - 5, y + 4);
    }
    context.textAlign = "left"; context.fillText("0", left, height - 4);
    context.textAlign = "right"; context.fillText(`epoch ${points.length ? short(end) : ""}`, right, height - 4);
    for (const [name, dash] of [["test", [5, 4]], ["train", []]]) {
      context.strokeStyle = token(`--${name}`);
      context.lineWidth = 2;
      context.lineJoin = "round";
      context.setLineDash(dash);
      context.beginPath();
      let begun = false;
      for (const p of points) {
        const v = p[name];
        if (!Number.isFinite(v)) { begun = false; continue; }
        context[begun ? "lineTo" : "moveTo"](px(p.x), py(v));
        begun = true;
      }
      context.stroke();
    }
    context.setLineDash([]);
    if (this.at === null || !points.length) return;
    const x = Math.max(0, Math.min(1, (this.at - left) / (right - left))) * end;
    const p = points.reduce((best, each) => Math.abs(each.x - x) < Math.abs(best.x - x) ? each : best);
    context.strokeStyle = soft;
    context.beginPath(); context.moveTo(px(p.x), top); context.lineTo(px(p.x), bottom); context.stroke();
    const text = `epoch ${short(p.x)}: train ${short(p.train)}, test ${short(p.test)}`, wide = context.measureText(text).width;
    context.fillStyle = token("--ink");
    context.textAlign = "left";
    context.fillText(text, Math.max(left, Math.min(right - wide, px(p.x) - wide / 2)), top + 10);
  }
}
