// The page of the playground: one object, `app`, that every part of the page is given.
//
// A part that looks inside is a module beside this one with `export function mount(element, app)`, listed in PARTS below; it gets a tab, and
// fills `element`. What it may use of `app`:
//
//   app.connection.send(message)  a promise of the engine's reply (see layerkit/play/__init__.py for the messages). A refused message rejects with
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

import { prepared } from "./catalogue.js";
import { columns } from "./columns.js";
import { connect, Refusal } from "./connection.js";
import { Curves } from "./curves.js";
import { readFile, readTable, showData, sketches, tableOf, thumbnails } from "./data.js";
import { showLayer, showTraining } from "./forms.js";
import { short } from "./colours.js";
import { fromLink, toLink } from "./link.js";
import { around, make } from "./make.js";
import { Picture } from "./map.js";
import { NetworkView } from "./network.js";
import { said, showDivergence, showScores } from "./scores.js";
import { addressOf, anew, bodyLayers, copy, indexOf, replace } from "./state.js";

// The title of each tab, and its module.
const PARTS = { inside: ["Look inside", "./inspector.js"], change: ["Change a line", "./editor.js"], home: ["Take it home", "./takehome.js"] };
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
      if (old && name in old && ["units", "schedules", "init", "bias", "name", "gaps"].includes(name)) made[name] = old[name];
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
    const selected = app.selected;
    f(app.draft);
    complete(app.draft);
    app.showControls();
    if (app.selected !== selected) emit("select", app.selected);
    return app.build(keep);
  },

  build(keep = false) {
    afresh ||= !keep;
    if (!building) building = (async () => {
      $("network").ariaBusy = true;
      try {
        let good;
        do {
          again = false;
          good = await rebuilt(copy(app.draft));
        } while (again);
        return good;
      } finally {
        building = null;
        $("network").ariaBusy = false;
      }
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
    if (app.frame) app.say(said(app));
  },

  toggle() { return app.running ? app.pause() : app.play(); },

  async once(message) {
    await app.pause();
    if (app.refused) return;
    try {
      take((await app.connection.send(message)).frame);
      showFrame();
      app.say(said(app));
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
    showLayer(app);
    if (address && innerWidth <= 760) $("layer").scrollIntoView({ block: "nearest", behavior: "smooth" }); // else nothing seems to happen
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

  tell,

  openTab(name) { tabs.get(name)?.(); },

  showControls() {
    showData(app);
    showTraining(app);
    network.show(columns(app));
    showLayer(app);
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
  showScores(app);
  showDivergence(app);
  if (app.running && Date.now() - spoken > 6000) { spoken = Date.now(); app.say(said(app)); }
  emit("frame", frame);
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
  const table = tableOf(app.state), { link, whole } = await toLink(app.state, table);
  $("link").querySelector("span").textContent = whole ? "link" : "link without the table";
  $("link-told").textContent = !table ? "" : whole ? `The link holds ${table.name}: whoever has it can read the table.` : `The link does not hold ${table.name}, which is too large: send the file too, to be dropped on the page there.`;
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
  if (classes && app.connection.engine === "server" && !confirm(`This link brings Python code of its own (${classes}), which would run on this machine. Is it from somebody you trust?`)) {
    app.toast("The link was not opened: this is the page without it.");
    return null;
  }
  return state;
}

// A state from a link, with the table that it brings.
async function build({ table, ...state }) {
  if (table) await readTable(app, table, typeof state.data?.label === "string" ? state.data.label : null);
  return app.change(draft => replace(draft, state));
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
    try { await navigator.clipboard.writeText(location.href); app.toast(`The link is copied: whoever opens it sees this experiment from its start.\n${$("link-told").textContent}`.trim()); } catch { app.toast("The link is in the address bar."); }
  });
  $("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark", true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => theme(event.matches ? "dark" : "light", false));
  addEventListener("storage", event => { if (event.key === "layerkit-theme" && event.newValue) theme(event.newValue, false); }); // of a page around this one
  $("file").addEventListener("change", event => { if (event.target.files[0]) readFile(app, event.target.files[0]); event.target.value = ""; });
  addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", event => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  addEventListener("drop", event => { event.preventDefault(); document.body.classList.remove("dropping"); if (event.dataTransfer.files[0]) readFile(app, event.dataTransfer.files[0]); });
  addEventListener("keydown", keyboard);
  addEventListener("pointerdown", () => { app.tip(null); pointed = true; });
  addEventListener("scroll", () => app.tip(null), { passive: true });
  addEventListener("hashchange", async () => {
    const state = await linked();
    if (state && JSON.stringify(state) !== JSON.stringify(app.state)) build(state);
  });
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
    thumbnails(app);
    const state = await linked();
    app.draft = copy(app.catalogue.start);
    const begun = await app.connection.send({ do: "new", state: app.draft });
    app.accept(begun);
    if (state) await build(state);
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
