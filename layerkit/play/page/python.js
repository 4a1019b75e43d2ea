// layerkit in this page: `startPython` starts the worker, and gives a function that asks it.

// What is loaded once is kept for the next time, which may be without a network. Over http, or where
// nothing can be stored, the browser has no service worker; then only the network serves.
async function keepFiles() {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  try {
    await workers.register(new URL("offline.js", import.meta.url));
  } catch {
    return;
  }
  if (workers.controller) return;
  const begun = new Promise(begun => workers.addEventListener("controllerchange", begun, { once: true }));
  await Promise.race([begun, new Promise(late => setTimeout(late, 2000))]);
}

// `python` is the address of a folder with Pyodide, `code` that of the package's archive;
// `told` is called with sentences about the loading. ask.stop() ends Python, whatever it is doing.
export async function startPython({ python, code }, told) {
  const inside = name => String(new URL(name, document.baseURI));
  if (import.meta.url === inside("python.js")) await keepFiles();
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let last = 0, stopped = false;
  return new Promise((ready, failed) => {
    const ask = message => new Promise(answered => {
      waiting.set(++last, answered);
      if (stopped) ask.stop();
      else worker.postMessage({ id: last, message });
    });
    ask.stop = () => {
      stopped = true;
      worker.terminate();
      for (const answered of waiting.values()) answered({ error: "Stopped" });
    };
    worker.onerror = event => failed(new Error(`Python can't be started: ${event.message}`));
    worker.onmessage = ({ data }) => {
      if (data.progress) told(data.progress);
      else if (data.failure) failed(new Error(data.failure));
      else if (data.ready) ready(ask);
      else {
        waiting.get(data.id)(data.reply);
        waiting.delete(data.id);
      }
    };
    worker.postMessage({ start: { python: inside(python), code: inside(code) } });
  });
}
