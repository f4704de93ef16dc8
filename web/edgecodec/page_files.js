// The files of a bundle as the WebAssembly module opens them (web/native/page_files.h): in memory, because the module
// cannot wait for a network. A file that is promised but has not come yet has a size and no contents.

export class PageFiles {
  #files = new Map(); // name: {size, bytes or null}
  #open = new Map(); // descriptor: {file, position}
  #next = 1;

  promise(name, size) {
    if (!this.#files.has(name)) this.#files.set(name, { size, bytes: null });
  }

  add(name, bytes) {
    this.#files.set(name, { size: bytes.length, bytes });
  }

  has(name) {
    return this.#files.get(name)?.bytes != null;
  }

  get(name) {
    return this.#files.get(name)?.bytes;
  }

  // Lets go of the contents; of the promised size nothing is forgotten.
  release(name) {
    const file = this.#files.get(name);
    if (file !== undefined) file.bytes = null;
  }

  // What the module imports. memory: a function that gives its Memory.
  imports(memory) {
    return {
      file_open: (name, size) => {
        const file = this.#files.get(new TextDecoder().decode(memory().bytes(name, size)));
        if (file === undefined) return -1;
        this.#open.set(this.#next, { file, position: 0 });
        return this.#next++;
      },
      file_close: (descriptor) => void this.#open.delete(descriptor),
      file_size: (descriptor) => this.#open.get(descriptor).file.size,
      file_read: (descriptor, to, capacity) => {
        const open = this.#open.get(descriptor);
        if (open.file.bytes === null) return -1;
        const part = open.file.bytes.subarray(open.position, open.position + (capacity >>> 0));
        memory().bytes(to, part.length).set(part);
        open.position += part.length;
        return part.length;
      },
    };
  }
}
