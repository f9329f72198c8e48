// The part of a Cache that the package uses, in a map; `room` is how many bytes it takes.

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
