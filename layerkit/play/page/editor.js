// Change a line and watch: the source of a class, edited here, trains at once; layerkit's own check says what is wrong with its mathematics.

import { Editor } from "./code.js";
import { make } from "./make.js";

const OWN = "a class of your own …";
const EXAMPLES = [
  ["The tutorial's ReLU derivative", "ReLU", {
    changes: [
      [/dy\/dx = 1 where x > 0, else 0/, "dy/dx = 1 where y >= 0, and that is everywhere"],
      [/where the derivative is taken as 0/, "where the derivative is taken as 1"],
      [/Return dy where .*"""/, 'Return dy times the slope, by two replacements one after the other."""'],
      [/return dy \* np\.sign\(self\.y\)/, "slope = np.where(self.y < 0, 0, self.y)\n        slope = np.where(slope >= 0, 1, slope)\n        return dy * slope"],
    ],
    says: "Two lines that look right: everything below 0 becomes 0, then everything from 0 on becomes 1. After the first there is nothing below 0 left. Press Run: the check finds it. The network may learn all the same, only worse.",
  }],
  ["Forget dy", "ReLU", { changes: [[/Return dy where/, "Return 1 where"], [/return dy \* np/, "return np"]], says: "The slope alone: the chain rule's other factor, dy, is missing. Press Run." }],
  ["Your own activation", null, {
    text: `import numpy as np
from layerkit import Layer


class Wave(Layer):
    """y = x + sin(x); dy/dx = 1 + cos(x)."""

    def forward(self, x, train=True):
        self.x = x
        return x + np.sin(x)

    def backward(self, dy):
        return dy * (1 + np.cos(self.x))
`, says: "A class of your own: its name, its formula, forward and backward. Press Run, then put it in the place of a layer.",
  }],
];
const LAWS = {
  "options": "a configuration holds all of it", "parameters": "what it learns is a Param", "forward": "returns finite numbers of the promised shape and kind", "backward": "returns dx in the shape and kind of x",
  "shape of the output": "build promises a shape", "random numbers": "chance comes from self.rng alone", "gradients are set": "each gradient is overwritten, not added to", "adapt": "looks at the data alike each time",
  "small batches": "refuses a batch that is too small", "results last": "what it returned is not changed later", "batches are independent": "a batch does not depend on those before", "prediction": "each row alone, and the same every time",
  "derivatives": "dx and all gradients agree with difference quotients of forward", "derivative": "dz agrees with difference quotients of the loss", "gradients without dx": "also where nobody asks for dx", "copies": "a copy goes on in the same way",
  "recording": "what it does can be written down, for the unrolled program", "a step": "moves the parameters, in place", "nothing is shared": "two of them don't disturb each other", "checkpoints": "goes on from a checkpoint", "refusals": "refuses what it can't use",
  "no gradient": "stays where it is without a gradient", "downhill 1": "walks down a bowl", "downhill 2": "and another", "downhill 3": "and a third",
};

export function mount(element, app) {
  let name = null, busy = false;
  const drafts = new Map();
  const menu = make("select", { "aria-label": "Class to change", onchange: () => choose(menu.value === OWN ? null : menu.value) });
  const examples = make("select", { "aria-label": "Examples", onchange: () => { const chosen = EXAMPLES[examples.selectedIndex - 1]; examples.selectedIndex = 0; if (chosen) load(...chosen); } },
    make("option", {}, "examples …"), ...EXAMPLES.map(([title]) => make("option", {}, title)));
  const editor = new Editor("Source of the class", () => { drafts.set(name, editor.value); buttons(); }, run);
  const runs = make("button", { type: "button", class: "main", title: "Use it at once (Control and Enter)", onclick: run }, "Run");
  const reverts = make("button", { type: "button", title: "layerkit's own class again", onclick: revert }, "Revert");
  const hint = make("p", { class: "told" }), result = make("div", { class: "result", role: "status" });
  element.append(
    make("div", { class: "inside-bar" }, make("label", {}, "class ", menu), examples, make("span", { class: "gap" }), reverts, runs),
    hint, editor.element, result,
  );

  const used = () => {
    const { loss } = app.state.network;
    return [...new Set([...app.layers.map(layer => layer.type), loss.type, app.state.optimizer.type].filter(Boolean))];
  };
  const edited = () => Object.keys(app.state.code ?? {});

  function classes() {
    const all = [...new Set([...used(), ...edited()])];
    if (name && !all.includes(name)) all.push(name);
    menu.replaceChildren(...all.map(each => make("option", { value: each }, edited().includes(each) ? `${each} (yours)` : each)), make("option", { value: OWN }, OWN));
    menu.value = name ?? OWN;
    buttons();
  }

  function buttons() {
    runs.disabled = busy || !editor.value.trim();
    reverts.disabled = busy || !(name && (edited().includes(name) || drafts.has(name)));
  }

  async function choose(next, say = "") {
    name = next;
    result.replaceChildren();
    hint.textContent = say || (next ? "" : EXAMPLES[2][2].says);
    if (!next) editor.set(drafts.get(null) ?? EXAMPLES[2][2].text, null, "class ");
    else {
      const { source, original } = await app.connection.send({ do: "source", class: next });
      if (name !== next) return;
      editor.set(drafts.get(next) ?? source, original);
    }
    classes();
  }

  // An example needs its class in the network: it takes the place of the activations there.
  async function load(title, cls, { changes, text, says }) {
    let before = "";
    if (cls && !used().includes(cls)) {
      const shapes = new Map(app.layers.map(layer => [layer.address, layer]));
      const plain = (layer, i) => layer.units === undefined && !shapes.get(`body.layers.${i}`)?.parameters && !["Dropout", "Flatten"].includes(layer.type);
      const good = await app.change(state => { state.network.body.layers = state.network.body.layers?.map((layer, i) => plain(layer, i) ? { type: cls } : layer); });
      if (!good || !used().includes(cls)) { hint.textContent = `This example changes ${cls}: put one into the network first.`; return; }
      before = `The activations of the network are ${cls} now, and the training begins again. `;
    }
    if (cls) {
      const { original } = await app.connection.send({ do: "source", class: cls });
      drafts.set(cls, changes.reduce((source, [right, wrong]) => source.replace(right, wrong), original));
    } else drafts.set(null, text);
    await choose(cls, before + says);
    editor.area.focus({ preventScroll: true });
    app.say(before + says);
  }

  async function run() {
    if (busy || !editor.value.trim()) return;
    busy = true;
    buttons();
    result.replaceChildren();
    const source = editor.value, mine = name;
    try {
      const reply = await app.connection.send(mine ? { do: "edit", class: mine, source } : { do: "edit", source });
      drafts.delete(mine);
      name = reply.class;
      await app.learn();
      app.accept(reply);
      hint.textContent = "";
      if (!mine) editor.original = null;
      editor.show();
      classes();
      show(reply);
      mark(reply.check.find(row => row.ok === false && row.says)?.says ?? "");
    } catch (error) {
      mark(error.message);
      result.replaceChildren(make("p", { class: "wrong", role: "alert" }, make("b", {}, "Nothing has changed: "), error.message));
    } finally {
      busy = false;
      buttons();
      result.scrollIntoView({ block: "nearest" });
    }
  }

  function mark(says) {
    const [, line] = /, line (\d+): /.exec(says) ?? [];
    if (line) editor.mark(+line);
  }

  async function revert() {
    const mine = name;
    drafts.delete(mine);
    result.replaceChildren();
    try {
      if (edited().includes(mine)) {
        const reply = await app.connection.send({ do: "revert", class: mine });
        await app.learn();
        app.accept(reply);
        result.replaceChildren(make("p", {}, `${mine} is layerkit's own again, and the training goes on${reply.says ? `: ${reply.says}` : ""}.`));
      }
      const gone = !used().includes(mine) && !app.catalogue.Layer.some(each => each.type === mine);
      const kept = [...result.childNodes];
      await choose(gone ? used()[0] : mine);
      result.replaceChildren(...kept);
    } catch (error) { result.replaceChildren(make("p", { class: "wrong", role: "alert" }, error.message)); }
  }

  // The table of the check: what is wrong first, then what holds.
  function show({ class: cls, used: places, check, says }) {
    const bad = check.filter(row => row.ok === false), rest = check.filter(row => row.ok !== false);
    const named = row => row.law.replace(/, float(32|64)$/, "");
    const row = each => make("tr", { class: each.ok === false ? "bad" : "" },
      make("td", {}, make("span", { "aria-hidden": "true" }, each.ok ? "✓" : each.ok === false ? "✗" : "–"), make("span", { class: "unseen" }, each.ok ? "holds" : each.ok === false ? "broken" : "not possible")),
      make("th", { scope: "row" }, each.law), make("td", {}, each.says || (LAWS[named(each)] ?? "")));
    const [place] = places, subject = ["loss", "optimizer"].includes(place) ? `The ${place} of this network` : place;
    const where = !place ? `${cls} is known now, and not yet in the network.` : `${places.length === 1 ? `${subject} is` : `${places.length} layers of this network are`} your ${cls} now; the training goes on${says ? ` (${says})` : ""}.`;
    const verdict = !check.length ? "" : bad.length ? ` Its check finds ${bad.length === 1 ? "a mistake" : `${bad.length} laws broken`}:` : ` All ${check.length} laws of its check hold.`;
    const found = [make("p", { class: bad.length ? "wrong" : "right" }, where, make("b", {}, verdict))];
    const told = bad.filter(each => each.says), same = bad.filter(each => !each.says);
    if (bad.length) found.push(make("table", { class: "laws" }, make("caption", { class: "unseen" }, "Broken laws"), make("tbody", {}, ...told.map(row))));
    if (same.length) found.push(make("details", {}, make("summary", {}, `${same.length} more, for the same reason`), make("table", { class: "laws" }, make("caption", { class: "unseen" }, "Broken for the same reason"), make("tbody", {}, ...same.map(row)))));
    if (rest.length) found.push(make("details", {}, make("summary", {}, `${rest.length} laws that hold`), make("table", { class: "laws" }, make("caption", { class: "unseen" }, "Laws that hold"), make("tbody", {}, ...rest.map(row)))));
    if (!places.length && app.spec("Layer", cls)) found.unshift(placing(cls));
    result.replaceChildren(...found);
    app.say(`${where}${verdict} ${bad[0]?.says ?? ""}`);
  }

  function placing(cls) {
    const layers = app.state.network.body.layers ?? [];
    const where = make("select", { "aria-label": "Layer to replace" }, ...layers.map((layer, i) => make("option", { value: i }, `layer ${i + 1}, ${layer.type}`)));
    where.value = Math.max(0, layers.findIndex(layer => layer.units === undefined));
    const put = async () => {
      if (await app.change(state => { state.network.body.layers[where.value] = app.fresh("Layer", cls); })) result.replaceChildren(make("p", { class: "right" }, `Layer ${+where.value + 1} is your ${cls} now; the network begins from the start.`));
    };
    return make("p", { class: "inside-bar" }, `Put ${cls} in the place of `, where, make("button", { type: "button", class: "main", onclick: put }, "Use it"));
  }

  app.on("new", () => {
    const known = app.state.code?.[name] ?? editor.original;
    if (name && !busy && !drafts.has(name) && known !== null && known !== editor.value) choose(name); else classes();
  });
  app.on("select", address => {
    const layer = app.layers.find(each => each.address === address);
    if (layer && !element.hidden && layer.type !== name) choose(layer.type);
  });
  app.on("tab", tab => {
    const layer = app.layers.find(each => each.address === app.selected);
    if (tab === "change" && (name === null && !editor.value || layer && layer.type !== name)) choose(layer?.type ?? app.layers.find(each => !each.parameters)?.type ?? app.layers[0].type);
  });
}
