/** The page's Content-Security-Policy: run its own modules and wasm, request its own files and those of the hub. */

/** The hub, and the hosts to which it redirects large files. */
const HUB = ['https://huggingface.co', 'https://*.huggingface.co', 'https://*.hf.co'];

export const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  `connect-src 'self' ${HUB.join(' ')}`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** The same, with directives that work only in a header. */
export const headers = {
  'Content-Security-Policy': `${policy}; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Permissions-Policy': 'microphone=(self), camera=(), geolocation=()',
  'Cross-Origin-Opener-Policy': 'same-origin',
};
