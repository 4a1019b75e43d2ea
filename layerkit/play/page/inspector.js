// Look inside: one step of the training, as layerkit's trace has it. Each layer forward and back with its formula, its code and its numbers;
// a line of the code shows the arrays that it reads and makes, a number the numbers that it comes from.

import { fitted, short, signed, css, token } from "./colours.js";
import { colouredLines } from "./code.js";
import { make, written } from "./make.js";

const PHASES = { input: "Input", forward: "Forward", loss: "Loss", backward: "Backward", optimizer: "Update", outputs: "Outputs" };
const MOST_ROWS = 64, MOST_COLUMNS = 12;

export function mount(element, app) {
  let reply = null, at = -1, address = null, asking = false, again = false, timer = 0, whole = true, stale = true, line = null, shown = null;
  const path = make("div", { class: "path", role: "toolbar", "aria-label": "The step, in order", "aria-orientation": "horizontal" });
  const which = make("select", { "aria-label": "Examples", onchange: () => { whole = which.value === "batch"; ask(); } }, make("option", { value: "batch" }, "the next batch"), make("option", { value: "one" }, "one example"));
  const number = make("input", { type: "number", min: 0, step: 1, value: 0, "aria-label": "Number of the example", hidden: true, onchange: () => ask() });
  const told = make("p", { class: "told" }), steps = make("div", { class: "steps" });
  const back = make("button", { type: "button", "aria-label": "Before (left arrow)", title: "Before (←)", onclick: () => go(at - 1) }, "←");
  const next = make("button", { type: "button", "aria-label": "Next (right arrow)", title: "Next (→)", onclick: () => go(at + 1) }, "→");
  element.append(make("div", { class: "inside-bar" }, which, number, make("span", { class: "gap" }), back, next), path, told, steps);

  // asking

  async function ask() {
    stale = true;
    if (element.hidden || !app.frame) return;
    if (asking) { again = true; return; }
    asking = true;
    number.hidden = whole;
    let failure = null;
    try {
      do {
        again = false;
        if (!known(address)) address = first();
        const message = { do: "inspect", address };
        if (!whole) message.example = Math.round(+number.value || 0);
        reply = await app.connection.send(message);
        stale = false;
      } while (again);
    } catch (error) { failure = error; }
    asking = false;
    told.classList.toggle("wrong", Boolean(failure));
    if (!failure) { show(); return; }
    told.textContent = failure.message;
    steps.replaceChildren();
  }

  const known = place => ["loss", "optimizer"].includes(place) || app.layers.some(layer => layer.address === place);
  const first = () => app.selected && app.layers.some(layer => layer.address === app.selected) ? app.selected : app.layers[0].address;

  // While it trains, a look now and then; afterwards at once.
  function later() {
    stale = true;
    if (element.hidden || timer) return;
    timer = setTimeout(() => { timer = 0; ask(); }, app.running ? 1500 : 60);
  }

  function go(to) {
    if (!reply) return;
    at = Math.max(0, Math.min(reply.outline.length - 1, to));
    line = null;
    const step = reply.outline[at];
    mark();
    if (step.phase === "input") {
      if (address === app.layers[0].address) show();
      else { address = app.layers[0].address; ask(); }
      return;
    }
    if (step.address === address) { focusStep(); return; }
    address = step.address;
    if (app.layers.some(layer => layer.address === address)) app.selectLayer(address);
    ask();
  }

  // showing

  function show() {
    const { outline } = reply;
    if (outline[at]?.address !== address && outline[at]?.phase !== "input") at = outline.findIndex(step => step.address === address);
    const focused = path.contains(document.activeElement), reading = [...steps.querySelectorAll(".line[tabindex]")].indexOf(document.activeElement);
    const lost = outline.findIndex(step => !step.finite), failed = app.frame.diverged?.says ?? null;
    if (failed !== shown) {
      shown = failed;
      if (failed && lost >= 0 && outline[lost].address !== address) { go(lost); return; }
    }
    const kinds = [["forward", step => ["input", "forward"].includes(step.phase)], ["loss", step => step.phase === "loss" || step.address === "loss"], ["backward", step => step.phase === "backward" && step.address !== "loss"], ["update", step => step.phase === "optimizer"]];
    path.replaceChildren(...kinds.map(([kind, is]) => make("div", { class: `leg ${kind}`, role: "group", "aria-label": kind }, make("small", {}, kind), make("div", {}, ...outline.map((step, i) => is(step) ? chip(step, i, lost) : null).filter(Boolean)))));
    const { diverged, step } = app.frame;
    const when = diverged ? "This is the step that failed" : whole ? `The step that comes next, number ${step + 1}` : `Example ${Math.round(+number.value || 0)} of the training data, in a step of its own`;
    const nan = lost >= 0 ? ` The first number that is not finite is in ${outline[lost].phase === "loss" ? "the loss" : `${outline[lost].address}, ${PHASES[outline[lost].phase].toLowerCase()}`}.` : "";
    told.replaceChildren(`${when}.`, nan ? make("b", { class: "wrong" }, nan) : "", " Arrow keys go through it; a line of the code shows its arrays, a number what it comes from.");
    steps.replaceChildren(...(outline[at].phase === "input" ? [input()] : reply.steps.map(card)));
    mark();
    if (focused) path.querySelector("[tabindex='0']")?.focus();
    if (reading >= 0) steps.querySelectorAll(".line[tabindex]")[reading]?.focus();
  }

  function chip({ phase, address: place, layer, finite }, i, lost) {
    const type = phase === "input" ? "x, t" : phase === "backward" && place === "loss" ? "dz" : layer.split("(")[0];
    return make("button", {
      type: "button", "data-i": i, class: finite ? "" : i === lost ? "lost first" : "lost", tabindex: -1, title: `${PHASES[phase]}: ${layer || "the examples"}`,
      "aria-label": `${PHASES[phase]}, ${type}${phase === "input" || place === "loss" || place === "optimizer" ? "" : `, ${place}`}${finite ? "" : ", not finite"}`,
      onclick: () => go(i), onkeydown: keys,
    }, type);
  }

  function keys(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1, Home: -1000, End: 1000 }[event.key];
    if (by) { event.preventDefault(); go(at + by); path.querySelector("[aria-current]")?.focus(); }
    if (event.key === "ArrowDown") { event.preventDefault(); steps.querySelector(".now .line[tabindex], .line[tabindex]")?.focus(); }
  }

  function mark() {
    for (const each of path.querySelectorAll("button")) {
      const here = +each.dataset.i === at;
      each.tabIndex = here ? 0 : -1;
      if (here) each.setAttribute("aria-current", "step"); else each.removeAttribute("aria-current");
      if (here) path.scrollLeft = Math.max(0, each.offsetLeft - path.clientWidth / 2);
    }
    back.disabled = !at;
    next.disabled = !reply || at === reply.outline.length - 1;
    for (const each of steps.children) each.classList.toggle("now", each.dataset.phase === reply?.outline[at].phase);
    if (element.contains(document.activeElement)) app.say(path.querySelector("[aria-current]")?.getAttribute("aria-label") ?? ""); // or it would talk over the losses
  }

  function focusStep() { steps.querySelector(".now")?.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "smooth" }); }

  function input() {
    const step = reply.steps.find(each => each.phase === "forward");
    const x = step && address === app.layers[0].address ? tiles({ x: step.given.x ?? Object.values(step.given)[0] }, step, "given") : null;
    return make("section", { class: "step now", "data-phase": "input" }, make("h3", {}, "Input"), make("p", { class: "told" }, "The examples of the batch, x, go into the first layer; the loss compares what comes out with their targets, t."), x);
  }

  // One phase of a part: its formula, its arrays, its code.
  function card(step) {
    const arrays = make("div", { class: "arrays" }), lines = [];
    const section = make("section", { class: "step", "data-phase": step.phase, "aria-label": `${PHASES[step.phase]}: ${step.layer}` });
    // of a layer's update, gradients and steps at first
    const given = step.phase === "optimizer" ? Object.fromEntries(Object.entries(step.given).filter(([name]) => name.startsWith("g"))) : step.given;
    const choose = moment => {
      const { reads, writes } = moment ?? { reads: given, writes: step.made };
      arrays.replaceChildren(tiles(reads, step, "given"), make("span", { class: "to", "aria-hidden": "true" }, "→"), tiles(writes, step, "made"));
      for (const [each, of] of lines) each.classList.toggle("chosen", Boolean(moment) && of === moment);
    };
    const sources = [...new Set([step.code, ...step.moments.map(moment => moment.source)].filter(each => each !== null && each !== undefined))];
    const ends = { forward: "y", backward: "dx" }[step.phase];
    section.append(
      make("h3", {}, PHASES[step.phase], make("small", {}, step.phase === "optimizer" && address !== "optimizer" ? step.layer.split("(")[0] : "")),
      step.formula ? make("p", { class: "formula" }, ...step.formula.split("; ").flatMap((part, i) => [i ? make("br") : "", ...written(part)])) : "",
      make("div", { class: "codes" }, ...sources.map(k => listing(reply.sources[k], step.moments.filter(moment => moment.source === k), lines, choose))),
      arrays,
      ...(ends === "dx" && step.made.dx === undefined && step.address === app.layers[0].address ? [make("p", { class: "told" }, "No dx: nothing before it has parameters, so nobody asks for it.")] : []),
    );
    choose(null);
    return section;
  }

  function listing({ title, lines: text }, moments, lines, choose) {
    const hidden = docstring(text);
    const rows = colouredLines(text.join("\n")).map((parts, i) => {
      if (hidden.has(i)) return "";
      const moment = moments.find(each => i >= each.lines[0] && i < each.lines[1]);
      if (!moment) return make("span", { class: "line" }, ...parts, "\n");
      const row = make("span", {
        class: "line live", tabindex: moment.lines[0] === i ? 0 : null, role: moment.lines[0] === i ? "button" : null,
        onpointerenter: () => { if (!line) choose(moment); }, onpointerleave: () => { if (!line) choose(null); },
        onclick: () => { line = line === moment ? null : moment; choose(line); },
        onfocus: () => { line = moment; choose(moment); }, onblur: () => { line = null; choose(null); },
        onkeydown: event => {
          const by = { ArrowDown: 1, ArrowUp: -1 }[event.key], all = [...steps.querySelectorAll(".line[tabindex]")];
          if (by) { event.preventDefault(); (all[all.indexOf(row) + by] ?? (by < 0 ? path.querySelector("[aria-current]") : null))?.focus(); }
        },
      }, ...parts, "\n");
      lines.push([row, moment]);
      return row;
    });
    return make("pre", { class: "listing", "aria-label": `Source of ${title}` }, ...rows);
  }

  // The lines of a docstring after its first.
  function docstring(text) {
    const begin = text.findIndex(line => line.trim().startsWith('"""')), rest = text.findIndex((line, i) => i > begin && line.includes('"""'));
    return new Set(begin >= 0 && text[begin].split('"""').length === 2 ? Array.from({ length: rest - begin }, (_, i) => begin + 1 + i) : []);
  }

  // The numbers.

  function tiles(named, step, role) {
    const names = Object.keys(named);
    return make("div", { class: "tiles" }, ...names.slice(0, 24).map(name => tile(name, named[name], step, role)));
  }

  function tile(name, k, step, role) {
    const array = reply.arrays[k], shape = array.shape, [rows, columns] = shaped(array.sent);
    const cut = array.sent.some((n, i) => n !== shape[i]), label = `${name}, shape ${shape.join(" by ") || "a single number"}, from ${array.statistics[0] ?? ""} to ${array.statistics[2] ?? ""}, mean ${array.statistics[1] ?? ""}`;
    const [low, mean, high] = array.statistics, known = [...(array.statistics.length ? [`${minus(low)} … ${minus(high)}, mean ${minus(mean)}`] : []), ...(array.lost ? [`${array.lost} not finite`] : [])].join(", ");
    const small = rows <= MOST_ROWS && columns <= MOST_COLUMNS, power = small ? exponent(array) : 0;
    const caption = make("figcaption", {}, make("b", {}, name), make("small", {}, shape.length ? ` ${shape.join(" × ")}` : "", power ? ", · 10" : "", power ? make("sup", {}, minus(String(power))) : ""));
    const below = shape.length ? make("small", { class: "told" }, cut ? `${rows} × ${columns} of them are shown` : known) : "";
    const figure = make("figure", { class: role, "data-name": name, title: null }, caption);
    if (small) figure.append(table(array, rows, columns, name, step, label));
    else figure.append(picture(array, rows, columns, name, step, label));
    figure.append(below);
    figure.array = array;
    figure.axes = axes(name, shape, step);
    return figure;
  }

  // Tables of very small or very large numbers share a power of ten.
  const exponent = array => { const most = largest(array), e = most ? Math.floor(Math.log10(most)) : 0; return array.whole || e >= -1 && e <= 3 ? 0 : e; };
  const minus = text => String(text ?? "").replaceAll("-", "−");
  const shaped = sent => sent.length === 0 ? [1, 1] : sent.length === 1 ? [1, sent[0]] : [sent.slice(0, -1).reduce((a, b) => a * b, 1), sent.at(-1)];
  const largest = array => array.largest ??= array.data.reduce((most, x) => Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most, 0);

  // Where both axes of arrays mean the same, a number lights up its row and its column.
  function axes(name, shape, step) {
    const bare = name.replace(/^(step of |[a-z]: )/, ""), W = step.given.W !== undefined || step.made.dW !== undefined || "step of W" in step.made;
    const kind = /^d?W$/.test(bare) ? ["in", "out"] : /^d?b$/.test(bare) ? ["out"] : W && /^d?x$/.test(bare) ? ["N", "in"] : ["N", W ? "out" : "features"];
    return shape.length === 1 && kind.length === 2 ? [null, shape[0] === reply.arrays[Object.values(step.given)[0]]?.shape[0] ? "N" : kind[1]] : shape.length === 1 ? [null, kind[0]] : kind;
  }

  function table(array, rows, columns, name, step, label) {
    const most = largest(array), power = exponent(array), digits = array.whole ? 0 : power ? 2 : Math.max(0, 2 - Math.floor(Math.log10(Math.max(most, 1))));
    const cell = i => {
      const x = array.data[i], finite = Number.isFinite(x), td = make("td", { class: finite ? "" : "lost" }, finite ? minus((x / 10 ** power).toFixed(digits)) : short(x));
      if (finite) { const rgb = signed(x, most); td.style.background = css(rgb); td.style.color = bright(rgb); }
      td.addEventListener("pointerenter", event => lit(event, name, array, Math.floor(i / columns), i % columns, step));
      td.addEventListener("pointerleave", () => lit(null));
      return td;
    };
    return make("div", { class: "scroll" }, make("table", { class: "numbers-table", "aria-label": label }, make("tbody", {}, ...Array.from({ length: rows }, (_, r) => make("tr", {}, ...Array.from({ length: columns }, (_, c) => cell(r * columns + c)))))));
  }

  const bright = ([r, g, b]) => 0.3 * r + 0.59 * g + 0.11 * b > 140 ? "#15171b" : "#ffffff";

  function picture(array, rows, columns, name, step, label) {
    const size = Math.max(1, Math.min(16, Math.floor(260 / columns), Math.floor(260 / rows))), width = columns * size, height = rows * size;
    const canvas = make("canvas", { role: "img", "aria-label": label });
    const scale = Math.min(1, 320 / width);
    canvas.style.cssText = `width: ${Math.round(width * scale)}px; height: ${Math.round(height * scale)}px`;
    canvas.draw = lights => {
      const pen = fitted(canvas, Math.round(width * scale), Math.round(height * scale)), most = largest(array), bad = token("--bad"), w = canvas.clientWidth / columns || width * scale / columns, h = height * scale / rows;
      for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) {
        const x = array.data[r * columns + c];
        pen.fillStyle = Number.isFinite(x) ? css(signed(x, most)) : bad;
        pen.fillRect(c * w, r * h, w + 0.5, h + 0.5);
      }
      if (!lights) return;
      pen.strokeStyle = token("--ink");
      pen.lineWidth = 1.5;
      if (lights.row !== null && lights.column !== null) { pen.strokeRect(lights.column * w - 1, lights.row * h - 1, w + 2, h + 2); return; }
      if (lights.row !== null) pen.strokeRect(0.75, lights.row * h + 0.75, columns * w - 1.5, Math.max(2, h - 1.5));
      if (lights.column !== null) pen.strokeRect(lights.column * w + 0.75, 0.75, Math.max(2, w - 1.5), rows * h - 1.5);
    };
    canvas.addEventListener("pointermove", event => {
      const box = canvas.getBoundingClientRect(), r = Math.floor((event.clientY - box.top) / box.height * rows), c = Math.floor((event.clientX - box.left) / box.width * columns);
      if (r >= 0 && c >= 0 && r < rows && c < columns) lit(event, name, array, r, c, step);
    });
    canvas.addEventListener("pointerleave", () => lit(null));
    requestAnimationFrame(() => canvas.draw(null));
    return canvas;
  }

  // A number: where it is in its row and its column, and what it comes from.
  function lit(event, name = "", array = null, r = 0, c = 0, step = null) {
    const section = event?.target.closest(".step"), own = event?.target.closest("figure")?.axes;
    for (const figure of steps.querySelectorAll("figure")) {
      const here = own && figure.closest(".step") === section, [a, b] = figure.axes;
      const find = axis => axis && here ? (axis === own[0] ? r : axis === own[1] ? c : null) : null;
      const row = find(a), column = find(b), canvas = figure.querySelector("canvas"), cells = figure.querySelectorAll("tr");
      canvas?.draw(here && (row !== null || column !== null) ? { row, column } : null);
      cells.forEach((tr, i) => [...tr.children].forEach((td, j) => td.classList.toggle("lit", Boolean(here) && (row !== null || column !== null) && (row === null || row === i) && (column === null || column === j))));
    }
    if (!event) { app.tip(null); return; }
    const index = array.shape.length > 1 ? `[${r}, ${c}]` : array.shape.length ? `[${c}]` : "";
    const features = { x: app.data.features, y: app.layers.find(layer => layer.address === step.address)?.features }, whole = array.sent.every((n, i) => n === array.shape[i]);
    const feature = features.y && whole && features[name] ? `\n${features[name][c]}` : ""; // a Table's columns have names
    app.tip(`${name}${index} = ${exact(array.data[r * shaped(array.sent)[1] + c])}${feature}${comesFrom(name, r, c, step)}`, event);
  }

  const exact = x => Number.isFinite(x) ? String(+x.toPrecision(6)).replace("-", "−") : short(x);

  // The sum that a number of a Dense layer is, written out if it is short.
  function comesFrom(name, r, c, step) {
    const get = key => reply.arrays[step.given[key] ?? step.made[key]];
    const sums = { y: ["x", "W", (k, x, W) => [x, r, k, W, k, c], "in"], dW: ["x", "dy", (k, x, dy) => [x, k, r, dy, k, c], "N"], dx: ["dy", "W", (k, dy, W) => [dy, r, k, W, c, k], "out"] };
    if (!sums[name] || !get("W")) return "";
    const [left, right, at] = sums[name], a = get(left), b = get(right);
    if (!a || !b || a.shape.length !== 2 || b.shape.length !== 2) return "";
    const count = name === "y" ? a.shape[1] : name === "dW" ? a.shape[0] : b.shape[1], value = (array, i, j) => array.data[i * array.shape[1] + j];
    const terms = Array.from({ length: Math.min(count, 4) }, (_, k) => { const [p, i, j, q, l, m] = at(k, a, b); return `${short(value(p, i, j))} · ${short(value(q, l, m))}`; });
    const bias = name === "y" && get("b") ? ` + ${short(get("b").data[c])}` : "";
    return `\n= ${terms.join(" + ")}${count > 4 ? ` + … (${count} products)` : ""}${bias}`.replaceAll("+ −", "− ");
  }

  app.on("frame", later);
  app.on("new", () => { at = -1; later(); });
  app.on("running", later);
  app.on("theme", () => { if (reply && !element.hidden) show(); });
  app.on("select", selected => {
    if (!selected || selected === address || !app.layers.some(layer => layer.address === selected)) return;
    address = selected;
    at = -1;
    ask();
  });
  app.on("example", example => {
    if (!example || example.set !== "train") return;
    number.value = example.i;
    whole = false;
    which.value = "one";
    ask();
  });
  app.on("tab", tab => { if (tab === "inside" && stale) ask(); });
}
