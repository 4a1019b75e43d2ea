// Forms, made from what the catalogue says of the options of each class.

import { fresh, make, written } from "./make.js";

// What a schema allows besides nothing: its kind, its limits, its choices.
function read(schema) {
  const any = schema.anyOf ?? [schema], one = any.length === 1 ? schema : {}, optional = schema.optional ?? false;
  const values = any.flatMap(each => each.enum ?? []), family = one.of ?? null;
  let kind = "json";
  if (family) kind = "family";
  else if (one.type === "array" && one.items?.$ref) kind = "list";
  else if (values.length && any.every(each => each.enum)) kind = "choice";
  else if (one.type === "boolean") kind = "boolean";
  else if (one.type === "integer" || one.type === "number") kind = one.type;
  else if (one.type === "string") kind = "text";
  return { kind, optional, family: family ?? one.items?.$ref?.split("/").at(-1), values, one, default: schema.default };
}

const told = { json: "a list or a table as JSON, such as [1, 2]" };

function number(app, name, { one, kind, optional, default: usual }, value, change) {
  const input = make("input", {
    type: "number", id: fresh(), step: kind === "integer" ? 1 : "any", value: value ?? usual ?? "", placeholder: optional ? "none" : null,
    min: one.minimum ?? (kind === "integer" && one.exclusiveMinimum !== undefined ? one.exclusiveMinimum + 1 : null), inputmode: kind === "integer" ? "numeric" : "decimal",
    // Chromium leaves out a decimal comma without a word: 0,01 would be 1
    onbeforeinput: event => { if (kind === "number" && event.data?.includes(",")) { event.preventDefault(); document.execCommand("insertText", false, event.data.replaceAll(",", ".")); } },
    onchange: () => {
      if (input.validity.badInput) { input.value = value ?? usual ?? ""; app.toast(`${name}: should be a number.`); } else change(input.value === "" ? undefined : Number(input.value));
    },
  });
  return input;
}

// A rate is chosen by its size: a slider from 0.0001 to 10, beside the number.
function rate(app, name, meaning, value, change) {
  const input = number(app, name, meaning, value, change), shown = () => Number(input.value) || 1e-4;
  const slider = make("input", {
    type: "range", min: -4, max: 1, step: 0.1, value: Math.log10(shown()), "aria-label": `${name}, by size`, "aria-valuetext": shown(),
    oninput: () => { input.value = Number((10 ** slider.value).toPrecision(2)); slider.setAttribute("aria-valuetext", input.value); },
    onchange: () => change(Number(input.value)),
  });
  return [input, slider];
}

// A column of a table: its name and kind, and the rest folded away.
function column(name, menu, rows) {
  const details = make("details", { open: opened.has(name), ontoggle: () => details.open ? opened.add(name) : opened.delete(name) }, make("summary", {}, `options of ${name}`), make("div", { class: "options" }, ...rows));
  return make("div", { class: "nested column" }, make("b", {}, name), menu, details);
}
const opened = new Set();

// One option as a row: its name, its control; `change` gets the value, or undefined for the default.
export function option(app, name, schema, value, change) {
  const meaning = read(schema), label = make("label", { title: schema.says || null }, name.replaceAll("_", " ")), row = make("div", { class: "option", "data-option": name }, label);
  let input, rest = [];
  if (meaning.kind === "boolean") {
    input = make("input", { type: "checkbox", id: fresh(), onchange: () => change(input.checked) });
    input.checked = value ?? meaning.default ?? false;
  } else if (meaning.kind === "choice") {
    const values = meaning.optional ? [null, ...meaning.values] : meaning.values, now = value ?? meaning.default ?? null;
    input = make("select", { id: fresh(), onchange: () => change(values[input.selectedIndex] ?? undefined) }, ...values.map(each => make("option", {}, each === null ? "none" : String(each))));
    input.selectedIndex = Math.max(0, values.indexOf(now));
  } else if (meaning.kind === "integer" || meaning.kind === "number") {
    [input, ...rest] = name === "lr" ? rate(app, name, meaning, value, change) : [number(app, name, meaning, value, change)];
  } else if (meaning.kind === "text") {
    input = make("input", { type: "text", id: fresh(), value: value ?? meaning.default ?? "", placeholder: meaning.optional ? "none" : null, onchange: () => change(input.value === "" ? undefined : input.value) });
  } else if (meaning.kind === "family" && app.catalogue[meaning.family]) {
    const nested = make("div", { class: "nested" });
    input = choice(app, meaning.family, value ?? meaning.default ?? null, meaning.optional ? "default" : "", change);
    rest = [nested];
    const now = value ?? meaning.default;
    if (now) nested.append(...options(app, meaning.family, now, change));
  } else if (meaning.kind === "list" && app.catalogue[meaning.family]) {
    const parts = value ?? [], put = (i, ...changed) => change(parts.toSpliced(i, 1, ...changed)), { family } = meaning, kept = family === "Column"; // of the data
    input = kept ? make("output", { id: fresh() }, parts.length ? "" : "chosen from the data")
      : make("button", { type: "button", id: fresh(), onclick: () => change([...parts, app.usual(family)]) }, `add a ${family.toLowerCase()}`);
    rest = parts.map((each, i) => {
      const menu = choice(app, family, each, false, changed => put(i, changed)), rows = options(app, family, each, changed => put(i, changed), kept ? ["name"] : []);
      menu.setAttribute("aria-label", kept ? `Kind of ${each.name}` : `${family} ${i} of ${name}`);
      if (kept) return column(each.name, menu, rows);
      return make("div", { class: "nested" }, make("div", { class: "with" }, menu, make("button", { type: "button", "aria-label": `Remove ${family.toLowerCase()} ${i}`, onclick: () => put(i) }, "✕")), ...rows);
    });
  } else {
    const shown = value ?? meaning.default;
    input = make("input", {
      type: "text", id: fresh(), value: shown === undefined || shown === null ? "" : JSON.stringify(shown), placeholder: "none", title: told.json, spellcheck: "false",
      onchange: () => {
        let found;
        try { found = input.value.trim() === "" ? undefined : JSON.parse(input.value); } catch { found = null; }
        input.setAttribute("aria-invalid", found === null);
        if (found === null) app.toast(`${name}: write ${told.json}, not ${input.value}.`); else change(found);
      },
    });
  }
  label.htmlFor = input.id;
  row.append(input, ...(name === "lr" ? [make("span"), ...rest] : rest));
  return row;
}

