// The subset of the private file system that the package uses. `control.operationsLeft` is the number of changes before a
// crash, `control.room` the maximum size of a file.

export function fakeFolder() {
  const control = { operationsLeft: Infinity, room: Infinity };
  const change = () => {
    if (control.operationsLeft-- <= 0) throw new DOMException('crashed', 'AbortError');
  };
  const absent = () => new DOMException('not there', 'NotFoundError');

  class FileHandle {
    content = new Uint8Array();
    async getFile() {
      return new Blob([this.content]);
    }
    async createWritable() {
      let pending = new Uint8Array();
      return {
        write: async (bytes) => {
          if (bytes.length > control.room) throw new DOMException('full', 'QuotaExceededError');
          pending = bytes.slice();
        },
        close: async () => {
          change();
          this.content = pending;
        },
        abort: async () => {},
      };
    }
  }

  class DirectoryHandle {
    entries = new Map();
    async #get(name, { create = false } = {}, Kind) {
      if (/[/\\]|^\.\.?$|^$/.test(name)) throw new TypeError(`${name} is not a valid name`);
      let entry = this.entries.get(name);
      if (entry && !(entry instanceof Kind)) throw new DOMException('of another kind', 'TypeMismatchError');
      if (!entry) {
        if (!create) throw absent();
        change();
        this.entries.set(name, (entry = new Kind()));
      }
      return entry;
    }
    getDirectoryHandle(name, options) {
      return this.#get(name, options, DirectoryHandle);
    }
    getFileHandle(name, options) {
      return this.#get(name, options, FileHandle);
    }
    async removeEntry(name) {
      if (!this.entries.has(name)) throw absent();
      change();
      this.entries.delete(name);
    }
    async *keys() {
      yield* this.entries.keys();
    }
  }

  const root = new DirectoryHandle();
  function* files(folder = root, path = '') {
    for (const [name, entry] of folder.entries) {
      if (entry instanceof DirectoryHandle) yield* files(entry, `${path}/${name}`);
      else yield [`${path}/${name}`, entry.content];
    }
  }
  return { root, control, files };
}
