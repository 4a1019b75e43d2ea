// The front page's picture becomes the playground, as soon as that runs. On a phone, and where data
// are to be saved, a button asks first. Where files are not served, the picture stays.

const picture = document.querySelector("img.playground");
const address = new URL("playground/index.html?embed", location.href);
const root = document.documentElement;

function useTheme() { // the playground's is that of this page
  try { localStorage.setItem("layerkit-theme", root.dataset.theme); } catch { /* no storage */ }
}

function start(started = () => {}) {
  useTheme();
  const frame = document.createElement("iframe");
  Object.assign(frame, { src: address, className: "playground", title: "A network that learns while you look" });
  frame.style.cssText = "position: fixed; left: 0; top: 0; visibility: hidden"; // so that the page gets no wider
  picture.after(frame);
  const waiting = setInterval(() => {
    if (!frame.contentDocument || !("ready" in frame.contentDocument.documentElement.dataset)) return;
    clearInterval(waiting);
    picture.remove();
    started();
    frame.removeAttribute("style");
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) frame.contentWindow.layerkit.play();
  }, 200);
  new MutationObserver(useTheme).observe(root, { attributeFilter: ["data-theme"] });
}

function offer() {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "sd-btn sd-btn-outline-primary", textContent: "Run it here (15 MB)" });
  button.addEventListener("click", () => {
    Object.assign(button, { disabled: true, textContent: "Loading Python …" });
    start(() => button.remove());
  });
  picture.after(button);
}

if (picture && location.protocol !== "file:") {
  if (matchMedia("(max-width: 50rem)").matches || navigator.connection?.saveData) offer();
  else start();
}
