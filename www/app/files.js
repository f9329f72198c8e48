/** Downloads, and zip archives without compression. */

import { el } from './dom.js';

/** @param {Blob} blob @param {string} name */
export function saveBlob(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = el('a', { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  // Revoke the URL only after the download has started.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A valid file name. @param {string} name */
export function fileName(name) {
  return name.trim().toLowerCase().replace(/[^\w-]+/g, '-') || 'adapter';
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * A zip archive (PKWARE's APPNOTE 6.3.10, method 0) of files below 4 GB in total. All dates are 1980-01-01, so that equal files give equal archives.
 * @param {[name: string, data: Blob][]} files
 */
export async function zip(files) {
  const encoder = new TextEncoder();
  /** @type {BlobPart[]} */
  const body = [];
  /** @type {BlobPart[]} */
  const directory = [];
  let offset = 0;
  let directoryBytes = 0;
  for (const [path, data] of files) {
    const name = encoder.encode(path);
    const bytes = new Uint8Array(await data.arrayBuffer());
    // Version 2.0, names in UTF-8, stored, date, CRC, size twice, length of the name, no extra field.
    const common = new DataView(new ArrayBuffer(26));
    const fields = /** @type {[number, number, 2 | 4][]} */ ([[0, 20, 2], [2, 0x800, 2], [4, 0, 2], [6, 0, 2], [8, 33, 2], [10, crc32(bytes), 4], [14, bytes.length, 4], [18, bytes.length, 4], [22, name.length, 2], [24, 0, 2]]);
    for (const [at, value, width] of fields) width === 2 ? common.setUint16(at, value, true) : common.setUint32(at, value, true);
    const tail = new DataView(new ArrayBuffer(14));
    tail.setUint32(10, offset, true);
    body.push(signature(0x04034b50), common, name, bytes);
    directory.push(signature(0x02014b50), Uint8Array.of(20, 0), common, tail, name);
    offset += 30 + name.length + bytes.length;
    directoryBytes += 46 + name.length;
  }
  const end = new DataView(new ArrayBuffer(18));
  end.setUint16(4, files.length, true);
  end.setUint16(6, files.length, true);
  end.setUint32(8, directoryBytes, true);
  end.setUint32(12, offset, true);
  return new Blob([...body, ...directory, signature(0x06054b50), end], { type: 'application/zip' });
}

/** @param {number} value */
function signature(value) {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return view;
}
