/** What the page may do: run its own modules and wasm, and ask for its own files and those of the hub that the model comes from. */

/** The hub, and where it redirects the large files to. */
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

/** The same with what counts in a header alone. */
export const headers = {
  'Content-Security-Policy': `${policy}; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Permissions-Policy': 'microphone=(self), camera=(), geolocation=()',
  'Cross-Origin-Opener-Policy': 'same-origin',
};
