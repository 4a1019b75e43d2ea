// The catalogue, as the forms want it.

const FAMILIES = { layers: "Layer", losses: "Loss", optimizers: "Optimizer", schedules: "Schedule", initializers: "Initializer", columns: "Column" };

// By the name of the family's base class, with a formula where the first line begins with one.
export function prepared(reply) {
  const found = { data: reply.data, start: reply.start };
  for (const [family, base] of Object.entries(FAMILIES)) {
    found[base] = Object.entries(reply[family]).map(([type, { group, says, options }]) => {
      const { formula, doc } = divided(says);
      return { type, group: group.replaceAll("_", " "), doc, formula, options: Object.fromEntries(options.map(each => [each.name, each])) };
    });
  }
  return found;
}

// "y = x W + b: every output …" is a formula and a sentence.
function divided(says) {
  const text = says.replaceAll("`", ""), [head] = text.split(/: |\. |\.$/, 1);
  return /[=←]|<-/.test(head) ? { formula: head, doc: text } : { formula: null, doc: text };
}
