// The subset of Cache that the package uses, as a map; `room` is its capacity in bytes.

export function fakeCache({ room = Infinity } = {}) {
  const entries = new Map();
  const used = () => [...entries.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  return {
    entries,
    async match(key) {
      const bytes = entries.get(key);
      return bytes && new Response(bytes);
    },
    async put(key, response) {
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (used() + bytes.length > room) throw new DOMException('Quota exceeded.', 'QuotaExceededError');
      entries.set(key, bytes);
    },
    async delete(key) {
      return entries.delete(key);
    },
  };
}
