// The page: what is chosen, what is shown, and what happens on each event.

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const ask = new Ask();
const chosen = { profile: "", kind: "", type: "", panel: "flame", fn: -1 };
let index = { profiles: [] }, answer = null, profile = null, tree = null, found = null, fetched = 0, busy = false;

// For tests: what is on the screen, as data.
window.debugPprof = {
  get state() {
    return {
      ...chosen, busy, message: $("message").hidden ? "" : $("message").textContent, banner: $("banner").hidden ? "" : $("banner").textContent,
      types: profile ? profile.types.map(([name]) => name) : [], nodes: profile ? profile.nodes.size : 0, total: tree ? tree.net[0] : 0,
      zoomed: tree ? tree.name(flame.zoomed) : "", selected: tree ? tree.name(flame.selected) : "", view: flame.view, boxes: flame.drawn, paintMs: flame.ms,
      search: found && { total: found.total, functions: found.functions }, firstPaintMs, marks: ask.marks.length, polls: live.polls, theme: root.dataset.theme, labels: profile ? [...profile.labels] : [],
    };
  },
  // A box of this function, in canvas pixels.
  box(name) {
    for (const [depth, row] of flame.rows.entries()) for (let at = 0; row && at < row.length; at += 3) {
      if (row[at + 2] >= 0 && tree.name(row[at + 2]).includes(name)) return [(row[at] + row[at + 1]) / 2, depth * ROW + ROW / 2 - flame.scroller.scrollTop, row[at + 1] - row[at]];
    }
    return null;
  },
};
let firstPaintMs = null, answeredAt = 0;

const flame = new Flame($("flame"), $("scroller"), $("spacer"), {
  zoom: () => { path(); if (chosen.panel === "top") top_.show(tree, flame.zoomed, found); },
  select: () => detail(),
  hover: tip,
  open: (fn) => { chosen.fn = fn; view("around"); },
  painted: () => { if (answeredAt && tree) { firstPaintMs = performance.now() - answeredAt; answeredAt = 0; } },
});
const top_ = new Top($("top"), $("top-note"), (fn) => { chosen.fn = fn; view("around"); });
const live = new Live($("live"), {
  answered: () => { $("live").classList.remove("stale"); if ($("banner").dataset.of === "live") banner(""); },
  silent: () => {
    $("live").classList.add("stale");
    if ($("banner").hidden) banner(`The server does not answer.${fetched ? ` Shown is what it said at ${clock(fetched)}.` : ""}`, "live");
  },
});

function banner(text, of) {
  $("banner").hidden = !text;
  $("banner").textContent = text;
  $("banner").dataset.of = of || "";
}

// In place of a picture.
function message(...lines) {
  $("message").hidden = !lines.length;
  $("message").replaceChildren(...lines.map((line) => typeof line === "string" ? make("p", null, line) : line));
  for (const name of ["flame", "top", "around"]) $(`panel-${name}`).hidden = lines.length > 0 || name !== chosen.panel;
}

// What is asked for, as the download has it too.
function address(also) {
  const all = {};
  if (chosen.kind === "interval") all.seconds = $("seconds").value || "5";
  if (chosen.kind === "memory") all.min_age = $("age").value;
  if (["memory", "leaks", "peak"].includes(chosen.kind) && ["age", "type"].includes($("split").value)) all.label = $("split").value;
  if ($("base").value.startsWith("since=")) all.since = $("base").value.slice(6);
  const query = Object.entries({ ...all, ...also }).filter(([, value]) => value).map((pair) => pair.join("=")).join("&");
  return encodeURI(chosen.profile) + (query && `?${query}`);
}

async function refresh() {
  if (!chosen.profile) return load();
  busy = true;
  $("refresh").disabled = true;
  if (!tree) message(chosen.kind === "interval" ? `Watching for ${$("seconds").value} seconds …` : "Loading …");
  try {
    const got = await ask.json(address({ format: "json" }));
    answer = got;
    fetched = Date.now();
    answeredAt = ask.arrived;
    banner("");
    rebuild();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    if (tree && error.message.startsWith("The server")) banner(`${error.message} Shown is what it said at ${clock(fetched)}.`);
    else { tree = answer = profile = null; failed(error); }
  } finally {
    busy = false;
    $("refresh").disabled = false;
    bases();
  }
}

function failed(error) {
  const again = make("button", { type: "button" }, "Try again");
  again.addEventListener("click", refresh);
  message("There is no profile to show.", error.message, again);
}

