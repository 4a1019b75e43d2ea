// layerkit in the browser: Python by Pyodide, in a thread of its own.
// {start: {python: address of Pyodide, code: address of the package's archive}} starts it;
// {id, message} is then answered by {id, reply}. Meanwhile there may be {progress: "a sentence"}.

const PACKAGES = ["numpy", "narwhals", "safetensors", "threadpoolctl", "tomli-w", "tqdm"];
const BYTES = 18e6; // of Pyodide, these packages and layerkit: what 100% are

let python = null; // a promise

function count(body, counted) {
  const reader = body.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) return controller.close();
      counted(value.length);
      controller.enqueue(value);
    },
  });
}

// While Python is loaded, all that is fetched is counted.
async function counting(load) {
  const plain = self.fetch;
  let bytes = 0, told = -1, loading = true;
  self.fetch = async (...request) => {
    const response = await plain(...request);
    if (!response.ok || !response.body) return response;
    return new Response(count(response.body, more => {
      bytes += more;
      const percent = Math.min(99, Math.floor(100 * bytes / BYTES));
      if (loading && percent > told) self.postMessage({ progress: `Loading Python: ${told = percent} %` });
    }), response);
  };
  try {
    return await load();
  } finally {
    self.fetch = plain;
    loading = false; // what is still on its way has nothing to tell
  }
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
  return response;
}

async function start({ python: base, code }) {
  const archive = fetched(code).then(response => response.arrayBuffer());
  const [{ loadPyodide }, { packages: known }] = await Promise.all([
    import(new URL("pyodide.mjs", base)),
    fetched(new URL("pyodide-lock.json", base)).then(response => response.json()),
  ]);
  const packages = PACKAGES.filter(name => name in known);
  const pyodide = await loadPyodide({ indexURL: base, packages });
  self.postMessage({ progress: "Starting layerkit" });
  pyodide.unpackArchive(await archive, "zip", { extractDir: "/layerkit" });
  const answer = pyodide.runPython(`
import sys
sys.path.insert(0, "/layerkit")
from layerkit.play.browser import answer
answer`);
  const homes = {}; // the package that has a module
  for (const [name, { imports }] of Object.entries(known)) {
    for (const module of imports) homes[module] ??= name;
  }
  return { pyodide, answer, homes };
}

// What a message needs beyond PACKAGES, such as scikit-learn, is loaded when it is first missed.
// Of a block for the notebook, what has run by then does not run again.
async function answered({ pyodide, answer, homes }, message) {
  let output = "";
  for (let missed = null; ;) {
    const reply = JSON.parse(answer(JSON.stringify(message)));
    output += reply.output ?? "";
    const home = homes[reply.missing?.split(".")[0]];
    if (!home || home === missed) return "output" in reply ? { ...reply, output } : reply;
    self.postMessage({ progress: `Loading ${home}` });
    await pyodide.loadPackage(missed = home, { messageCallback() {} });
    if (reply.rest) message = { ...message, source: reply.rest };
  }
}

self.onmessage = async ({ data: { start: addresses, id, message } }) => {
  if (addresses) {
    python = counting(() => start(addresses)).catch(error => {
      throw new Error(`Python can't be loaded from ${addresses.python}: ${error.message}. The first time, it needs the network; layerkit play, on your own machine, needs none.`);
    });
  }
  try {
    const loaded = await python;
    self.postMessage(addresses ? { ready: true } : { id, reply: await answered(loaded, message) });
  } catch (error) {
    self.postMessage(addresses ? { failure: error.message } : { id, reply: { error: error.message } });
  }
};
