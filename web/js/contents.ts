/** Recognises by its first bytes what servers send in place of a model's file. */

/** Bytes that the check needs. */
export const START_BYTES = 64;

/** The largest file that is read as a whole; the core's bound on `tokenizer.json`. */
const SMALL_BYTES = 64 << 20;

/** What a file that begins with these bytes is instead of the one that its name says; `undefined`: nothing is wrong. */
export function impostor(file: string, start: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(start.subarray(0, START_BYTES)).trimStart().toLowerCase();
  if (/^<(!doctype html|html|head|body)\b/.test(text)) return 'an HTML page';
  if (/^<(\?xml|!doctype|error)\b/.test(text)) return 'an XML document';
  if (text.startsWith('version https://git-lfs')) return 'a Git LFS pointer';
  if (file.endsWith('.json') && text[0] !== '{') return 'not a JSON object';
  // The length of the header in eight bytes, then the header.
  const header = start[8] === 0x7b && start.subarray(4, 8).every((byte) => byte === 0);
  if (file.endsWith('.safetensors') && !header) return 'not a safetensors file';
  return undefined;
}

/** The most bytes that a file may have. Weights are streamed, and the core checks their length. */
export function mostBytes(file: string): number {
  return file.endsWith('.safetensors') ? Infinity : SMALL_BYTES;
}
