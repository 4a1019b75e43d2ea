// The page of the playground: one object, `app`, that every part of the page is given.
//
// A part that looks inside is a module beside this one with `export function mount(element, app)`, listed in PARTS below; it gets a tab, and
// fills `element`. What it may use of `app`:
//
//   app.connection.send(message)  a promise of the engine's reply (see layerkit/play/session.py for the messages). A refused message rejects with
//                                 a Refusal: `error.message` is layerkit's sentence, `error.where` its place. In replies arrays are decoded:
//                                 {shape, dtype, data} with a typed array as data. Messages are answered in the order in which they are sent.
//   app.state                     the accepted configuration: {data, network, optimizer, training, ...}; don't change it, use app.change
//   app.data, app.layers, app.frame   as the engine last sent them: DATA, [LAYER] and FRAME
//   app.selected                  the address of the selected layer, such as "body.layers.0", or null
//   app.selectLayer(address)      select it, or none with null
//   app.example                   the chosen example: {set: "train" or "test", i}, or null
//   app.running, app.play(), await app.pause()
//   await app.change(state => {...}, keep)   change a copy of the wanted state and have all built anew; a refusal is told on the page
//   await app.learn()             read the catalogue anew, before a reply with classes that it doesn't have yet is accepted
//   app.accept(reply)             show a reply with any of state, data, layers, frame, notes (such as that of "edit"), and keep the link right
//   app.say(text)                 told to screen readers;  app.toast(text)  shown for a moment;  app.tip(text, event)  at the pointer
//   app.openTab(name)             bring the tab of a part to the front: "inside", "change", "home"
//   app.on(event, f)              "new": all was built anew · "frame": a frame was shown · "select": another layer, or none · "example": another
//                                 example · "running": play or pause · "theme": dark or light · "tab": another tab (f gets its name)
//
// Helpers: make.js (elements, formulas), colours.js (colours, numbers), controls.js (forms from the catalogue).

import { columns } from "./columns.js";
import { connect, Refusal } from "./connection.js";
import { choice, formula, option, options, slider } from "./controls.js";
import { Curves } from "./curves.js";
import { classColour, css, short } from "./colours.js";
import { fromLink, toLink } from "./link.js";
import { make } from "./make.js";
import { Picture } from "./map.js";
import { NetworkView } from "./network.js";
import { addressOf, anew, bodyLayers, copy, indexOf } from "./state.js";

// The title of each tab, and its module.
const PARTS = { inside: ["Look inside", "./inspector.js"], change: ["Change a line", "./editor.js"], home: ["Take it home", "./takehome.js"] };
const FAMILIES = { layers: "Layer", losses: "Loss", optimizers: "Optimizer", schedules: "Schedule", initializers: "Initializer" };
const EMBED = document.documentElement.classList.contains("embed");
const $ = id => document.getElementById(id);

const listeners = new Map();
const emit = (event, ...values) => { for (const f of listeners.get(event) ?? []) f(...values); };

