// HTML elements in one expression, and formulas as one writes them.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

const SIGNS = [["<-", "←"], [" - ", " − "], ["(-", "(−"], ["= -", "= −"], ["> -", "> −"], [">=", "≥"], ["<=", "≤"], ["sum_", "Σ_"], ["sqrt(", "√("]];
const GREEK = { alpha: "α", beta: "β", gamma: "γ", lambda: "λ", mu: "μ", sigma: "σ", eps: "ε", delta: "δ" };

export function written(formula) {
  let text = SIGNS.reduce((text, [plain, sign]) => text.replaceAll(plain, sign), formula);
  text = text.replace(/\b(alpha|beta|gamma|lambda|mu|sigma|eps|delta)(\d?)\b(?!\()/g, (_, name, n) => GREEK[name] + (n && `_${n}`));
  const found = [];
  let end = 0;
  for (const match of text.matchAll(/\^(\w+)|_(\w)\b/g)) {
    found.push(text.slice(end, match.index), make(match[1] ? "sup" : "sub", {}, match[1] || match[2]));
    end = match.index + match[0].length;
  }
  return [...found, text.slice(end)];
}

let last = 0;
export const fresh = () => `id-${++last}`;

// Arrow keys choose the next in a group.
export function around(event, group) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const buttons = [...group.children], to = buttons[(buttons.indexOf(event.target) + by + buttons.length) % buttons.length];
  to.focus();
  to.click();
}
