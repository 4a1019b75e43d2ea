// The data panel: the data sets to choose from, their options, and tables of one's own.

import { classColour, css } from "./colours.js";
import { slider } from "./controls.js";
import { around, make } from "./make.js";
import { bodyLayers, copy, replace } from "./state.js";

const $ = id => document.getElementById(id);
const NAMES = { xor: "XOR" }, USUAL = ["circles", "moons", "spiral", "xor", "blobs", "sine", "steps", "digits"];

let waiting = 0;
let table = null; // one's own: {name, text, encoding}, and what the engine found: {columns, target, told}

export function thumbnails(app) {
  for (const state of Object.values(app.catalogue.data)) presets.add(kept(state));
  const names = Object.keys(app.catalogue.data), kinds = $("kinds");
  names.sort((a, b) => USUAL.indexOf(a) - USUAL.indexOf(b));
  kinds.replaceChildren(...names.map(name => {
    const canvas = make("canvas", { width: 96, height: 96, "aria-hidden": "true" });
    return make("button", { type: "button", role: "radio", "aria-checked": "false", "data-name": name, onclick: () => chooseData(app, name), onkeydown: event => around(event, kinds) }, canvas, NAMES[name] ?? name);
  }));
  sketches();
}

// Each data set as a small sketch.
export function sketches() {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const point = {
    circles: i => { const r = i % 2 ? 1.3 + 0.7 * random() : 0.8 * Math.sqrt(random()), a = 2 * Math.PI * random(); return [r * Math.cos(a), r * Math.sin(a), i % 2]; },
    moons: i => { const k = i % 2, a = Math.PI * (random() + k), n = () => 0.2 * (random() - 0.5); return [1.2 * Math.cos(a) + 0.6 * (2 * k - 1) + n(), 1.2 * Math.sin(a) + 0.3 * (1 - 2 * k) * -1 + n() - 0, k]; },
    spiral: i => { const k = i % 2, s = 0.05 + 0.95 * random(), a = 3.5 * Math.PI * s + Math.PI * k; return [2 * s * Math.cos(a), 2 * s * Math.sin(a), k]; },
    xor: () => { const x = 4 * random() - 2, y = 4 * random() - 2; return [x, y, x * y < 0 ? 1 : 0]; },
    blobs: i => { const k = i % 3, a = Math.PI / 2 + k * 2 * Math.PI / 3, n = () => 1.4 * (random() + random() - 1); return [1.2 * Math.cos(a) + n() * 0.8, 1.2 * Math.sin(a) + n() * 0.8, k]; },
    sine: () => { const x = 4 * random() - 2; return [x, 1.3 * Math.sin(Math.PI * x) + 0.3 * (random() - 0.5), 0]; },
    steps: () => { const x = 4 * random() - 2; return [x, 0.85 * Math.round(x) + 0.3 * (random() - 0.5), 0]; },
  };
  for (const button of $("kinds").children) {
    const context = button.firstChild.getContext("2d"), name = button.dataset.name;
    context.clearRect(0, 0, 96, 96);
    if (!point[name]) {
      context.fillStyle = css(classColour(0));
      context.font = "600 42px ui-rounded, system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText("3", 34, 52);
      context.fillStyle = css(classColour(1));
      context.fillText("8", 62, 48);
      continue;
    }
    for (let i = 0; i < 90; i++) {
      const [x, y, k] = point[name](i);
      context.fillStyle = css(classColour(k));
      context.beginPath();
      context.arc(48 + x * 19, 48 - y * 19, 2.7, 0, 7);
      context.fill();
    }
  }
}

const presets = new Set();
const kept = ({ network: { body, loss }, optimizer }) => JSON.stringify([body, loss, optimizer]);