const app = {
  connection: null, catalogue: null, state: null, draft: null, data: null, layers: [], frame: null,
  selected: null, hovered: null, example: null, activations: null, running: false, refused: null,

  on(event, f) {
    if (!listeners.has(event)) listeners.set(event, []);
    listeners.get(event).push(f);
  },

  // what the catalogue knows

  spec(family, type) { return app.catalogue[family]?.find(each => each.type === type) ?? null; },

  // A new object of a class, with what it needs; what the old one of its place had under the same name is kept, but for rates.
  fresh(family, type, old = null, units = 4) {
    const made = { type };
    for (const [name, schema] of Object.entries(app.spec(family, type).options)) {
      if (old && name in old && ["units", "schedules", "init", "bias"].includes(name)) made[name] = old[name];
      else if (schema.required) made[name] = first(schema, name, units);
    }
    return made;
  },

  // A new object of a family, of its first class that needs nothing.
  usual(family, units) {
    const type = family === "Layer" ? "Dense" : app.catalogue[family].find(each => !Object.values(each.options).some(option => option.required)).type;
    return app.fresh(family, type, null, units);
  },

  // the state

  // Changes follow one another faster than networks are built: only the last is built. Returns whether it was accepted.
  // With `keep`, for another optimizer or loss, the training goes on where it is.
  async change(f, keep = false) {
    afresh ||= !keep;
    const selected = app.selected;
    f(app.draft);
    complete(app.draft);
    app.showControls();
    if (app.selected !== selected) emit("select", app.selected);
    return app.build();
  },

  build() {
    if (!building) building = (async () => {
      let good;
      do {
        again = false;
        good = await rebuilt(copy(app.draft));
      } while (again);
      building = null;
      return good;
    })(); else again = true;
    return building;
  },

  // The catalogue anew, with classes of one's own.
  async learn() { app.catalogue = prepared(await app.connection.send({ do: "catalogue" })); },

  accept(reply) {
    if (reply.state) {
      app.state = reply.state;
      app.draft = complete(copy(reply.state));
      app.refused = null;
      share();
    }
    if (reply.frame?.step === 0) {
      app.example = app.activations = null;
      curves.clear();
    }
    if (reply.layers) app.layers = reply.layers;
    if (reply.data) {
      app.data = reply.data;
      picture.show(app.data);
    }
    if (app.selected && !bodyLayers(app.state)?.[indexOf(app.selected)] && !app.layers.some(layer => layer.address === app.selected)) app.selectLayer(null);
    if (reply.frame) take(reply.frame);
    app.showControls();
    network.show(columns(app));
    if (reply.state || reply.data) emit("new", reply);
    showFrame();
    if (reply.notes?.length) app.toast(reply.notes.join("\n"));
  },

  // training

  async play() {
    if (app.running || app.refused) return;
    if (app.frame?.diverged) { app.toast("The training has diverged: go back to the start, or change something first."); return; }
    app.running = true;
    spoken = Date.now();
    running();
    const ask = () => app.connection.send($("speed").value === "epoch" ? { do: "epoch" } : { do: "train", steps: +$("speed").value });
    loop = (async () => {
      let next = ask();
      while (app.running) {
        const reply = await next;
        next = app.running && !reply.frame.diverged ? ask() : null;
        take(reply.frame);
        showFrame();
        if (!next) break;
        await new Promise(requestAnimationFrame);
      }
      if (next) { take((await next).frame); showFrame(); }
    })().catch(tell).finally(() => { app.running = false; running(); });
  },

  async pause() {
    app.running = false;
    running();
    await loop;
    if (app.frame) app.say(said());
  },

  toggle() { return app.running ? app.pause() : app.play(); },

  async once(message) {
    await app.pause();
    if (app.refused) return;
    try {
      take((await app.connection.send(message)).frame);
      showFrame();
      app.say(said());
    } catch (error) { tell(error); }
  },

  async reset() {
    await app.pause();
    try {
      const { frame } = await app.connection.send({ do: "reset" });
      curves.clear();
      take(frame);
      showFrame();
      app.say("Back to the start.");
    } catch (error) { tell(error); }
  },

  // layers

  selectLayer(address) {
    if (app.selected === address) return;
    app.selected = address;
    network.select();
    showLayer();
    emit("select", address);
  },

  addLayer(index, type) {
    return app.change(state => { bodyLayers(state).splice(index, 0, app.fresh("Layer", type, null, index ? network.columns[index].units : 4)); app.selected = addressOf(index); });
  },

  setLayer(index, layer) {
    return app.change(state => { bodyLayers(state)[index] = layer; });
  },

  moveLayer(index, by) {
    return app.change(state => {
      const layers = bodyLayers(state), [layer] = layers.splice(index, 1);
      layers.splice(index + by, 0, layer);
      app.selected = addressOf(index + by);
    });
  },

  removeLayer(index) {
    return app.change(state => { bodyLayers(state).splice(index, 1); app.selected = null; });
  },

  // examples

  points(set) {
    const { x, t } = app.data[set];
    return { x: x.data, t: t.data, count: x.shape[0] };
  },

  chooseExample(set, i) {
    app.example = { set, i };
    picture.draw();
    emit("example", app.example);
  },

  // An example that was drawn or chosen: its probabilities, and what every neuron makes of it.
  async drawn(numbers) {
    input = numbers;
    if (asking || !app.connection) return;
    asking = true;
    try {
      while (input !== answered) {
        answered = input;
        await look();
      }
    } finally { asking = false; }
  },

  // A neuron's map, to be drawn large: {address, unit} of the one under the pointer.
  unitMap({ address, unit }) {
    return network.columns.find(column => column.address === address)?.map?.(unit) ?? null;
  },

  async chooseColumns(columns) {
    if (columns[0] === columns[1] || columns.includes(-1)) return;
    try { app.accept(await app.connection.send({ do: "frame", columns })); } catch (error) { tell(error); }
  },

  hover(unit) {
    const now = app.hovered;
    if (now === unit || (now && unit && now.address === unit.address && now.unit === unit.unit)) return;
    app.hovered = unit;
    network.draw();
    picture.draw();
  },

  // telling

  say(text) { $("said").textContent = text; },

  toast(text) {
    const toast = $("toast");
    toast.textContent = text;
    toast.hidden = false;
    clearTimeout(toasting);
    toasting = setTimeout(() => { toast.hidden = true; }, 4000 + 30 * text.length);
  },

  tip(text, event) {
    const tip = $("tip");
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const { offsetWidth: w, offsetHeight: h } = tip;
    tip.style.left = `${Math.max(4, Math.min(innerWidth - w - 4, event.clientX + 14))}px`;
    tip.style.top = `${event.clientY + 18 + h > innerHeight ? event.clientY - h - 12 : event.clientY + 18}px`;
  },

  openTab(name) { tabs.get(name)?.(); },

  showControls() {
    showData();
    showTraining();
    network.show(columns(app));
    showLayer();
    showRefusal();
  },
};

