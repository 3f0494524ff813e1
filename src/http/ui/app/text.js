"use strict";
// Numbers and names as people read them.

const STEPS = {
  bytes: [1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]],
  count: [1000, ["", "k", "M", "G", "T", "P"]],
  nanoseconds: [1000, ["ns", "µs", "ms", "s"]],
};

function quantity(value, unit, signed) {
  const [step, names] = STEPS[unit] || STEPS.count;
  let size = Math.abs(value), nth = 0;
  while (size >= step && nth < names.length - 1) { size /= step; nth += 1; }
  const digits = nth === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  const sign = value < 0 ? "−" : signed && value > 0 ? "+" : "";
  const suffix = names[nth] || (STEPS[unit] ? "" : unit);
  return sign + size.toFixed(digits) + (suffix && (names[nth].length > 1 || unit === "bytes" || !STEPS[unit]) ? " " : "") + suffix;
}

function percent(part, whole) {
  if (!whole) return "";
  const share = 100 * part / whole;
  return (share < 0 ? "−" : "") + (Math.abs(share) >= 99.95 ? "100" : Math.abs(share).toFixed(1)) + " %";
}

const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

// Without generic arguments: `<A<B> as C>::f` is `A::f`.
function short(name) {
  // No path: another language's, or nobody's.
  if (!name.includes("::") || name[0] === "[") return name;
  let out = "", depth = 0, skipping = 0;
  for (let at = 0; at < name.length; at++) {
    const c = name[at];
    if (c === "<") {
      depth += 1;
      // An opening `<` of `<A as B>::f` stands where a path begins.
      if (!skipping && out !== "" && !/[\s(&,<[]$/.test(out)) skipping = depth;
    } else if (c === ">" && name[at - 1] !== "-") {
      if (skipping === depth) skipping = 0;
      depth -= 1;
    } else if (!skipping) {
      const rest = depth > 0 && name.startsWith(" as ", at);
      if (rest) skipping = depth; else out += c;
    }
  }
  return out.replace(/::(?=::|$)/g, "") || name;
}

const home = (name) => (/^[<&*([\s]*(?:(?:mut|dyn|impl|const) )?([A-Za-z_]\w*)(?=::)/.exec(name) || ["", ""])[1];

// Without where the toolchain and the registry are installed.
const shortFile = (file) => file.replace(/^\/rustc\/[0-9a-f]+\//, "").replace(/^.*\/registry\/src\/[^/]+\//, "").replace(/^.*\/lib\/rustlib\/src\/rust\//, "");

const place = (file, line) => file && (line > 0 ? `${file}:${line}` : file);

// An element with properties and children; text goes in as text.
function make(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (key in element) element[key] = value; else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}
