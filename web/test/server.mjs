// A file server with injectable faults.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const TYPES = { html: 'text/html', js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm', json: 'application/json', css: 'text/css' };

/**
 * Serves `files`, a path's bytes or a function from path to bytes. `faults` may be changed at any time: `cutAfter` (bytes of the next
 * response, once), `status` (statuses of the next responses), `noRanges`, `noEtag`, `noLength`, `hubLike` (the ETag is a SHA-256), `linked`
 * (the hub's own header), `down`. `hurt` selects the affected paths.
 */
export async function serve(files) {
  const faults = { hurt: () => true };
  const requests = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const { range, 'if-range': ifRange } = request.headers;
    requests.push({ path: pathname, range, ifRange });
    const { down, noEtag, noRanges, noLength, linked, hubLike, cutAfter } = faults.hurt(pathname) ? faults : {};
    if (down) return void request.socket.destroy();
    const status = faults.hurt(pathname) ? faults.status?.shift() : undefined;
    if (status) return void response.writeHead(status).end();
    const bytes = typeof files === 'function' ? files(pathname) : files[pathname];
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
    response.writeHead(headers['content-range'] ? 206 : 200, headers);
    if (cutAfter === undefined || request.method === 'HEAD') return void response.end(body);
    delete faults.cutAfter;
    response.write(body.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 500));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const root = `http://127.0.0.1:${server.address().port}`;
  const close = () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve)));
  return { root, files, faults, requests, close };
}
