// The forms: optimizer, schedule and loss, and the selected layer, with all their options.

import { choice, formula, options } from "./controls.js";
import { make } from "./make.js";
import { bodyLayers, indexOf } from "./state.js";

const $ = id => document.getElementById(id);

function part(app, name, family, value, none, change, leave = []) {
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

export function showTraining(app) {
  const { optimizer, network: { loss } } = app.draft, box = $("training-options"), key = JSON.stringify([optimizer, loss]);
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const focused = box.contains(document.activeElement) ? [...box.querySelectorAll("input, select, summary")].indexOf(document.activeElement) : -1;
  const schedule = optimizer.schedules?.lr ?? null;
  box.replaceChildren(
    part(app, "Optimizer", "Optimizer", optimizer, "", value => app.change(state => { state.optimizer = value; }, true), ["schedules"]),
    part(app, "Schedule", "Schedule", schedule, "none", value => app.change(state => {
      const { lr, ...others } = state.optimizer.schedules ?? {}, schedules = value ? { ...others, lr: value } : others;
      if (Object.keys(schedules).length) state.optimizer.schedules = schedules; else delete state.optimizer.schedules;
    }, true)),
    part(app, "Loss", "Loss", loss, "", value => app.change(state => { state.network.loss = value; }, true)),
  );
  if (focused >= 0) box.querySelectorAll("input, select, summary")[focused]?.focus();
}

export function showLayer(app) {
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