let building = null, again = false, afresh = false, loop = null, toasting = 0, input = null, answered = null, asking = false, spoken = 0, pointed = false, network, picture, curves;
const tabs = new Map();

// What an option without a default is given at first.
function first(schema, name, units) {
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.of) return app.catalogue[schema.of]?.length ? app.usual(schema.of, units) : {};
  if (schema.type === "integer") return name === "units" ? units : Math.max(2, schema.minimum ?? 0);
  if (schema.type === "number") return 0.5;
  if (schema.type === "boolean") return false;
  if (schema.type === "array") {
    const family = schema.items?.$ref?.split("/").at(-1);
    if (family) return [app.usual(family, units)];
    return schema.items?.type === "integer" ? [name === "shape" ? units : 1] : [];
  }
  return schema.type === "string" ? "" : {};
}

// A file may leave out what has defaults.
function complete(state) {
  state.data ??= {};
  state.training ??= {};
  return state;
}

async function rebuilt(state) {
  const was = app.running, keep = !afresh;
  await app.pause();
  afresh = false;
  let reply;
  try {
    reply = await app.connection.send({ do: "new", state, keep });
  } catch (error) {
    app.refused = error;
    showRefusal();
    network.show(columns(app));
    return false;
  }
  if (again) {
    afresh ||= !keep;
    return true;
  }
  if (JSON.stringify(reply.state.code) !== JSON.stringify(app.state?.code)) await app.learn();
  app.accept(reply);
  if (app.data.image && input) look();
  if (was) app.play();
  return true;
}

function take(frame) {
  app.frame = frame;
  const { step, batches, train_loss: train, test_loss: test } = frame;
  curves.add(step / batches, train, test);
}

function showFrame() {
  const { frame } = app;
  $("epochs").textContent = frame.epoch.toLocaleString("en");
  $("steps").textContent = frame.step.toLocaleString("en");
  $("rate").hidden = !app.state.optimizer.schedules?.lr;
  $("rate").lastElementChild.textContent = short(frame.lr);
  network.update(columns(app));
  picture.draw();
  curves.draw();
  if (app.data.image) {
    if (input) app.drawn(copy(input)); else picture.probabilities(null);
  }
  showScores();
  showDivergence();
  if (app.running && Date.now() - spoken > 6000) { spoken = Date.now(); app.say(said()); }
  emit("frame", frame);
}

const percent = x => x === null || x === undefined ? "nan" : `${(100 * x).toFixed(1)} %`;

function said() {
  const { epoch, train_loss: train, test_loss: test, test_accuracy: accuracy } = app.frame;
  return `Epoch ${epoch}. Loss ${short(train)} on training examples, ${short(test)} on test examples.${accuracy === undefined ? "" : ` Accuracy ${percent(accuracy)}.`}`;
}

