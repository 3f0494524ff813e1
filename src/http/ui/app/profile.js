// A profile: the answers to `?format=json` that it is made of, with stacks merged into a tree of functions.
//
// A node is a number; 0 is the root, and a parent's is lower than its children's.

class Nodes {
  constructor() {
    this.size = 1;
    this.room(1 << 12);
  }

  room(count) {
    const grow = (old) => { const all = new Int32Array(count); if (old) all.set(old); return all; };
    this.parent = grow(this.parent);
    this.fn = grow(this.fn);
    this.line = grow(this.line);
    this.depth = grow(this.depth);
    if (this.size === 1) this.fn[0] = -1;
    // Open addressing, half full at most; 0 is free.
    this.slots = new Int32Array(2 * count);
    this.shift = 32 - Math.log2(2 * count);
    for (let node = 1; node < this.size; node++) this.slots[this.slot(this.parent[node], this.fn[node])] = node;
  }

  slot(parent, fn) {
    let at = Math.imul(Math.imul(parent, 0x9e3779b1) + fn, 0x85ebca6b) >>> this.shift;
    for (;;) {
      const node = this.slots[at];
      if (node === 0 || (this.parent[node] === parent && this.fn[node] === fn)) return at;
      at = (at + 1) & (this.slots.length - 1);
    }
  }

  child(parent, fn, line) {
    const at = this.slot(parent, fn), known = this.slots[at];
    if (known) {
      // Called from several lines: none is shown.
      if (this.line[known] !== line) this.line[known] = 0;
      return known;
    }
    const node = this.size++;
    this.slots[at] = node;
    this.parent[node] = parent;
    this.fn[node] = fn;
    this.line[node] = line;
    this.depth[node] = this.depth[parent] + 1;
    if (this.size === this.parent.length) this.room(2 * this.size);
    return node;
  }
}

class Profile {
  // `parts`: [answer, sign]; what is to be taken off has the sign −1. `split`: a label whose values become the first frames.
  constructor(parts, split, isGrowth) {
    const now = parts[0][0];
    this.types = now.sample_types;
    this.opensOn = Math.max(0, this.types.findIndex(([name]) => name === now.default_sample_type));
    this.comments = now.comments;
    this.isGrowth = isGrowth;
    this.names = [];
    this.files = [];
    this.nodes = new Nodes();
    this.labels = new Set();
    const known = new Map();
    const number = (name, file) => {
      const key = name + "\0" + file;
      if (!known.has(key)) { known.set(key, this.names.length); this.names.push(name); this.files.push(file); }
      return known.get(key);
    };
    const count = parts.reduce((sum, [answer]) => sum + answer.samples.length, 0);
    this.leaves = new Int32Array(count);
    this.values = this.types.map(() => new Float64Array(count));
    let nth = 0;
    for (const [answer, sign] of parts) {
      const text = answer.strings;
      const functions = answer.functions.map(([name, file]) => number(text[name], text[file]));
      for (const [frames, values, texts = [], numbers = []] of answer.samples) {
        let node = 0, group;
        for (let at = 0; at < texts.length; at += 2) {
          this.labels.add(text[texts[at]]);
          if (text[texts[at]] === split) group = text[texts[at + 1]];
        }
        for (let at = 0; at < numbers.length; at += 2) {
          this.labels.add(text[numbers[at]]);
          if (text[numbers[at]] === split) group = quantity(numbers[at + 1], split);
        }
        if (split) node = this.nodes.child(0, number(`[${split}: ${group === undefined ? "none" : group}]`, ""), 0);
        for (let at = frames.length - 1; at >= 0; at--) {
          const pairs = answer.frames[frames[at]];
          for (let pair = pairs.length - 2; pair >= 0; pair -= 2) node = this.nodes.child(node, functions[pairs[pair]], pairs[pair + 1]);
        }
        this.leaves[nth] = node;
        for (let type = 0; type < values.length; type++) this.values[type][nth] = sign * values[type];
        nth += 1;
      }
    }
  }
}
