/** Service worker: makes the page available offline. It tries the network first; the package caches models separately. */

const VERSION = '@VERSION@';
const FILES = ['@FILES@'];
const NAME = `lorb-page-${VERSION}`;

self.addEventListener('install', (event) => {
  const keep = async () => {
    const cache = await caches.open(NAME);
    await cache.addAll(FILES);
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener('activate', (event) => {
  const clear = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith('lorb-page-') && name !== NAME).map((name) => caches.delete(name)));
  };
  event.waitUntil(clear());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const scope = new URL(self.registration.scope);
  if (request.method !== 'GET' || url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return;
  if (request.headers.has('range') || url.pathname.startsWith(`${scope.pathname}models/`)) return;
  event.respondWith(answer(request));
});

/** @param {Request} request */
async function answer(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await (await caches.open(NAME)).match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
