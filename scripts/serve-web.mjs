/**
* Serves www/dist as a production host should: media types, Content-Security-Policy, ETag, byte ranges.
 *
 *     node scripts/serve-web.mjs [--port 8080] [--host 127.0.0.1] [--root www/dist] [--base [NAME=]DIR]...
 *
 * --base offers a Hugging Face directory (config.json, tokenizer.json, model.safetensors) as models/NAME/, so that the page
 * needs no other server. Port 0 selects a free port. The address is printed.
 */
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, dirname, extname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { headers } from '../www/csp.mjs';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.ts': 'text/plain; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
};
const MODEL_FILES = ['config.json', 'tokenizer.json', 'vocab.txt', 'vocab.json', 'merges.txt', 'sentencepiece.bpe.model', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json', 'model.safetensors.index.json', 'adapter_config.json'];
/** Also weights, in one file or in several. */
const isOfModel = (file) => MODEL_FILES.includes(file) || /^[\w-][\w.-]*\.safetensors$/.test(file);

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8080' },
    host: { type: 'string', default: '127.0.0.1' },
    root: { type: 'string', default: join(dirname(dirname(fileURLToPath(import.meta.url))), 'www', 'dist') },
    base: { type: 'string', multiple: true, default: [] },
  },
});
const root = resolve(values.root);
if (!stat(join(root, 'index.html'))) fail(`${root} has no index.html: build the page with scripts/build-web.sh`);

/** Folders served under models/, by name: those of the page, and those of --base. */
const own = join(root, 'models');
const folders = stat(own) ? readdirSync(own, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name) : [];
const models = new Map([...folders.map((name) => [name, join(own, name)]), ...values.base.map(named)]);

function named(given) {
  const at = given.indexOf('=');
  const folder = resolve(at < 0 ? given : given.slice(at + 1));
  const name = at < 0 ? basename(folder) : given.slice(0, at);
  if (!/^[\w.-]+$/.test(name)) fail(`--base ${given}: ${JSON.stringify(name)} is not a valid name; use letters, digits, dots and dashes`);
  if (!stat(join(folder, 'config.json'))) fail(`--base ${given}: no config.json found`);
  return [name, folder];
}

function stat(path) {
  return statSync(path, { throwIfNoEntry: false });
}

function fail(message) {
  console.error(`serve-web: ${message}`);
  process.exit(2);
}

function listing() {
  const entry = ([name, folder]) => {
    const files = readdirSync(folder).filter(isOfModel);
    return { name, files: Object.fromEntries(files.map((file) => [file, stat(join(folder, file)).size])) };
  };
  return Buffer.from(JSON.stringify([...models].map(entry)));
}

/** The file at a path, if it exists. */
function locate(pathname) {
  const parts = pathname.split('/').filter(Boolean);
  const model = parts[0] === 'models' ? models.get(parts[1]) : undefined;
  if (model) return parts.length === 3 && isOfModel(parts[2]) ? join(model, parts[2]) : undefined;
  const path = join(root, ...parts);
  if (path !== root && !path.startsWith(root + sep)) return undefined;
  return stat(path)?.isDirectory() ? join(path, 'index.html') : path;
}

/** First and last requested byte; `undefined` for the whole file, `null` for an invalid range. */
function range(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const first = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const last = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  return first > last || first >= size ? null : [first, last];
}

function answer(request, response) {
  const send = (status, extra = {}, body = '') => {
    response.writeHead(status, { ...headers, 'Cache-Control': 'no-cache', ...extra });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, { Allow: 'GET, HEAD' });
  let pathname;
  try {
    pathname = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
  } catch {
    return send(400);
  }
  if (pathname === '/models/index.json') {
    const body = listing();
    return send(200, { 'Content-Type': TYPES['.json'], 'Content-Length': body.length }, body);
  }
  const path = pathname.includes('\0') ? undefined : locate(pathname);
  const found = path && stat(path);
  if (!found?.isFile()) return send(404, { 'Content-Type': TYPES['.txt'] }, 'not found\n');

  const etag = `"${found.size.toString(36)}-${Math.round(found.mtimeMs).toString(36)}"`;
  const extra = { ETag: etag, 'Last-Modified': found.mtime.toUTCString(), 'Accept-Ranges': 'bytes' };
  const known = request.headers['if-none-match']?.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (known?.some((tag) => tag === etag || tag === '*')) return send(304, extra);
  extra['Content-Type'] = TYPES[extname(path)] ?? 'application/octet-stream';

  const same = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
  const part = same ? range(request.headers.range, found.size) : undefined;
  if (part === null) return send(416, { 'Content-Range': `bytes */${found.size}` });
  const [first, last] = part ?? [0, found.size - 1];
  extra['Content-Length'] = last - first + 1;
  if (part) extra['Content-Range'] = `bytes ${first}-${last}/${found.size}`;
  if (request.method === 'HEAD' || found.size === 0) return send(part ? 206 : 200, extra);
  response.writeHead(part ? 206 : 200, { ...headers, 'Cache-Control': 'no-cache', ...extra });
  const stream = createReadStream(path, { start: first, end: last });
  stream.on('error', () => response.destroy());
  response.on('close', () => stream.destroy());
  stream.pipe(response);
}

const server = createServer(answer);
server.on('error', (error) => fail(error.message));
server.listen(Number(values.port), values.host, () => {
  const { address, port } = server.address();
  const host = address === '127.0.0.1' ? 'localhost' : address.includes(':') ? `[${address}]` : address;
  console.log(`http://${host}:${port}/`);
  for (const [name, folder] of models) console.error(`models/${name}/ is ${folder}`);
});
