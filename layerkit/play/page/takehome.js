// Take it home: the experiment as files that run without this page, and as a link.

import { coloured, copied, download } from "./code.js";
import { make } from "./make.js";

const TITLES = { "playground.toml": "Configuration", "train.py": "Python", "in_numpy.py": "NumPy alone", "own_parts.py": "Your code" };
const SAYS = {
  "playground.toml": "The experiment as layerkit's command reads it: all of it is here.",
  "train.py": "The same with layerkit in Python: the same numbers, to the last bit.",
  "in_numpy.py": "The same without layerkit: every operation of the training, written out as one would by hand. Save data.npz beside it.",
  "own_parts.py": "The classes that you have changed, as a file of your own; layerkit's keep their names, so yours are called My….",
};

export function mount(element, app) {
  let files = null, chosen = "playground.toml", stale = true;
  const tabs = make("div", { role: "tablist", "aria-label": "Files", class: "files" });
  const says = make("p", { class: "told" }), bar = make("div", { class: "inside-bar" }), code = make("pre", { class: "listing", tabindex: 0 });
  const panel = make("div", { role: "tabpanel", id: "home-file" }, says, bar, code);
  element.append(tabs, panel);

  async function fetchFiles() {
    if (!stale || element.hidden) return;
    stale = false;
    says.textContent = "Writing …";
    try { files = await app.connection.send({ do: "home" }); } catch (error) { stale = true; says.textContent = error.message; return; }
    show();
  }

  const text = name => files.files.find(file => file.name === name)?.text;

  function show() {
    const names = files.files.filter(file => file.text !== undefined).map(file => file.name);
    if (!names.includes(chosen)) [chosen] = names;
    tabs.replaceChildren(...names.map(name => make("button", {
      type: "button", role: "tab", "aria-selected": String(name === chosen), "aria-controls": panel.id, tabindex: name === chosen ? 0 : -1,
      onclick: () => { chosen = name; show(); tabs.querySelector("[aria-selected=true]").focus(); },
      onkeydown: event => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (by) { event.preventDefault(); chosen = names[(names.indexOf(chosen) + by + names.length) % names.length]; show(); tabs.querySelector("[aria-selected=true]").focus(); }
      },
    }, make("b", {}, TITLES[name]), make("small", {}, name))));
    const data = files.files.find(file => file.base64), command = files.runs[chosen], note = chosen === "in_numpy.py" ? files.note : "";
    says.textContent = note ? `Without layerkit, written out as one would by hand, for reading: ${note}.` : SAYS[chosen];
    const buttons = [
      make("button", { type: "button", onclick: () => copied(text(chosen), app) }, "Copy"),
      make("button", { type: "button", onclick: () => download(chosen, text(chosen)) }, "Download"),
    ];
    if (chosen === "in_numpy.py" && data) buttons.push(make("button", { type: "button", onclick: () => download(data.name, Uint8Array.from(atob(data.base64), c => c.charCodeAt(0))) }, `Download ${data.name}`));
    if (names.includes("own_parts.py") && chosen !== "own_parts.py" && chosen !== "in_numpy.py") buttons.push(make("button", { type: "button", onclick: () => download("own_parts.py", text("own_parts.py")) }, "Download own_parts.py"));
    buttons.push(make("button", { type: "button", onclick: () => document.getElementById("link").click() }, "Copy a link"));
    bar.replaceChildren(...(command ? [make("code", { class: "command" }, command)] : []), make("span", { class: "gap" }), ...buttons);
    code.setAttribute("aria-label", chosen);
    code.replaceChildren(...coloured(text(chosen)));
  }

  app.on("new", () => { stale = true; fetchFiles(); });
  app.on("tab", tab => { if (tab === "home") fetchFiles(); });
}
