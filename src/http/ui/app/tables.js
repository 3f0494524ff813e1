// Tables: the functions by flat or cum, and who calls one and whom it calls.

const MOST_ROWS = 400;

class Top {
  constructor(table, note, open) {
    Object.assign(this, { table, note, open, by: "flat", up: false });
    for (const button of table.querySelectorAll("th button")) {
      button.addEventListener("click", () => {
        this.up = this.by === button.dataset.by ? !this.up : button.dataset.by === "name";
        this.by = button.dataset.by;
        this.show(this.tree, this.root, this.found);
      });
    }
  }

  show(tree, root, found) {
    Object.assign(this, { tree, root, found });
    const { flat, cum } = tree.functions(root), { names, files } = tree.profile, whole = tree.net[0];
    const key = { flat: (fn) => Math.abs(flat[fn]), cum: (fn) => Math.abs(cum[fn]), name: (fn) => names[fn] }[this.by];
    const rows = [...names.keys()].filter((fn) => (flat[fn] || cum[fn]) && (!found || found.hit[fn]));
    const count = rows.length;
    rows.sort((a, b) => (key(a) < key(b) ? 1 : key(a) > key(b) ? -1 : Math.abs(cum[b]) - Math.abs(cum[a])) * (this.up ? -1 : 1));
    rows.length = Math.min(count, MOST_ROWS);
    for (const head of this.table.querySelectorAll("th")) {
      const by = head.firstElementChild.dataset.by;
      head.setAttribute("aria-sort", by !== this.by ? "none" : this.up ? "ascending" : "descending");
    }
    const most = rows.reduce((most, fn) => Math.max(most, Math.abs(flat[fn])), 0);
    this.table.tBodies[0].replaceChildren(...rows.map((fn) => {
      return make("tr", null,
        amount(tree.shown(flat[fn]), flat[fn] / most), make("td", { className: "number dim" }, percent(flat[fn], whole)),
        amount(tree.shown(cum[fn]), 0), make("td", { className: "number dim" }, percent(cum[fn], whole)),
        make("td", null, link(names[fn], () => this.open(fn)), " ", make("span", { className: "dim file", title: files[fn] }, shortFile(files[fn]))));
    }));
    this.note.textContent = count > MOST_ROWS ? `The first ${MOST_ROWS} of ${count} functions. Search to see others.` : count ? "" : "No function matches.";
  }
}

// A cell with a number, and a bar for its share of the largest.
function amount(text, share) {
  const bar = make("i", { className: "bar" });
  bar.style.width = `${100 * Math.min(1, Math.abs(share) || 0)}%`;
  return make("td", { className: "number" }, bar, text);
}

// A name that opens its callers and callees.
function link(name, open) {
  const button = make("button", { type: "button", className: "name", title: name }, name);
  button.addEventListener("click", open);
  return button;
}

function showAround(tree, fn, place, open) {
  const { names, files } = tree.profile, around = tree.around(fn), whole = tree.net[0];
  const list = (title, rows, none) => make("section", null, make("h3", null, title),
    rows.length ? make("table", null, make("tbody", null, ...rows.slice(0, MOST_ROWS).map(([other, value]) => make("tr", null,
      amount(tree.shown(value), value / rows[0][1]), make("td", { className: "number dim" }, percent(value, around.cum)),
      make("td", null, other < 0 || other === undefined ? none : link(names[other], () => open(other)))))))
      : make("p", { className: "dim" }, none));
  place.replaceChildren(
    make("h2", { className: "name" }, names[fn]),
    make("p", { className: "dim" }, files[fn] || "file unknown"),
    make("p", null, `flat ${tree.shown(around.flat)} (${percent(around.flat, whole)}), cum ${tree.shown(around.cum)} (${percent(around.cum, whole)})`),
    make("div", { className: "around" },
      list("Callers", around.callers, "the root of its stacks"),
      list("Callees", around.callees, "It calls nothing that is in the profile.")));
}
