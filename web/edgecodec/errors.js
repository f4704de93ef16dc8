// What a page's caller gets where something fails: the library's own words.

// status: a number of ec_status, the same as in C and in Python's `EdgecodecError.code`. where: the file, knob or
// tensor that it happened in, or "" for the coded picture. hint: what to do about it, or "". offset: byte in the data,
// or -1.
export class EdgecodecError extends Error {
  constructor({ status, message, where = "", hint = "", offset = -1 }, options) {
    super(message, options);
    this.name = "EdgecodecError";
    this.status = status;
    this.where = where;
    this.hint = hint;
    this.offset = offset;
  }

  // All of it in one line, for people. of: the caller's name for the coded picture.
  describe(of = "the picture") {
    return `${this.where || of}: ${this.message}.${this.hint ? ` ${this.hint}.` : ""}`;
  }
}