// Another data set: with a network that suits it, or one's own, given as many outputs as it needs.
function chooseData(app, name) {
  const suits = copy(app.catalogue.data[name]);
  return app.change(state => {
    const changed = !presets.has(kept(state)) && !state.data.path, mine = bodyLayers(state), theirs = bodyLayers(suits);
    const { seed } = state.training;
    if (changed && mine && theirs) {
      const last = mine.findLast(layer => layer.units !== undefined);
      if (last) last.units = theirs.at(-1).units;
      if (app.data?.target !== (suits.data.target ?? "class")) state.network.loss = suits.network.loss;
    } else {
      state.network = suits.network;
      state.optimizer = suits.optimizer;
      state.training = { ...suits.training, seed };
    }
    delete state.network.shape;
    delete state.training.warm_start;
    state.data = suits.data;
    app.selected = null;
  });
}

export function showData(app) {
  const { data, training } = app.draft, chosen = data.path ? null : data.name ?? "digits";
  for (const button of $("kinds").children) {
    button.setAttribute("aria-checked", String(button.dataset.name === chosen));
    button.tabIndex = button.dataset.name === (chosen ?? "circles") ? 0 : -1;
  }
  const key = `${chosen} ${training.batch_size}`, box = $("data-options");
  $("seed").value = training.seed ?? 0;
  if (app.data) $("data-told").textContent = [app.data.says, ...(table && table.name === data.path ? table.told : [])].join("\n");
  if (box.dataset.key === key || (box.contains(document.activeElement) && document.activeElement.type === "range")) return;
  box.dataset.key = key;
  const later = f => value => { f(value); clearTimeout(waiting); waiting = setTimeout(() => app.build(), 120); };
  const rows = [], usual = app.catalogue.data[chosen]?.data;
  if (usual?.examples) {
    rows.push(slider("noise", { min: 0, max: 1, step: 0.05, value: data.noise ?? usual.noise, shown: v => v.toFixed(2) }, later(v => { app.draft.data.noise = v; })));
    rows.push(slider("points", { min: 50, max: 2000, step: 50, value: data.examples ?? usual.examples }, later(v => { app.draft.data.examples = v; })));
  }
  if (table && data.path) {
    const menu = make("select", { id: "target", onchange: () => readTable(app, table, menu.value) }, ...table.columns.map(name => make("option", {}, name)));
    menu.value = table.target;
    rows.push(make("div", { class: "option" }, make("label", { for: "target" }, "predict"), menu));
  }
  rows.push(slider("batch size", { min: 0, max: 9, step: 1, value: Math.round(Math.log2(training.batch_size ?? 128)), shown: v => 2 ** v }, later(v => { app.draft.training.batch_size = 2 ** v; })));
  box.replaceChildren(...rows);
}

// The table that a state is of, if it was dropped on the page: {name, text, encoding}.
export function tableOf({ data }) {
  return table && data?.path === table.name ? { name: table.name, text: table.text, encoding: table.encoding } : null;
}

// A table of one's own. What was wanted of one of this name, and refused because it was not there, is built then.
export async function readTable(app, { name, text, encoding }, target = null) {
  const wanted = app.refused && app.draft.data.path === name ? copy(app.draft) : null;
  await app.pause();
  try {
    const reply = await app.connection.send({ do: "csv", name, text, encoding, target });
    table = { name, text, encoding, columns: reply.columns, target: reply.target, told: reply.told };
    $("data-options").dataset.key = "";
    app.accept(reply);
    if (wanted) await app.change(state => replace(state, wanted));
  } catch (error) {
    if ($("target")) $("target").value = table.target;
    app.tell(error);
  }
}

// Excel writes UTF-8 only if it is asked to.
export async function readFile(app, file) {
  const bytes = new Uint8Array(await file.arrayBuffer()), [a, b] = bytes, wide = (a === 255 && b === 254) || (a === 254 && b === 255);
  let encoding = wide ? "utf-16" : "utf-8", text;
  try { text = new TextDecoder(wide && a === 254 ? "utf-16be" : encoding, { fatal: true }).decode(bytes); } catch { encoding = "cp1252"; text = new TextDecoder(encoding).decode(bytes); }
  return readTable(app, { name: file.name, text, encoding });
}