// From the answer to the picture.
function rebuild() {
  const mark = ask.marks.find((mark) => mark.id === $("base").value), split = $("split").value;
  profile = new Profile(mark ? [[answer, 1], [mark.answer, -1]] : [[answer, 1]], split, Boolean(mark || $("base").value));
  const types = profile.types.map(([name]) => name);
  if (!types.includes(chosen.type)) chosen.type = types[profile.opensOn];
  $("types").replaceChildren(...types.map((name) => {
    const button = make("button", { type: "button", "aria-pressed": String(name === chosen.type) }, name.replace("_", " "));
    button.addEventListener("click", () => { chosen.type = name; for (const other of $("types").children) other.setAttribute("aria-pressed", String(other === button)); show(); });
    return button;
  }));
  splits();
  const comments = profile.comments.map((line) => line.replace(/^#/, ""));
  $("comments").hidden = !comments.length;
  $("comments").lastElementChild.replaceChildren(...comments.map((line) => make("li", null, line)));
  show();
}

function show() {
  if (!profile) return;
  const before = tree && tree.profile === profile ? null : tree && tree.path(flame.zoomed).map((node) => tree.name(node));
  tree = new Tree(profile, profile.types.findIndex(([name]) => name === chosen.type));
  found = tree.search($("search").value);
  flame.found = found;
  flame.zoomed = before ? follow(before) : flame.zoomed;
  flame.tree = flame.tree && before ? { profile } : flame.tree;
  if (tree.width[0]) message(); else empty();
  flame.show(tree);
  about();
  path();
  matches();
  detail();
  view(chosen.panel);
}

// The same box in another profile, as far down as it is there.
function follow(names) {
  let node = 0;
  for (const name of names.slice(1)) {
    const below = tree.children.subarray(tree.start[node], tree.start[node + 1]), next = below.find((child) => tree.name(child) === name);
    if (next === undefined) break;
    node = next;
  }
  return node;
}

function empty() {
  const base = $("base").value;
  message(base ? "Nothing has grown." : "This profile is empty.",
    base ? "Every stack has what it had then. Refresh looks again." : $("age").value && chosen.kind === "memory" ? "Nothing that is alive is that old." : chosen.type.startsWith("inuse") || chosen.type.startsWith("alloc") ? "Nothing that was sampled is in it: one allocation is, on average, for each half MiB, unless the rate was set." : entry().description || "Nothing is in it at the moment.");
}

const entry = () => index.profiles.find(({ name }) => name === chosen.profile) || {};

function about() {
  const colours = tree.signed ? " (what grew is red, what shrank is blue)" : "";
  $("about").textContent = `${chosen.type.replace("_", " ")} ${tree.shown(tree.net[0])} at ${clock(fetched)}${colours}`;
  const url = new URL(`../${address()}`, location.href);
  $("download").href = url;
  $("command").textContent = `go tool pprof '${url}'`;
}

function path() {
  if (!tree) return;
  const steps = tree.path(flame.zoomed);
  $("path").replaceChildren(...steps.flatMap((node, nth) => {
    const step = make("button", { type: "button", title: tree.name(node) }, tree.short(node));
    step.addEventListener("click", () => { flame.select(node); flame.zoom(node); });
    return nth ? [make("span", null, "›"), step] : [step];
  }));
}

function matches() {
  $("matches").value = found ? `${found.functions} function${found.functions === 1 ? "" : "s"}, ${tree.shown(found.total)} (${percent(found.total, tree.net[0])})` : "";
}

const figures = (node) => `${tree.shown(tree.net[node])} (${percent(tree.net[node], tree.net[0])})${node && tree.self[node] ? `, flat ${tree.shown(tree.self[node])}` : ""}`;

function detail() {
  if (!tree) return;
  const node = flame.selected, parts = [make("b", null, tree.name(node)), make("span", null, figures(node)), make("span", { className: "dim" }, tree.place(node))];
  if (node) {
    const open = make("button", { type: "button" }, "callers and callees");
    open.addEventListener("click", () => { chosen.fn = tree.nodes.fn[node]; view("around"); });
    parts.push(open);
  }
  $("detail").replaceChildren(...parts);
}

function tip(node, event) {
  const tip = $("tip");
  tip.hidden = node < 0 || !event;
  if (tip.hidden) return;
  tip.replaceChildren(make("b", null, tree.name(node)), make("div", null, tree.place(node)), make("div", null, figures(node)));
  const { offsetWidth, offsetHeight } = tip;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - offsetWidth - 8))}px`;
  tip.style.top = `${event.clientY + 18 + offsetHeight > innerHeight ? event.clientY - offsetHeight - 10 : event.clientY + 18}px`;
}

function view(panel) {
  chosen.panel = panel;
  for (const name of ["flame", "top", "around"]) {
    const tab = $(`tab-${name}`);
    tab.setAttribute("aria-selected", String(name === panel));
    tab.tabIndex = name === panel ? 0 : -1;
    $(`panel-${name}`).hidden = name !== panel || !$("message").hidden;
  }
  if (!tree) return;
  if (panel === "top") top_.show(tree, flame.zoomed, found);
  if (panel === "around") {
    if (chosen.fn < 0 || chosen.fn >= profile.names.length) chosen.fn = tree.nodes.fn[flame.selected || tree.children[0]];
    if (tree.width[0]) showAround(tree, chosen.fn, $("panel-around"), (fn) => { chosen.fn = fn; view("around"); });
  }
  flame.draw();
}

function options(select, all) {
  const value = select.value;
  select.replaceChildren(...all.map(([value, text]) => make("option", { value }, text)));
  select.value = all.some(([known]) => known === value) ? value : all[0][0];
}

function splits() {
  const memory = ["memory", "leaks", "peak"].includes(chosen.kind);
  const known = [["", "nothing"], ...(chosen.kind === "memory" ? [["age", "age"]] : []), ...(memory ? [["type", "type"]] : [])];
  const others = profile ? [...profile.labels].filter((label) => !known.some(([name]) => name === label)) : [];
  options($("split"), [...known, ...others.map((label) => [label, memory && label === "bytes" ? "object size" : label])]);
  $("split-field").hidden = known.length + others.length < 2;
}

function bases() {
  const since = chosen.kind === "memory" || chosen.kind === "leaks" ? ["10m", "1h", "6h", "24h"].map((age) => [`since=${age}`, `over the last ${age.replace("m", " min").replace("h", " h")}`]) : [];
  const marks = $("base").value.startsWith("since=") ? ask.marks : ask.marksOf(address());
  options($("base"), [["", chosen.kind === "leaks" ? "over any time" : "not shown"], ...marks.map((mark) => [mark.id, `since ${clock(mark.time)}`]), ...since]);
  $("mark").hidden = $("base-field").hidden = chosen.kind === "interval";
}

function choose(name) {
  const { kind } = index.profiles.find((profile) => profile.name === name) || {};
  Object.assign(chosen, { profile: name, kind, fn: -1 });
  tree = answer = profile = found = null;
  flame.tree = null;
  flame.zoomed = 0;
  $("base").value = "";
  $("seconds-field").hidden = kind !== "interval";
  $("age-field").hidden = kind !== "memory";
  $("refresh").textContent = kind === "interval" ? "Record" : "Refresh";
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  splits();
  bases();
  if (kind === "interval") message("Nothing is recorded yet.", "Record begins to watch, for as many seconds as you say.");
  else refresh();
}

async function load() {
  try {
    index = await ask.json("?format=json");
  } catch (error) {
    if (error instanceof Refused) return failed(error);
    throw error;
  }
  $("program").textContent = `${index.program}, process ${index.pid}`;
  document.title = `${index.program} · debug-pprof`;
  const shown = index.profiles.filter(({ kind }) => kind !== "empty");
  $("profile").replaceChildren(...shown.map(({ name, description }) => make("option", { value: name, title: description }, name)));
  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = shown.some(({ name }) => name === wanted) ? wanted : shown.some(({ name }) => name === "heap") ? "heap" : (shown[0] || {}).name;
  if (!first) return message("This process serves no profile.");
  $("profile").value = first;
  choose(first);
}

function theme(name) {
  root.dataset.theme = name;
  flame.colours = null;
  flame.draw();
  if (live.before) live.show();
}

$("controls").addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
$("profile").addEventListener("change", (event) => choose(event.target.value));
$("age").addEventListener("change", () => { $("base").value = ""; refresh(); });
$("split").addEventListener("change", () => { if (!$("base").value.startsWith("since=")) $("base").value = ""; refresh(); });
$("base").addEventListener("change", refresh);
$("mark").addEventListener("click", async () => {
  $("base").value = "";
  await refresh();
  if (!answer) return;
  ask.mark(address(), answer);
  bases();
  $("base").value = ask.marks[ask.marks.length - 1].id;
  rebuild();
});
$("search").addEventListener("input", () => {
  if (!tree) return;
  flame.found = found = tree.search($("search").value);
  matches();
  view(chosen.panel);
});
$("copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText($("command").textContent); $("copy").textContent = "Copied"; } catch { getSelection().selectAllChildren($("command")); $("copy").textContent = "Press Ctrl+C"; }
  setTimeout(() => { $("copy").textContent = "Copy"; }, 2000);
});
$("theme").addEventListener("click", () => theme(root.dataset.theme === "dark" ? "light" : "dark"));
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
for (const name of ["flame", "top", "around"]) $(`tab-${name}`).addEventListener("click", () => view(name));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], names = ["flame", "top", "around"];
  if (!step) return;
  view(names[(names.indexOf(chosen.panel) + step + 3) % 3]);
  $(`tab-${chosen.panel}`).focus();
});
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !typing) { event.preventDefault(); $("search").focus(); }
  else if (event.key === "Escape" && event.target === $("search")) { $("search").value = ""; $("search").dispatchEvent(new Event("input")); $("flame").focus(); }
  else if (event.key === "Escape" && !typing && event.target !== $("flame") && tree) flame.out();
});
theme(dark.matches ? "dark" : "light");
view("flame");
message("Loading …");
load();
