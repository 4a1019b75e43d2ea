// The numbers of a frame: losses and metrics as a table and as a sentence, and what is said of a divergence.

import { short } from "./colours.js";
import { make } from "./make.js";

const $ = id => document.getElementById(id);
// Losses that stand beside each other have as many digits.
const alike = x => Number.isFinite(x) && Math.abs(x) >= 0.01 && Math.abs(x) < 100 ? x.toFixed(3).replace("-", "−") : short(x);
const percent = x => x === null || x === undefined ? "nan" : `${(100 * x).toFixed(1)} %`;

export function said(app) {
  const { epoch, train_loss: train, test_loss: test, test_accuracy: accuracy } = app.frame;
  return `Epoch ${epoch}. Loss ${short(train)} on training examples, ${short(test)} on test examples.${accuracy === undefined ? "" : ` Accuracy ${percent(accuracy)}.`}`;
}

export function showScores(app) {
  const names = [...new Set(Object.keys(app.frame).flatMap(key => /^(?:train|test)_(.*)$/.exec(key)?.[1] ?? []))];
  const shown = (name, set) => {
    const value = app.frame[`${set}_${name}`];
    return value === undefined ? "" : name === "accuracy" ? percent(value) : alike(value);
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
  $("losses").firstElementChild.setAttribute("aria-label", `Loss by epoch. ${said(app)}`);
}

export function showDivergence(app) {
  const { diverged } = app.frame, box = $("diverged");
  if (!diverged) { box.hidden = true; return; }
  if (!box.hidden) return;
  const buttons = [make("button", { type: "button", onclick: () => app.reset() }, "Back to the start")];
  const address = diverged.address?.split(".").slice(0, 3).join(".");
  if (address?.startsWith("body.layers.")) buttons.push(make("button", { type: "button", onclick: () => app.selectLayer(address) }, "Show the layer"));
  box.replaceChildren(make("b", {}, "The training has diverged. "), diverged.says, make("br"), ...buttons);
  box.hidden = false;
}
