// The front page's picture becomes the playground where its files are served.

const picture = document.querySelector("img.playground");
const address = new URL("playground/index.html", location.href);
const root = document.documentElement;

function follow() { // the playground takes its theme from here
  try { localStorage.setItem("layerkit-theme", root.dataset.theme); } catch { /* no storage */ }
}

async function run() {
  if (location.protocol === "file:" || navigator.connection?.saveData) return;
  if (!(await fetch(address, { method: "HEAD" })).ok) return;
  follow();
  const frame = Object.assign(document.createElement("iframe"), {
    src: `${address}?embed`, className: "playground", title: "A network that learns while you look",
  });
  picture.replaceWith(frame);
  new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });
}

if (picture) run();