function showScores() {
  const names = [...new Set(Object.keys(app.frame).flatMap(key => /^(?:train|test)_(.*)$/.exec(key)?.[1] ?? []))];
  const shown = (name, set) => {
    const value = app.frame[`${set}_${name}`];
    return value === undefined ? "" : name === "accuracy" ? percent(value) : short(value);
  };
  const body = $("scores").tBodies[0];
  if (!names.length) {
    for (const cell of body.querySelectorAll("td")) cell.textContent = "nan";
    return;
  }
  if (body.dataset.names !== names.join()) {
    body.dataset.names = names.join();
    body.replaceChildren(...names.map(name => make("tr", {}, make("th", { scope: "row" }, name.replaceAll("_", " ")), make("td", { class: "train" }), make("td", { class: "test" }))));
  }
  names.forEach((name, i) => { body.rows[i].cells[1].textContent = shown(name, "train"); body.rows[i].cells[2].textContent = shown(name, "test"); });
  $("losses").firstElementChild.setAttribute("aria-label", `Loss by epoch. ${said()}`);
}

function showDivergence() {
  const { diverged } = app.frame, box = $("diverged");
  if (!diverged) { box.hidden = true; return; }
  if (!box.hidden) return;
  const buttons = [make("button", { type: "button", onclick: () => app.reset() }, "Back to the start")];
  const address = diverged.address?.split(".").slice(0, 3).join(".");
  if (address?.startsWith("body.layers.")) buttons.push(make("button", { type: "button", onclick: () => app.selectLayer(address) }, "Show the layer"));
  box.replaceChildren(make("b", {}, "The training has diverged. "), diverged.says, make("br"), ...buttons);
  box.hidden = false;
}

// A refused state: the sentence, while the network that was built last is still there.
function showRefusal() {
  const box = $("refused");
  document.querySelectorAll("#transport button").forEach(button => { button.disabled = Boolean(app.refused); });
  box.hidden = !app.refused;
  if (!app.refused) return;
  const undo = make("button", { type: "button", onclick: () => { app.draft = complete(copy(app.state)); app.refused = null; app.selectLayer(null); app.showControls(); } }, "Undo");
  box.replaceChildren(make("span", {}, app.refused.message), make("br"), app.state ? undo : "");
}

function tell(error) {
  if (!(error instanceof Error)) throw error;
  if (!(error instanceof Refusal)) console.error(error);
  app.toast(error.message);
}

function running() {
  const play = $("play");
  play.toggleAttribute("data-on", app.running);
  play.querySelector(".unseen").textContent = app.running ? "Pause" : "Play";
  emit("running", app.running);
}

async function share() {
  if (EMBED) return;
  const link = await toLink(app.state);
  try { history.replaceState(null, "", link); } catch { /* a page inside another has no address */ }
}

// The state in the page's address, or null. Code from a link runs on this machine only if that is wanted.
async function linked() {
  let state = null;
  try {
    state = await fromLink(location.hash);
    if (state && !(state.network?.loss && state.optimizer?.type)) throw new Error("no network");
  } catch {
    app.toast("The link can't be read.");
    return null;
  }
  const classes = Object.keys(state?.code ?? {}).join(", ");
  if (classes && app.connection.engine === "server" && !confirm(`This link brings Python code of its own (${classes}), which would run on this machine. Is it from somebody you trust?`)) return null;
  return state;
}

// one example through the network

async function look() {
  const numbers = input;
  if (!numbers) {
    app.activations = null;
    picture.probabilities(null);
  } else {
    try {
      const reply = await app.connection.send({ do: "predict", x: numbers });
      app.activations = { x: numbers, ...reply.activations };
      picture.probabilities(reply.probabilities);
    } catch (error) { tell(error); return; }
  }
  network.update(columns(app));
}

// the data panel

const NAMES = { xor: "XOR" }, USUAL = ["circles", "moons", "spiral", "xor", "blobs", "sine", "steps", "digits"];

function thumbnails() {
  const names = Object.keys(app.catalogue.data), kinds = $("kinds");
  names.sort((a, b) => USUAL.indexOf(a) - USUAL.indexOf(b));
  kinds.replaceChildren(...names.map(name => {
    const canvas = make("canvas", { width: 96, height: 96, "aria-hidden": "true" });
    return make("button", { type: "button", role: "radio", "aria-checked": "false", "data-name": name, onclick: () => chooseData(name), onkeydown: event => around(event, kinds) }, canvas, NAMES[name] ?? name);
  }));
  sketches();
}

