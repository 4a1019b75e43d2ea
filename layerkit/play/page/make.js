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

export function written(formula) {
  const text = formula.replaceAll("<-", "←").replaceAll(" - ", " − ").replaceAll("(-", "(−").replaceAll("= -", "= −"), found = [];
  let end = 0;
  for (const match of text.matchAll(/\^(\w+)|_(\w)\b/g)) {
    found.push(text.slice(end, match.index), make(match[1] ? "sup" : "sub", {}, match[1] || match[2]));
    end = match.index + match[0].length;
  }
  return [...found, text.slice(end)];
}

let last = 0;
export const fresh = () => `id-${++last}`;
