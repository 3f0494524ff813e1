// One sample type of a profile: what each node, and each function, comes to.

class Tree {
  constructor(profile, type) {
    const { nodes, leaves } = profile, values = profile.values[type], count = nodes.size;
    this.profile = profile;
    [this.type, this.unit] = profile.types[type];
    this.nodes = nodes;
    const net = new Float64Array(count);
    for (let nth = 0; nth < leaves.length; nth++) net[leaves[nth]] += values[nth];
    // By what is on its own stack alone; `net` is growth less shrinkage, `width` both, which is what boxes are as wide as.
    this.self = net.slice();
    const { parent, depth } = nodes, width = net.some((value) => value < 0) ? net.map(Math.abs) : net;
    for (let node = count - 1; node > 0; node--) {
      net[parent[node]] += net[node];
      if (width !== net) width[parent[node]] += width[node];
    }
    this.net = net;
    this.width = width;
    this.signed = profile.isGrowth || width[0] !== net[0];
    // Children of each node, the widest first, one list after the other.
    this.start = new Int32Array(count + 1);
    this.children = new Int32Array(count);
    const { start, children } = this;
    for (let node = 1; node < count; node++) if (width[node]) start[parent[node] + 1] += 1;
    for (let node = 0; node < count; node++) start[node + 1] += start[node];
    const next = start.slice();
    this.deepest = 0;
    for (let node = 1; node < count; node++) {
      if (!width[node]) continue;
      children[next[parent[node]]++] = node;
      if (depth[node] > this.deepest) this.deepest = depth[node];
    }
    for (let node = 0; node < count; node++) {
      const from = start[node], to = start[node + 1];
      if (to - from > 1) children.subarray(from, to).sort((a, b) => width[b] - width[a] || nodes.fn[a] - nodes.fn[b]);
    }
  }

  name(node) { return node === 0 ? "all" : this.profile.names[this.nodes.fn[node]]; }

  // Made once for each function: boxes ask at each frame.
  short(node) {
    const fn = this.nodes.fn[node], { names, shorts } = this.profile;
    return node === 0 ? "all" : shorts[fn] || (shorts[fn] = short(names[fn]));
  }

  place(node) { return node === 0 ? "" : place(this.profile.files[this.nodes.fn[node]], this.nodes.line[node]); }

  shown(value) { return quantity(value, this.unit, this.signed); }

  // Where a node's box begins, in the values' unit.
  left(node) {
    let x = 0;
    for (; node > 0; node = this.nodes.parent[node]) {
      for (let at = this.start[this.nodes.parent[node]]; this.children[at] !== node; at++) x += this.width[this.children[at]];
    }
    return x;
  }

  path(node) {
    const path = [node];
    while (node > 0) path.unshift(node = this.nodes.parent[node]);
    return path;
  }

  // What stands below `root`: each function's own (flat), and all that it is on the stack of (cum), recursion once.
  functions(root) {
    const { fn, parent } = this.nodes, count = this.profile.names.length;
    const flat = new Float64Array(count), cum = new Float64Array(count), seen = new Uint8Array(count);
    const visit = [root];
    while (visit.length) {
      const node = visit.pop();
      if (node < 0) { seen[fn[-node]] = 0; continue; }
      if (node > 0) {
        flat[fn[node]] += this.self[node];
        if (!seen[fn[node]]) { seen[fn[node]] = 1; cum[fn[node]] += this.net[node]; visit.push(-node); }
      }
      for (let at = this.start[node]; at < this.start[node + 1]; at++) visit.push(this.children[at]);
    }
    // Below a zoomed box stands what calls it, too.
    for (let node = parent[root]; node > 0; node = parent[node]) cum[fn[node]] = this.net[root];
    return { flat, cum };
  }

  // Who calls a function and whom it calls. Of recursion the outermost call counts for callers, the innermost for callees.
  around(wanted) {
    const { fn, parent, size } = this.nodes, callers = new Map(), callees = new Map();
    const callee = new Int32Array(size).fill(-2); // −2 outside, −1 in itself
    let flat = 0, cum = 0;
    const add = (map, key, value) => { if (value) map.set(key, (map.get(key) || 0) + value); };
    for (let node = 1; node < size; node++) {
      const above = callee[parent[node]];
      if (fn[node] === wanted) {
        callee[node] = -1;
        flat += this.self[node];
        if (above === -2) { cum += this.net[node]; add(callers, fn[parent[node]], this.net[node]); }
      } else {
        callee[node] = above === -1 ? fn[node] : above;
        if (above !== -2) add(callees, callee[node], this.self[node]);
      }
    }
    const sorted = (map) => [...map].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    return { flat, cum, callers: sorted(callers), callees: sorted(callees) };
  }

  // The boxes that match, and what they come to: below a match nothing is counted again.
  search(text) {
    if (!text) return null;
    const needle = text.toLowerCase(), { fn, parent, size } = this.nodes;
    const hit = this.profile.names.map((name, at) => name.toLowerCase().includes(needle) || this.profile.files[at].toLowerCase().includes(needle));
    const inside = new Uint8Array(size);
    let total = 0;
    for (let node = 1; node < size; node++) {
      inside[node] = inside[parent[node]];
      if (hit[fn[node]] && !inside[node]) { inside[node] = 1; total += this.net[node]; }
    }
    return { hit, total, functions: hit.filter(Boolean).length };
  }
}
