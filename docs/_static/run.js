// A button beneath each example runs it in this browser, after those before it on the page.
// Python is that of the playground, which says in its page where it gets it from.

const root = new URL(document.documentElement.dataset.content_root ?? "./", document.baseURI);
const playground = new URL("playground/", root);
let engine = null; // a promise of the function that asks Python
let told = () => {};
let turn = Promise.resolve(); // of the example that runs: one after another

async function started() {
  const { startPython } = await import(new URL("python.js", playground));
  const page = await (await fetch(new URL("index.html", playground))).text();
  const { python, code } = new DOMParser().parseFromString(page, "text/html").documentElement.dataset;
  const address = name => new URL(name, playground);
  return startPython({ python: address(python), code: address(code) }, sentence => told(sentence));
}

// The code of an example: what stands after >>> and the ... that follow it.
function codeOf(text) {
  let inside = false;
  const code = [];
  for (const line of text.split("\n")) {
    inside = /^>>>( |$)/.test(line) || (inside && /^\.\.\.( |$)/.test(line));
    if (inside) code.push(line.slice(4));
  }
  return code.join("\n");
}

// The imports before the first example of a class or function, which leaves out itself and NumPy.
function imports(code) {
  const [, home, name] = document.querySelector("dt.sig-object")?.id.match(/^(.+)\.(.+)$/) ?? [];
  const lines = name ? ["import numpy as np\n", `from ${home} import ${name}\n`] : [];
  return lines.filter(line => !code.includes(line)).join("");
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

class Example {
  constructor(block, before) {
    this.block = block;
    this.before = before;
    const code = codeOf(block.querySelector("pre").textContent);
    this.original = before.length ? code : imports(code) + code;
    this.done = false; // whether Python has run it
    this.button = element("button", { type: "button", className: "run", textContent: "Run", title: "Run this in your browser" });
    this.button.onclick = () => this.press();
    this.bar = element("div", { className: "run-bar" }, this.button);
    block.append(this.bar);
    block.classList.add("runnable");
  }

  get code() {
    return this.editor ? this.editor.value : this.original;
  }

  open() {
    if (this.editor) return;
    this.editor = element("textarea", { value: this.original, spellcheck: false, rows: this.original.split("\n").length, wrap: "off" });
    this.editor.setAttribute("aria-label", "Code of this example; Ctrl and Enter run it");
    this.editor.setAttribute("autocapitalize", "off");
    this.editor.oninput = () => { this.editor.rows = this.editor.value.split("\n").length; };
    this.editor.onkeydown = event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.press();
    };
    this.output = element("pre", { className: "run-output" });
    this.output.setAttribute("aria-live", "polite");
    this.output.setAttribute("aria-label", "Output");
    const back = element("button", { type: "button", className: "run", textContent: "Restore", title: "Back to the page's example" });
    back.onclick = () => this.close();
    this.bar.append(back);
    this.block.querySelector(".highlight").hidden = true;
    this.block.prepend(this.editor, this.output);
  }

  close() {
    for (const each of [this.editor, this.output, this.bar.lastChild]) each.remove();
    this.block.querySelector(".highlight").hidden = false;
    this.editor = null;
    this.button.focus();
  }

  show(text, kind = "") {
    if (!this.editor) return;
    this.output.textContent = text;
    this.output.className = `run-output ${kind}`;
  }

  async press() {
    if (this.running) return stop();
    this.open();
    this.running = true;
    this.button.textContent = "Stop";
    this.show("Waiting …", "told");
    await (turn = turn.then(() => this.work()));
    this.running = false;
    this.button.textContent = "Run";
  }

  async work() {
    told = sentence => this.show(`${sentence} …`, "told");
    told("Loading Python");
    try {
      const ask = await (engine ??= started());
      for (const example of this.before) if (!example.done) await example.run(ask);
      told("Running");
      await this.run(ask);
    } catch (error) {
      engine = null;
      this.show(error.message, "failed");
    }
  }

  async run(ask) {
    const { output, raised, error } = await ask({ do: "run", source: this.code });
    this.done = !error;
    this.show(error ?? output + raised, error || raised ? "failed" : "");
  }
}

const examples = [];

async function stop() {
  (await engine)?.stop();
  engine = null;
  for (const example of examples) example.done = false;
}

for (const block of document.querySelectorAll("div[class*=highlight-], div.doctest")) {
  if (/^>>> /.test(block.querySelector("pre")?.textContent ?? "")) examples.push(new Example(block, [...examples]));
}
