// A file server with injectable faults.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const TYPES = { html: 'text/html', js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm', json: 'application/json', css: 'text/css' };

/**
 * Serves `files`, a path's bytes or a function from path to bytes. `faults` may be changed at any time: `cutAfter` (bytes of the next
 * response, once), `status` (statuses of the next responses), `noRanges`, `noEtag`, `noLength`, `hubLike` (the ETag is a SHA-256), `linked`
 * (the hub's own header), `down`, `silent` (no answer), `empty` (headers only), `noHead`, `body` and `headers` (sent instead), `as` (the status sent with a body). `hurt` selects the
 * affected paths. The files of the result can be replaced; they come before those of a function.
 */
export async function serve(files) {
  const faults = { hurt: () => true };
  const given = typeof files === 'function' ? files : () => undefined;
  if (typeof files === 'function') files = {};
  const requests = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const { range, 'if-range': ifRange } = request.headers;
    requests.push({ path: pathname, range, ifRange, method: request.method });
    const { down, noEtag, noRanges, noLength, linked, hubLike, cutAfter, noHead, headers: more, body: other } = faults.hurt(pathname) ? faults : {};
    if (faults.silent) return;
    if (down) return void request.socket.destroy();
    const status = faults.hurt(pathname) ? faults.status?.shift() : undefined;
    if (status) return void response.writeHead(status).end();
    if (noHead && request.method === 'HEAD') return void response.writeHead(405).end();
    const bytes = other ?? files[pathname] ?? given(pathname);
    if (!bytes) return void response.writeHead(404).end();
    const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, hubLike ? 64 : 20)}"`;
    const extension = pathname.endsWith('/') ? 'html' : pathname.split('.').pop();
    const headers = { 'content-type': TYPES[extension] ?? 'application/octet-stream', ...(noEtag ? {} : { etag }) };
    if (linked) headers['x-linked-etag'] = linked;
    let start = 0;
    const wanted = /^bytes=(\d+)-$/.exec(range ?? '');
    if (wanted && !noRanges && (ifRange === undefined || ifRange === etag)) {
      start = Number(wanted[1]);
      if (start >= bytes.length) return void response.writeHead(416).end();
      headers['content-range'] = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
    }
    const body = bytes.subarray(start);
    if (!noLength) headers['content-length'] = body.length;
    Object.assign(headers, more);
    response.writeHead(faults.hurt(pathname) && faults.as ? faults.as : headers['content-range'] ? 206 : 200, headers);
    if (faults.empty) return void (response.flushHeaders(), setTimeout(() => response.destroy(), 5));
    if (cutAfter === undefined || request.method === 'HEAD') return void response.end(body);
    delete faults.cutAfter;
    response.write(body.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 500));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const root = `http://127.0.0.1:${server.address().port}`;
  const close = () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve)));
  return { root, files, faults, requests, close };
}
