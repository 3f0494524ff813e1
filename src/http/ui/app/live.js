// The line of live figures, from `metrics`, while the page can be seen.

const POLL_MS = 2000, HISTORY = 60;

// [title, unit, how to read it from the samples of now and before]
const rate = (name) => (now, before) => (before && now[name] >= before[name] ? 1000 * (now[name] - before[name]) / (now.time - before.time) : undefined);
const FIGURES = [
  ["heap", "bytes", (now) => now.rust_memstats_alloc_bytes],
  ["RSS", "bytes", (now) => now.process_resident_memory_bytes],
  ["allocating", "bytes/s", rate("rust_memstats_alloc_bytes_total")],
  ["CPU", "%", (now, before) => { const used = rate("process_cpu_seconds_total")(now, before); return used === undefined ? used : 100 * used; }],
  ["threads", "count", (now) => now.rust_threads],
  ["tasks", "count", (now) => now.rust_tasks_alive],
];

class Live {
  constructor(place, on) {
    Object.assign(this, { place, on, history: FIGURES.map(() => []), before: null, timer: 0, polls: 0 });
    document.addEventListener("visibilitychange", () => this.poll());
    this.poll();
  }

  async poll() {
    clearTimeout(this.timer);
    if (document.hidden || this.asking) return;
    this.asking = true;
    try {
      const answer = await fetch("../metrics", { cache: "no-store", headers: { Accept: "text/plain" }, signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const now = { time: performance.now() };
      for (const line of (await answer.text()).split("\n")) {
        const found = /^([a-z_]+) ([-+.\deE]+)$/.exec(line);
        if (found) now[found[1]] = Number(found[2]);
      }
      this.polls += 1;
      FIGURES.forEach(([, , read], nth) => {
        const value = read(now, this.before);
        if (value !== undefined) this.history[nth] = [...this.history[nth], value].slice(-HISTORY);
      });
      this.before = now;
      this.show();
      this.misses = 0;
      this.on.answered();
    } catch {
      this.misses = Math.min(5, (this.misses || 0) + 1);
      this.on.silent();
    }
    this.asking = false;
    // A server that is gone is asked less and less.
    this.timer = setTimeout(() => this.poll(), POLL_MS * 2 ** (this.misses || 0));
  }

  show() {
    this.place.replaceChildren(...FIGURES.flatMap(([title, unit], nth) => {
      const history = this.history[nth];
      if (!history.length) return [];
      const value = history[history.length - 1], [base, per] = unit.split("/");
      const text = unit === "%" ? `${value.toFixed(0)} %` : quantity(value, base) + (per ? `/${per}` : "");
      return [make("div", { className: "figure" }, make("span", { className: "dim" }, title), make("b", null, text), spark(history))];
    }));
  }
}

function spark(history) {
  const wide = 48, high = 18, ratio = devicePixelRatio || 1;
  const canvas = make("canvas", { width: wide * ratio, height: high * ratio, "aria-hidden": "true" }), context = canvas.getContext("2d");
  canvas.style.width = `${wide}px`;
  const most = Math.max(...history, 1e-9), least = Math.min(...history), base = most - least < most / 20 ? least - most / 20 : least;
  context.scale(ratio, ratio);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  context.fillStyle = colour("--line");
  context.fillRect(0, high - 1, wide, 1);
  context.strokeStyle = colour("--accent");
  context.lineWidth = 1.25;
  context.beginPath();
  history.forEach((value, nth) => context.lineTo(wide - 1 - (history.length - 1 - nth) * (wide - 2) / (HISTORY - 1), 2 + (high - 4) * (1 - (value - base) / (most - base || 1))));
  context.stroke();
  return canvas;
}
