// The service worker of the page where `layerkit play --build` has put it: what was loaded once is
// there without a network, too. The next line is filled in by the build.
const { files: FILES, python: PYTHON, cache: CACHE } = {};

self.addEventListener("install", event => {
  event.waitUntil(caches.open(CACHE).then(cache => cache.addAll(FILES)));
});

self.addEventListener("activate", event => {
  const forget = async () => {
    const old = (await caches.keys()).filter(name => name.startsWith("layerkit ") && name !== CACHE);
    await Promise.all(old.map(name => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(forget());
});

self.addEventListener("fetch", event => {
  const { method, url } = event.request;
  if (method !== "GET" || ![self.registration.scope, PYTHON].some(place => url.startsWith(place))) return;
  const kept = async () => {
    const cache = await caches.open(CACHE);
    const found = await cache.match(event.request, { ignoreSearch: true });
    if (found) return found;
    const response = await fetch(event.request);
    if (response.status === 200) {
      const full = () => {}; // where there is no room, the network serves the next time, too
      event.waitUntil(cache.put(event.request, response.clone()).catch(full));
    }
    return response;
  };
  event.respondWith(kept());
});
