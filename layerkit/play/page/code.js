// Source text with a little colour, an editor for it, and ways to take it away.

import { fresh, make } from "./make.js";

const WORDS = "and as assert break class continue def del elif else except finally for from if import in is lambda None not or pass raise return self True False try while with yield";
const TOKENS = new RegExp([
  /(?<comment>#[^\n]*)/, /(?<string>[rbf]?(?:"""[^]*?(?:"""|(?![^]))|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))/, /(?<head>^\[[^\]\n]*\]$)/,
  new RegExp(`(?<word>\\b(?:${WORDS.replaceAll(" ", "|")})\\b)`), /(?<number>\b\d[\d_.]*(?:e[+-]?\d+)?)/, /(?<name>(?<=\b(?:def|class) )\w+)/,
].map(part => part.source).join("|"), "gm");

// Python or TOML, as spans.
export function coloured(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    const [kind] = Object.entries(match.groups).find(([, value]) => value !== undefined);
    found.push(text.slice(end, match.index), make("span", { class: `t-${kind}` }, match[0]));
    end = match.index + match[0].length;
  }
  return [...found, text.slice(end)];
}

// The lines of a text, each coloured as part of the whole.
export function colouredLines(text) {
  const lines = [[]];
  for (const piece of coloured(text)) {
    const kind = piece.className, parts = (piece.textContent ?? piece).split("\n");
    parts.forEach((part, i) => {
      if (i) lines.push([]);
      if (part) lines.at(-1).push(kind ? make("span", { class: kind }, part) : part);
    });
  }
  return lines;
}

// Which lines of a text are not in another, in this order (the longest common subsequence).
export function changed(before, after) {
  const a = before.split("\n"), b = after.split("\n"), length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) length[i][j] = a[i] === b[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
  const found = new Set();
  for (let i = 0, j = 0; j < b.length;) {
    if (i < a.length && a[i] === b[j]) { i++; j++; } else if (i < a.length && length[i + 1][j] >= length[i][j + 1]) i++; else found.add(j++);
  }
  return found;
}

// A text area with numbered, coloured lines behind it. Tab indents; Escape, then Tab, leaves it.
export class Editor {
  constructor(label, change, run) {
    const help = fresh();
    this.numbers = make("div", { class: "numbers", "aria-hidden": "true" });
    this.behind = make("pre", { "aria-hidden": "true" });
    this.area = make("textarea", { "aria-label": label, "aria-describedby": help, spellcheck: "false", autocapitalize: "off", autocomplete: "off", autocorrect: "off", wrap: "off" });
    const stack = make("div", { class: "stack" }, this.behind, this.area);
    this.element = make("div", { class: "code-editor" }, this.numbers, stack, make("span", { id: help, class: "unseen" }, "Tab indents. Press Escape, then Tab, to leave. Control and Enter runs it."));
    this.original = null;
    this.wrong = 0;
    this.area.addEventListener("input", () => { this.wrong = 0; this.show(); change(); });
    let leaving = false;
    this.area.addEventListener("keydown", event => {
      if (event.key === "Escape") { leaving = true; return; }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); return; }
      if (event.key === "Tab" && !event.shiftKey && !leaving && !event.ctrlKey && !event.altKey) { event.preventDefault(); this.insert("    "); }
      if (event.key === "Enter") {
        const line = this.area.value.slice(0, this.area.selectionStart).split("\n").at(-1);
        event.preventDefault();
        this.insert(`\n${/^ */.exec(line)[0]}${line.trimEnd().endsWith(":") ? "    " : ""}`);
      }
      leaving = false;
    });
  }

  insert(text) {
    // this way it can be undone
    if (!document.execCommand("insertText", false, text)) this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
  }

  get value() { return this.area.value; }

  // A text, beside the original that it is compared with; the first line of `at` is brought into view.
  set(text, original, at = "def ") {
    this.area.value = text;
    this.original = original;
    this.wrong = 0;
    this.show();
    const line = text.split("\n").findIndex(each => each.includes(at));
    this.element.scrollTop = Math.max(0, line - 1) * 20;
  }

  mark(line) {
    this.wrong = line;
    this.show();
    this.element.scrollTop = Math.max(0, (line - 6) * 20);
  }

  show() {
    const text = this.area.value, lines = text.split("\n"), different = this.original === null ? new Set() : changed(this.original, text);
    this.behind.replaceChildren(...coloured(`${text}\n`));
    this.numbers.replaceChildren(...lines.map((_, i) => make("i", { class: i + 1 === this.wrong ? "wrong" : different.has(i) ? "changed" : "" }, String(i + 1))));
    this.area.style.height = `${lines.length * 20 + 16}px`;
    this.area.style.width = `calc(${Math.max(...lines.map(line => line.length)) + 3}ch + 20px)`;
  }
}

export async function copied(text, app) {
  try { await navigator.clipboard.writeText(text); app.toast("Copied."); } catch { app.toast("The browser does not let the page copy: select the text instead."); }
}

export function download(name, data) {
  const link = make("a", { href: URL.createObjectURL(new Blob([data])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

document.head.append(make("link", { rel: "stylesheet", href: new URL("inside.css", import.meta.url).href }));
