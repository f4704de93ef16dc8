// Values and structs of C in the memory of a 32-bit WebAssembly module, laid out by the rules of its compiler: a field
// lies at the next multiple of its alignment, and a struct is as large as a multiple of its own.
//
// A kind is {size, alignment, read, write}. `memory` is a Memory of library.js; addresses are numbers.

const number = (size, get, set) => ({
  size,
  alignment: size,
  read: (memory, at) => memory.view[get](at, true),
  write: (memory, at, value) => memory.view[set](at, value, true),
});

export const uint8 = number(1, "getUint8", "setUint8");
export const int32 = number(4, "getInt32", "setInt32");
export const uint32 = number(4, "getUint32", "setUint32");
export const float64 = number(8, "getFloat64", "setFloat64");
export const pointer = uint32;
export const size = uint32;

const big = (get, set) => ({
  size: 8,
  alignment: 8,
  read: (memory, at) => Number(memory.view[get](at, true)),
  write: (memory, at, value) => memory.view[set](at, BigInt(value), true),
});

// As JavaScript's numbers: all that the library gives here are below 2^53, but for seeds, which no page needs.
export const int64 = big("getBigInt64", "setBigInt64");
export const uint64 = big("getBigUint64", "setBigUint64");

// A pointer to a text that ends with a zero; "" for NULL.
export const text = { ...pointer, read: (memory, at) => memory.text(pointer.read(memory, at)) };

// A text in place, of `count` bytes at most.
export const characters = (count) => ({
  size: count,
  alignment: 1,
  read: (memory, at) => memory.text(at),
});

export const array = (kind, count) => ({
  size: kind.size * count,
  alignment: kind.alignment,
  read: (memory, at) => Array.from({ length: count }, (_, i) => kind.read(memory, at + i * kind.size)),
});

const roundedUp = (value, multiple) => Math.ceil(value / multiple) * multiple;

// fields: kinds by name, in the header's order. Writing fills in those that are given, with 0 in all others, and the
// size in `struct_size`.
export function struct(fields) {
  const places = [];
  let end = 0;
  let alignment = 1;
  for (const [name, kind] of Object.entries(fields)) {
    const offset = roundedUp(end, kind.alignment);
    places.push({ name, kind, offset });
    end = offset + kind.size;
    alignment = Math.max(alignment, kind.alignment);
  }
  const total = roundedUp(end, alignment);
  return {
    size: total,
    alignment,
    read: (memory, at) =>
      Object.fromEntries(places.map(({ name, kind, offset }) => [name, kind.read(memory, at + offset)])),
    write(memory, at, values = {}) {
      memory.bytes(at, total).fill(0);
      for (const { name, kind, offset } of places) {
        const value = name === "struct_size" ? total : values[name];
        if (value !== undefined) kind.write(memory, at + offset, value);
      }
    },
  };
}

// The things of one kind that follow each other from `at` on.
export const sequence = (kind, memory, at, count) => array(kind, count).read(memory, at);

// The structs that `count` pointers from `at` on lead to.
export const pointed = (kind, memory, at, count) =>
  sequence(pointer, memory, at, count).map((address) => kind.read(memory, address));
