// The one way to the engine: `send(message)` gives a promise of the reply, whichever engine it is.
// A refused message rejects with a Refusal: its message is layerkit's sentence.

export class Refusal extends Error {
  constructor(reply) {
    super(reply.error);
    this.where = reply.where ?? null;
  }
}

const TYPES = { float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int32: Int32Array };

function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const found = atob(text), to = new Uint8Array(found.length);
  for (let i = 0; i < found.length; i++) to[i] = found.charCodeAt(i);
  return to;
}

// An array travels as {shape, dtype, data: base64}; here it becomes {shape, dtype, data: a typed array}.
export function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.data === "string" && Array.isArray(value.shape) && TYPES[value.dtype]) {
    return { ...value, data: new TYPES[value.dtype](bytes(value.data).buffer) };
  }
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, decoded(each)]));
}

class Connection {
  #last = Promise.resolve();
  constructor(engine, ask) {
    this.engine = engine;
    this.ask = ask;
  }

  // Messages are answered in the order in which they were sent.
  send(message) {
    const answer = this.#last.then(() => this.ask(message));
    this.#last = answer.catch(() => null);
    return answer.then(reply => {
      if (reply.error) throw new Refusal(reply);
      return decoded(reply);
    });
  }
}

async function askServer(message, tab) {
  let response;
  try {
    response = await fetch(`message?tab=${tab}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(message) });
  } catch {
    throw new Error("The server of layerkit play does not answer; is it still running?");
  }
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

// A folder that was built for the browser names its Python; every other page comes from `layerkit play`.
export async function connect(told) {
  const { python, code } = document.documentElement.dataset;
  if (python) {
    const { startPython } = await import("./python.js");
    return new Connection("worker", await startPython({ python, code }, told));
  }
  const tab = crypto.randomUUID();
  return new Connection("server", message => askServer(message, tab));
}
