/** SHA-256 in hexadecimal digits. */

export async function sha256(bytes: ArrayBuffer): Promise<string> {
  // Pages over plain http have no `crypto.subtle`.
  const { subtle } = globalThis.crypto ?? {};
  const digest = subtle ? new Uint8Array(await subtle.digest('SHA-256', bytes)) : digestOf(new Uint8Array(bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The first 32 bits of the fractional parts of the roots of the first primes. */
function fractions(count: number, power: number): Uint32Array {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return Uint32Array.from(primes, (prime) => (prime ** power % 1) * 2 ** 32);
}

function digestOf(bytes: Uint8Array): Uint8Array {
  const k = fractions(64, 1 / 3);
  const state = fractions(8, 1 / 2);
  // The last one or two blocks: the rest, a one bit, zeros, and the length in bits.
  const whole = bytes.length - (bytes.length % 64);
  const tail = new Uint8Array(bytes.length - whole < 56 ? 64 : 128);
  tail.set(bytes.subarray(whole));
  tail[bytes.length - whole] = 0x80;
  const end = new DataView(tail.buffer);
  end.setUint32(tail.length - 8, bytes.length / 2 ** 29);
  end.setUint32(tail.length - 4, bytes.length << 3);
  const w = new Uint32Array(64);
  for (const part of [bytes.subarray(0, whole), tail]) {
    const view = new DataView(part.buffer, part.byteOffset, part.length);
    for (let at = 0; at < part.length; at += 64) block(view, at, state, w, k);
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, at) => digest.setUint32(4 * at, word));
  return new Uint8Array(digest.buffer);
}

function block(view: DataView, from: number, state: Uint32Array, w: Uint32Array, k: Uint32Array): void {
  const turn = (x: number, by: number) => (x >>> by) | (x << (32 - by));
  for (let i = 0; i < 64; i++) {
    if (i < 16) {
      w[i] = view.getUint32(from + 4 * i);
      continue;
    }
    const [x, y] = [w[i - 15]!, w[i - 2]!];
    w[i] = w[i - 16]! + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + w[i - 7]! + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + k[i]! + w[i]!) | 0;
    const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [a, b, c, d, e, f, g, h] = [(one + two) | 0, a, b, c, (d + one) | 0, e, f, g];
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => (state[at]! += word));
}
