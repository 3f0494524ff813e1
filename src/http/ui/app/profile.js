// A profile: the answers to `?format=json` that it is made of, with stacks merged into a tree of functions.
//
// A node is a number; 0 is the root, and a parent's is lower than its children's. Stacks are sorted, so that each has what it
// shares with others in common with the one before it: a table of nodes would be looked up a million times.

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
    this.shorts = [];
    this.labels = new Set();
    const known = new Map();
    const number = (name, file) => {
      const key = name + "\0" + file;
      if (!known.has(key)) { known.set(key, this.names.length); this.names.push(name); this.files.push(file); }
      return known.get(key);
    };
    // Functions and lines of all stacks, the root first, and where each begins.
    const samples = parts.reduce((sum, [answer]) => sum + answer.samples.length, 0);
    let room = samples;
    for (const [answer] of parts) for (const [frames] of answer.samples) for (const frame of frames) room += answer.frames[frame].length / 2;
    const functions = new Int32Array(room), lines = new Int32Array(room), begins = new Int32Array(samples + 1);
    this.values = this.types.map(() => new Float64Array(samples));
    let nth = 0, end = 0;
    for (const [answer, sign] of parts) {
      const text = answer.strings;
      const numbers = answer.functions.map(([name, file]) => number(text[name], text[file]));
      for (const [frames, values, texts = [], counts = []] of answer.samples) {
        if (split) functions[end++] = number(`[${split}: ${this.label(answer, split, texts, counts)}]`, "");
        else this.label(answer, split, texts, counts);
        for (let at = frames.length - 1; at >= 0; at--) {
          const pairs = answer.frames[frames[at]];
          for (let pair = pairs.length - 2; pair >= 0; pair -= 2) {
            functions[end] = numbers[pairs[pair]];
            lines[end++] = pairs[pair + 1];
          }
        }
        for (let type = 0; type < values.length; type++) this.values[type][nth] = sign * values[type];
        begins[++nth] = end;
      }
    }
    this.grow(functions, lines, begins);
  }

  // Notes which labels there are, and returns the value of one.
  label(answer, wanted, texts, counts) {
    const text = answer.strings;
    let value = "none";
    for (let at = 0; at < texts.length; at += 2) {
      this.labels.add(text[texts[at]]);
      if (text[texts[at]] === wanted) value = text[texts[at + 1]];
    }
    for (let at = 0; at < counts.length; at += 2) {
      this.labels.add(text[counts[at]]);
      if (text[counts[at]] === wanted) value = quantity(counts[at + 1], wanted);
    }
    return value;
  }

  grow(functions, lines, begins) {
    const samples = begins.length - 1, most = functions.length + 1;
    const nodes = this.nodes = { size: 1, fn: new Int32Array(most), parent: new Int32Array(most), line: new Int32Array(most), depth: new Int32Array(most) };
    nodes.fn[0] = -1;
    const order = Int32Array.from({ length: samples }, (_, nth) => nth).sort((a, b) => {
      let x = begins[a], y = begins[b];
      while (x < begins[a + 1] && y < begins[b + 1] && functions[x] === functions[y]) { x += 1; y += 1; }
      return (x < begins[a + 1] ? functions[x] : -1) - (y < begins[b + 1] ? functions[y] : -1);
    });
    this.leaves = new Int32Array(samples);
    // The nodes of the stack before, below the root.
    const path = [];
    for (const nth of order) {
      let at = begins[nth], depth = 0;
      for (; at < begins[nth + 1] && depth < path.length && nodes.fn[path[depth]] === functions[at]; at++, depth++) {
        // Called from several lines: none is shown.
        if (nodes.line[path[depth]] !== lines[at]) nodes.line[path[depth]] = 0;
      }
      path.length = depth;
      for (; at < begins[nth + 1]; at++) {
        const node = nodes.size++;
        nodes.fn[node] = functions[at];
        nodes.line[node] = lines[at];
        nodes.parent[node] = depth ? path[depth - 1] : 0;
        nodes.depth[node] = ++depth;
        path.push(node);
      }
      this.leaves[nth] = depth ? path[depth - 1] : 0;
    }
  }
}
