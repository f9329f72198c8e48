/** Service worker: makes the page available offline. It tries the network first; the package caches models separately. */

const VERSION = '@VERSION@';
const FILES = ['@FILES@'];
/** Files that most visitors do not need: stored when the page requests them. */
const LATER = /\/lorb\/wasm\/lorb_tokenizer/;
const NAME = `lorb-page-${VERSION}`;

self.addEventListener('install', (event) => {
  const keepAll = async () => {
    const cache = await caches.open(NAME);
    await cache.addAll(FILES);
    await self.skipWaiting();
  };
  event.waitUntil(keepAll());
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

/**
 * Stores a response. Without room for it, the page only needs the network again.
 * @param {Request} request
 * @param {Response} response
 */
async function keep(request, response) {
  try {
    await (await caches.open(NAME)).put(request, response);
  } catch {
    // As above.
  }
}

/** @param {Request} request */
async function answer(request) {
  try {
    const response = await fetch(request);
    if (response.ok && LATER.test(request.url)) void keep(request, response.clone());
    return response;
  } catch (error) {
    const kept = await (await caches.open(NAME)).match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