function around(event, group) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const buttons = [...group.children], to = buttons[(buttons.indexOf(event.target) + by + buttons.length) % buttons.length];
  to.focus();
  to.click();
}

// Each data set as a small sketch.
function sketches() {
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
function chooseData(name) {
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

function showData() {
  const { data, training } = app.draft, chosen = data.path ? null : data.name ?? "digits";
  for (const button of $("kinds").children) {
    button.setAttribute("aria-checked", String(button.dataset.name === chosen));
    button.tabIndex = button.dataset.name === (chosen ?? "circles") ? 0 : -1;
  }
  const key = `${chosen} ${training.batch_size}`, box = $("data-options");
  $("seed").value = training.seed ?? 0;
  if (app.data) $("data-told").textContent = app.data.says;
  if (box.dataset.key === key || (box.contains(document.activeElement) && document.activeElement.type === "range")) return;
  box.dataset.key = key;
  const later = f => value => { f(value); afresh = true; clearTimeout(waiting); waiting = setTimeout(() => app.build(), 120); };
  const rows = [], usual = app.catalogue.data[chosen]?.data;
  if (usual?.examples) {
    rows.push(slider("noise", { min: 0, max: 1, step: 0.05, value: data.noise ?? usual.noise, shown: v => v.toFixed(2) }, later(v => { app.draft.data.noise = v; })));
    rows.push(slider("points", { min: 50, max: 2000, step: 50, value: data.examples ?? usual.examples }, later(v => { app.draft.data.examples = v; })));
  }
  if (table && data.path) {
    const menu = make("select", { id: "target", onchange: () => readTable(table.name, table.text, menu.value) }, ...table.columns.map(name => make("option", {}, name)));
    menu.value = table.target;
    rows.push(make("div", { class: "option" }, make("label", { for: "target" }, "predict"), menu));
  }
  rows.push(slider("batch size", { min: 0, max: 9, step: 1, value: Math.round(Math.log2(training.batch_size ?? 128)), shown: v => 2 ** v }, later(v => { app.draft.training.batch_size = 2 ** v; })));
  box.replaceChildren(...rows);
}
let waiting = 0;

let table = null; // one's own: {name, text}, and what the engine found: {columns, target}

async function readTable(name, text, target = null) {
  await app.pause();
  try {
    const reply = await app.connection.send({ do: "csv", name, text, target });
    table = { name, text, columns: reply.columns, target: reply.target };
    $("data-options").dataset.key = "";
    app.accept(reply);
  } catch (error) { tell(error); }
}

const readFile = async file => readTable(file.name, await file.text());

// the training panel

function part(name, family, value, none, change, leave = []) {
  const menu = choice(app, family, value, none, change), spec = value && app.spec(family, value.type);
  const label = make("label", { for: menu.id }, name), box = make("div", { class: "part" }, make("div", { class: "head" }, label, menu));
  if (!value || !spec) return box;
  if (spec.formula) box.append(formula(spec));
  const rows = options(app, family, value, change, leave), lr = rows.filter(row => row.dataset.option === "lr"), rest = rows.filter(row => row.dataset.option !== "lr");
  if (lr.length) box.append(make("div", { class: "options" }, ...lr));
  if (rest.length) {
    const key = `${family} ${name}`, details = make("details", { open: opened.has(key), ontoggle: () => details.open ? opened.add(key) : opened.delete(key) }, make("summary", {}, `${rest.length === 1 ? "option" : "options"} of ${value.type}`), make("div", { class: "options" }, ...rest));
    box.append(details);
  }
  return box;
}
const opened = new Set();

function showTraining() {
  const { optimizer, network: { loss } } = app.draft, box = $("training-options"), key = JSON.stringify([optimizer, loss]);
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const focused = box.contains(document.activeElement) ? [...box.querySelectorAll("input, select, summary")].indexOf(document.activeElement) : -1;
  const schedule = optimizer.schedules?.lr ?? null;
  box.replaceChildren(
    part("Optimizer", "Optimizer", optimizer, "", value => app.change(state => { state.optimizer = value; }, true), ["schedules"]),
    part("Schedule", "Schedule", schedule, "none", value => app.change(state => {
      const { lr, ...others } = state.optimizer.schedules ?? {}, schedules = value ? { ...others, lr: value } : others;
      if (Object.keys(schedules).length) state.optimizer.schedules = schedules; else delete state.optimizer.schedules;
    }, true)),
    part("Loss", "Loss", loss, "", value => app.change(state => { state.network.loss = value; }, true)),
  );
  if (focused >= 0) box.querySelectorAll("input, select, summary")[focused]?.focus();
}

// the selected layer

function showLayer() {
  const box = $("layer"), layers = bodyLayers(app.draft), index = app.selected ? indexOf(app.selected) : -1, layer = layers?.[index];
  const key = layer ? `${app.selected} ${JSON.stringify(layer)} ${layers.length}` : "";
  if (box.dataset.key === key) return;
  const focused = box.contains(document.activeElement) ? [...box.querySelectorAll("button, input, select")].indexOf(document.activeElement) : -1;
  box.dataset.key = key;
  box.hidden = !layer;
  if (!layer) return;
  const spec = app.spec("Layer", layer.type), type = choice(app, "Layer", layer, "", value => app.setLayer(index, value));
  type.setAttribute("aria-label", "Type of the layer");
  box.replaceChildren(
    make("div", { class: "bar" }, make("h2", { id: "layer-title" }, `Layer ${index + 1}`, make("small", {}, app.selected)), type,
      make("button", { type: "button", disabled: index === 0, title: "Move it towards the input", onclick: () => app.moveLayer(index, -1) }, "← move"),
      make("button", { type: "button", disabled: index === layers.length - 1, title: "Move it towards the output", onclick: () => app.moveLayer(index, 1) }, "move →"),
      make("button", { type: "button", disabled: layers.length < 2, onclick: () => app.removeLayer(index) }, "Remove"),
      make("button", { type: "button", "aria-label": "Close", title: "Close (Escape)", onclick: () => app.selectLayer(null) }, "✕")),
    ...(spec?.formula ? [formula(spec)] : []),
    make("div", { class: "grid" }, ...options(app, "Layer", layer, value => app.setLayer(index, value))),
  );
  if (focused >= 0) box.querySelectorAll("button, input, select")[focused]?.focus();
}

// the parts that look inside, as tabs

async function mountParts() {
  const work = $("work"), list = work.querySelector("[role=tablist]");
  for (const [name, [title, file]] of Object.entries(PARTS)) {
    const part = await import(file);
    const panel = make("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, tabindex: 0, hidden: true });
    const tab = make("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": panel.id, "aria-selected": "false", tabindex: -1 }, title);
    const open = () => {
      for (const each of list.children) { each.setAttribute("aria-selected", String(each === tab)); each.tabIndex = each === tab ? 0 : -1; }
      for (const each of work.querySelectorAll(":scope > [role=tabpanel]")) each.hidden = each !== panel;
      emit("tab", name);
    };
    tab.addEventListener("click", open);
    tab.addEventListener("keydown", event => around(event, list));
    list.append(tab);
    work.append(panel);
    tabs.set(name, open);
    part.mount(panel, app);
    work.hidden = false;
    if (tabs.size === 1) open();
  }
}

// keyboard, theme, files

const typing = target => target.closest("input:not([type=checkbox]):not([type=range]), select, textarea, [contenteditable], dialog[open]");

function keyboard(event) {
  if (event.key !== " ") pointed = false;
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (event.key === "Escape" && !event.target.closest("dialog[open], textarea, [contenteditable]")) {
    app.tip(null);
    app.hover(null);
    app.selectLayer(null);
    return;
  }
  if (typing(event.target) || (event.key === " " && !pointed && event.target.closest("button, summary, a, input, [role=tab]"))) return;
  const does = { " ": () => app.toggle(), s: () => $("step").click(), e: () => $("epoch").click(), r: () => $("reset").click() }[event.key];
  if (!does) return;
  event.preventDefault();
  if (pointed) event.target.blur(); // a button that was clicked is not pressed by the space bar again
  does();
}

function theme(value, chosen) {
  document.documentElement.dataset.theme = value;
  $("theme").querySelector(".unseen").textContent = value === "dark" ? "Light mode" : "Dark mode";
  $("theme").title = value === "dark" ? "Light mode" : "Dark mode";
  if (chosen) try { localStorage.setItem("layerkit-theme", value); } catch { /* no storage */ }
  if (!app.data) return;
  sketches();
  network.draw();
  picture.draw();
  curves.draw();
  emit("theme", value);
}

function listen() {
  $("play").addEventListener("click", () => app.toggle());
  $("step").addEventListener("click", () => app.once({ do: "train", steps: 1 }));
  $("epoch").addEventListener("click", () => app.once({ do: "epoch" }));
  $("reset").addEventListener("click", () => app.reset());
  $("seed").addEventListener("change", event => app.change(state => { anew(state, Math.max(0, Math.round(+event.target.value || 0))); }));
  $("dice").addEventListener("click", () => app.change(state => { anew(state, Math.floor(Math.random() * 1000)); }));
  $("link").addEventListener("click", async () => {
    await share();
    try { await navigator.clipboard.writeText(location.href); app.toast("The link is copied: whoever opens it sees this experiment from its start."); } catch { app.toast("The link is in the address bar."); }
  });
  $("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark", true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => theme(event.matches ? "dark" : "light", false));
  addEventListener("storage", event => { if (event.key === "layerkit-theme" && event.newValue) theme(event.newValue, false); }); // of a page around this one
  $("file").addEventListener("change", event => { if (event.target.files[0]) readFile(event.target.files[0]); event.target.value = ""; });
  addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", event => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  addEventListener("drop", event => { event.preventDefault(); document.body.classList.remove("dropping"); if (event.dataTransfer.files[0]) readFile(event.dataTransfer.files[0]); });
  addEventListener("keydown", keyboard);
  addEventListener("pointerdown", () => { app.tip(null); pointed = true; });
  addEventListener("scroll", () => app.tip(null), { passive: true });
  addEventListener("hashchange", async () => {
    const state = await linked();
    if (state && JSON.stringify(state) !== JSON.stringify(app.state)) app.change(draft => { for (const key of Object.keys(draft)) delete draft[key]; Object.assign(draft, state); });
  });
}

// The catalogue as the forms want it: by the name of the family's base class, with a formula where the first line begins with one.
function prepared(reply) {
  const found = { data: reply.data, start: reply.start };
  for (const [family, base] of Object.entries(FAMILIES)) {
    found[base] = Object.entries(reply[family]).map(([type, { group, says, options }]) => {
      const { formula, doc } = divided(says);
      return { type, group: group.replaceAll("_", " "), doc, formula, options: Object.fromEntries(options.map(each => [each.name, each])) };
    });
  }
  return found;
}

// "y = x W + b: every output …" is a formula and a sentence.
function divided(says) {
  const text = says.replaceAll("`", ""), [head] = text.split(/: |\. |\.$/, 1);
  return /[=←]|<-/.test(head) ? { formula: head, doc: text } : { formula: null, doc: text };
}

async function start() {
  curves = new Curves($("losses").querySelector("canvas"), $("log"));
  network = new NetworkView(app);
  picture = new Picture(app, $("picture"));
  listen();
  theme(document.documentElement.dataset.theme, false);
  const wait = $("wait").querySelector("p");
  try {
    app.connection = await connect(text => { if ($("wait").hidden) app.toast(text); else wait.textContent = text; });
    app.catalogue = prepared(await app.connection.send({ do: "catalogue" }));
    for (const state of Object.values(app.catalogue.data)) presets.add(kept(state));
    thumbnails();
    const state = await linked();
    app.draft = copy(app.catalogue.start);
    const begun = await app.connection.send({ do: "new", state: app.draft });
    app.accept(begun);
    if (state) await app.change(draft => { for (const key of Object.keys(draft)) delete draft[key]; Object.assign(draft, state); });
  } catch (error) {
    console.error(error);
    wait.textContent = `layerkit could not start: ${error.message}`;
    $("wait").querySelector(".spin").remove();
    return;
  }
  $("wait").hidden = true;
  document.documentElement.dataset.ready = "";
  if (!EMBED) mountParts();
}

globalThis.layerkit = app;
start();
