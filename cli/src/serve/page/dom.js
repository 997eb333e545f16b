// How are elements, texts and requests made? No text ever becomes markup here: elements are made by name, texts are text.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An element: `h("p", {class: "x", onclick: f}, "text", child)`. Children that are null or false are left out. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

// Controls that could hide or reorder what a text says (C0, C1, bidirectional marks) are shown by their number.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** `text` with every invisible control made visible. */
export const visible = (text) =>
  text.replace(HIDDEN, (c) => (c === "\r" ? "" : c === "\u001b" ? "\u241b" : `\u27e8U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`));

/** `text` from its byte `skip` on as nodes, with the byte ranges of its UTF-8 form marked. */
export function marked(text, ranges, skip = 0) {
  const bytes = encoder.encode(text);
  const piece = (from, to) => visible(decoder.decode(bytes.subarray(from, to)));
  const nodes = [];
  let at = skip;
  for (const [start, end] of ranges) {
    if (end <= at) continue;
    const from = Math.max(start, at);
    if (from > at) nodes.push(piece(at, from));
    nodes.push(h("mark", null, piece(from, end)));
    at = end;
  }
  if (at < bytes.length) nodes.push(piece(at, bytes.length));
  return nodes;
}

/** The different matched words of `text`, in lower case. */
export function matchedWords(text, ranges) {
  const bytes = encoder.encode(text);
  return ranges.map(([start, end]) => decoder.decode(bytes.subarray(start, end)).toLowerCase());
}

const count = new Intl.NumberFormat();
export const number = (n) => count.format(n);
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

export function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) { n /= 1000; unit += 1; }
  return `${n < 10 && unit > 0 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

export const day = (seconds) => new Date(seconds * 1000).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });

export function ago(date) {
  const seconds = (Date.now() - date) / 1000;
  const steps = [[60, "second"], [60, "minute"], [24, "hour"], [30, "day"], [12, "month"], [Infinity, "year"]];
  let value = seconds;
  for (const [size, unit] of steps) {
    if (value < size) return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(-Math.round(value), unit);
    value /= size;
  }
  return "";
}

export const duration = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** The last part of a path and the folders before it. */
export function split(path) {
  const parts = path.split(/[/\\]/);
  const name = parts.pop();
  return { name, folder: parts.join("/") || "/" };
}

export const extension = (path) => (/\.([a-z0-9]{1,6})$/i.exec(path)?.[1] ?? "").toLowerCase();

/** Why a request failed: `code` for programs, `message` for people. */
export class Failure extends Error {
  constructor(code, message) { super(message); this.code = code; }
}

/** JSON from the API. `params` with null or empty values are left out, lists are joined by commas. */
export async function ask(path, params = {}, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    const text = Array.isArray(value) ? value.join(",") : value;
    if (text !== null && text !== undefined && text !== "" && text !== false) query.set(name, text);
  }
  const address = query.size ? `${path}?${query}` : path;
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("offline", "askance does not answer. Start it again with `askance serve`; this page goes on by itself.");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Failure(body.error?.code ?? "failed", body.error?.message ?? `the server answered ${response.status}`);
  return body;
}

export const post = (path, body) =>
  ask(path, {}, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** Whether the person wants things to stay where they are. */
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
export const isWide = () => matchMedia("(min-width: 62rem)").matches;
