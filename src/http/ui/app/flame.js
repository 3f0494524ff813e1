// The flame graph: boxes on a canvas, the root on top. Only what can be seen is drawn, and what is narrower than half a pixel
// is drawn as one with what stands behind it.

const ROW = 19, NARROW = 0.5, ZOOM_MS = 180;

class Flame {
  constructor(canvas, scroller, spacer, on) {
    Object.assign(this, { canvas, scroller, spacer, on, context: canvas.getContext("2d") });
    this.tree = null;
    this.zoomed = 0;
    this.selected = 0;
    this.hovered = -1;
    this.found = null;
    this.rows = [];
    this.drawn = 0;
    const at = (event) => this.boxAt(event.offsetX, event.offsetY);
    canvas.addEventListener("mousemove", (event) => this.hover(at(event), event));
    canvas.addEventListener("mouseleave", () => this.hover(-1));
    canvas.addEventListener("click", (event) => { const node = at(event); if (node >= 0) { this.select(node); this.zoom(node); } });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => this.draw());
    scroller.addEventListener("scroll", () => { this.hover(-1); this.draw(); });
    new ResizeObserver(() => this.draw()).observe(scroller);
  }

  show(tree) {
    const path = this.tree && this.tree.profile === tree.profile ? this.zoomed : 0;
    this.tree = tree;
    this.colours = null;
    this.zoomed = tree.width[path] ? path : 0;
    this.selected = this.zoomed;
    this.view = this.range(this.zoomed);
    this.spacer.style.height = `${(tree.deepest + 1) * ROW + 8}px`;
    this.draw();
  }

  range(node) {
    const left = this.tree.left(node);
    return [left, left + this.tree.width[node]];
  }

  zoom(node) {
    if (!this.tree || this.tree.width[node] === 0) return;
    this.zoomed = node;
    const from = this.view, to = this.range(node), began = performance.now();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const step = (now) => {
      const t = still ? 1 : Math.min(1, Math.max(0, now - began) / ZOOM_MS), eased = 1 - (1 - t) ** 3;
      this.view = t === 1 ? to : [0, 1].map((end) => from[end] + (to[end] - from[end]) * eased);
      this.frame = t < 1 ? requestAnimationFrame(step) : 0;
      this.paint();
    };
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(step);
    this.on.zoom(node);
  }

  select(node) {
    this.selected = node;
    const y = this.tree.nodes.depth[node] * ROW, { scrollTop, clientHeight } = this.scroller;
    if (y < scrollTop) this.scroller.scrollTop = y;
    if (y + ROW > scrollTop + clientHeight) this.scroller.scrollTop = y + 2 * ROW - clientHeight;
    this.on.select(node);
    this.draw();
  }

  draw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
  }

  // Colours by crate; red and blue for growth and shrinkage.
  palette() {
    const style = getComputedStyle(document.documentElement), get = (name) => style.getPropertyValue(name).trim();
    const { names } = this.tree.profile, saturation = get("--box-saturation"), light = get("--box-light");
    const hash = (text) => {
      let hash = 7;
      for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
      return hash >>> 8;
    };
    const colour = (name) => {
      const crate = home(name);
      if (["", "std", "core", "alloc"].includes(crate)) return get(name[0] === "[" ? "--box-pseudo" : "--box-std");
      // Functions of a crate have its hue, more or less, so that neighbours differ.
      return `hsl(${hash(crate) % 24 * 15 + hash(name) % 5 * 7 - 14} ${saturation} ${parseInt(light) + hash(name) % 3 * 3 - 3}%)`;
    };
    const grown = (hue) => [0, 1, 2, 3].map((step) => `hsl(${hue} ${20 + 18 * step}% ${light})`);
    this.colours = {
      boxes: names.map(colour), up: grown(8), down: grown(215), font: get("--mono"),
      ...Object.fromEntries(["text", "root", "found", "found-text", "faded", "edge", "ring", "paper"].map((name) => [name, get(`--box-${name}`)])),
    };
  }

  fill(node) {
    const { tree, colours } = this;
    if (node === 0) return colours.root;
    if (this.found) return this.found.hit[tree.nodes.fn[node]] ? colours.found : colours.faded;
    if (!tree.signed) return colours.boxes[tree.nodes.fn[node]];
    const share = tree.net[node] / tree.width[node];
    return (share < 0 ? colours.down : colours.up)[Math.min(3, Math.round(3 * Math.abs(share)))];
  }

  paint() {
    const { canvas, context, scroller, tree } = this;
    const width = scroller.clientWidth, height = scroller.clientHeight, ratio = devicePixelRatio || 1;
    if (!tree || !width || !height) return;
    if (!this.colours) this.palette();
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const began = performance.now(), { colours, view: [from, to] } = this, { children, start } = tree;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `12px ${colours.font}`;
    context.textBaseline = "middle";
    const letter = this.letter = this.letter || context.measureText("m".repeat(50)).width / 50;
    const scale = width / (to - from), top = scroller.scrollTop;
    this.rows = [];
    this.drawn = 0;
    const box = (node, x, wide, depth, merged) => {
      const y = depth * ROW - top;
      if (y + ROW <= 0) return;
      const left = Math.max(0, x), right = Math.min(width, x + wide), gap = right - left > 3 ? 1 : 0;
      (this.rows[depth] = this.rows[depth] || []).push(left, right, merged ? -1 : node);
      context.fillStyle = merged ? colours.edge : this.fill(node);
      context.fillRect(left, y, Math.max(right - left - gap, NARROW), ROW - 1);
      this.drawn += 1;
      const letters = Math.floor((right - left - 9) / letter);
      if (merged || letters < 3) return;
      let text = tree.short(node);
      // The end of a path says more than its beginning.
      for (let at; text.length > letters && (at = text.indexOf("::")) >= 0 && text[at + 2] !== "{";) text = text.slice(at + 2);
      if (text.length > letters) text = text.slice(0, letters - 1) + "…";
      context.fillStyle = this.found && colours.found === this.fill(node) ? colours["found-text"] : colours.text;
      context.fillText(text, left + 5, y + ROW / 2);
      const value = `${tree.shown(tree.net[node])}  ${percent(tree.net[node], tree.net[0])}`;
      if (text.length + value.length + 4 > letters) return;
      context.globalAlpha = 0.62;
      context.fillText(value, right - gap - 5 - value.length * letter, y + ROW / 2);
      context.globalAlpha = 1;
    };
    const stack = [0, -from * scale];
    while (stack.length) {
      const left = stack.pop(), node = stack.pop(), depth = tree.nodes.depth[node];
      box(node, left, tree.width[node] * scale, depth, false);
      if ((depth + 1) * ROW > top + height) continue;
      let x = left;
      for (let at = start[node]; at < start[node + 1] && x < width; at++) {
        const wide = tree.width[children[at]] * scale;
        if (wide < NARROW) {
          let rest = 0;
          for (; at < start[node + 1]; at++) rest += tree.width[children[at]] * scale;
          if (rest >= NARROW && x + rest > 0) box(node, x, rest, depth + 1, true);
          break;
        }
        if (x + wide > 0) stack.push(children[at], x);
        x += wide;
      }
    }
    this.outline(this.hovered, 1);
    if (document.activeElement === canvas) this.outline(this.selected, 2);
    this.ms = performance.now() - began;
    this.on.painted();
  }

  outline(node, thick) {
    if (node < 0) return;
    const depth = this.tree.nodes.depth[node], row = this.rows[depth] || [];
    let at = 2;
    while (at < row.length && row[at] !== node) at += 3;
    if (at >= row.length) return;
    this.context.strokeStyle = this.colours.ring;
    this.context.lineWidth = thick;
    this.context.strokeRect(row[at - 2] + thick / 2, depth * ROW - this.scroller.scrollTop + thick / 2, Math.max(1, row[at - 1] - row[at - 2] - 1 - thick), ROW - 1 - thick);
  }

  boxAt(x, y) {
    const row = this.rows[Math.floor((y + this.scroller.scrollTop) / ROW)] || [];
    for (let at = 0; at < row.length; at += 3) if (x >= row[at] && x < row[at + 1]) return row[at + 2];
    return -1;
  }

  hover(node, event) {
    if (node !== this.hovered) { this.hovered = node; this.draw(); }
    this.on.hover(node, event);
  }

  key(event) {
    if (!this.tree || event.ctrlKey || event.metaKey || event.altKey) return;
    const { tree, selected } = this, parent = tree.nodes.parent[selected];
    const beside = (step) => {
      const row = this.rows[tree.nodes.depth[selected]] || [];
      const boxes = [];
      for (let at = 0; at < row.length; at += 3) if (row[at + 2] >= 0) boxes.push([row[at], row[at + 2]]);
      boxes.sort((a, b) => a[0] - b[0]);
      const next = boxes[boxes.findIndex(([, node]) => node === selected) + step];
      return next ? next[1] : selected;
    };
    const moves = {
      ArrowDown: () => tree.start[selected] < tree.start[selected + 1] ? tree.children[tree.start[selected]] : selected,
      ArrowUp: () => selected ? parent : 0,
      ArrowRight: () => beside(1),
      ArrowLeft: () => beside(-1),
      Home: () => 0,
    };
    if (moves[event.key]) this.select(moves[event.key]());
    else if (event.key === "Enter" || event.key === " ") this.zoom(selected);
    else if (event.key === "Escape" || event.key === "Backspace") this.out();
    else if (event.key === "f" && selected) this.on.open(tree.nodes.fn[selected]);
    else return;
    event.preventDefault();
  }

  // One box up.
  out() {
    if (!this.zoomed) return;
    this.select(this.tree.nodes.parent[this.zoomed]);
    this.zoom(this.selected);
  }
}