// The menu of a family's classes; `none` is the name of its first line, where none of them is allowed too.
export function choice(app, family, value, none, change) {
  const groups = new Map(), names = [];
  for (const each of app.catalogue[family]) {
    if (!groups.has(each.group)) groups.set(each.group, []);
    groups.get(each.group).push(each.type);
  }
  const line = name => { names.push(name); return make("option", { value: name }, name || none); };
  const select = make("select", { id: fresh(), onchange: () => change(select.value === "" ? undefined : app.fresh(family, select.value, value)) });
  if (none) select.append(line(""));
  for (const [group, types] of groups) select.append(...(groups.size > 1 ? [make("optgroup", { label: group }, ...types.map(line))] : types.map(line)));
  if (value && !names.includes(value.type)) select.append(line(value.type));
  select.value = value?.type ?? "";
  return select;
}

// The rows of all options of one object; `change` gets the whole object, changed.
export function options(app, family, value, change, leave = []) {
  const spec = app.spec(family, value.type);
  if (!spec) return [];
  return Object.entries(spec.options).filter(([name]) => !leave.includes(name)).map(([name, schema]) =>
    option(app, name, schema, value[name], found => {
      const changed = { ...value, [name]: found };
      if (found === undefined) delete changed[name];
      change(changed);
    }));
}

export const formula = spec => spec?.formula ? make("p", { class: "formula" }, ...written(spec.formula)) : null;

// A slider with its value beside its name.
export function slider(name, { min, max, step, value, shown = v => v }, change) {
  const output = make("span", { class: "value", "aria-hidden": "true" }, shown(value)), id = fresh();
  const input = make("input", { type: "range", id, min, max, step, value, "aria-valuetext": shown(value), oninput: () => {
    output.textContent = shown(+input.value);
    input.setAttribute("aria-valuetext", output.textContent);
    change(+input.value);
  } });
  return make("div", { class: "option slider" }, make("label", { for: id }, name), output, input);
}

const OFTEN = ["Dense", "ReLU", "Tanh", "Sigmoid", "GELU", "LeakyReLU", "BatchNorm", "LayerNorm", "Dropout", "Residual"];

// The dialog in which a layer's type is chosen.
export function pick(app, title, chosen) {
  const dialog = document.getElementById("picker"), list = make("div", { class: "list" });
  const search = make("input", { type: "search", placeholder: "search: relu, norm, gate …", "aria-label": "Search the layers" });
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), groups = new Map();
    if (!words.length) groups.set("often used", OFTEN.flatMap(type => app.spec("Layer", type) ?? []));
    for (const each of app.catalogue.Layer) {
      if (!words.every(word => `${each.type} ${each.doc} ${each.group}`.toLowerCase().includes(word))) continue;
      if (!groups.has(each.group)) groups.set(each.group, []);
      groups.get(each.group).push(each);
    }
    list.replaceChildren(...[...groups].flatMap(([group, found]) => [
      make("h3", {}, group),
      make("div", { class: "choices" }, ...found.map(each => make("button", { type: "button", onclick: () => { dialog.close(); chosen(each.type); } }, make("b", {}, each.type), make("small", {}, ...written(each.doc))))),
    ]));
    if (words.length) best()?.classList.add("best");
    if (!groups.size) list.append(make("p", { class: "none" }, `No layer has ${search.value} in its name or its first sentence.`));
  };
  // The layer that is meant: the one of that name, else one that begins so, else the first.
  const best = () => {
    const all = [...list.querySelectorAll("button")], typed = search.value.trim().toLowerCase(), named = fits => all.find(each => fits(each.firstChild.textContent.toLowerCase()));
    return named(name => name === typed) ?? named(name => name.startsWith(typed)) ?? all[0];
  };
  search.addEventListener("input", show);
  search.addEventListener("keydown", event => { if (event.key === "Enter") { event.preventDefault(); best()?.click(); } });
  dialog.replaceChildren(make("header", {}, make("h2", { id: "picker-title" }, title), search, make("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "✕")), list);
  dialog.onclick = event => { if (event.target === dialog) dialog.close(); };
  show();
  dialog.showModal();
  search.focus();
}
