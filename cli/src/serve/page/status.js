// What is served here, and how is it?

import { ago, ask, byId, bytes, extension, h, number, plural, visible } from "./dom.js";
import { coded, offerTypes, readDocument } from "./app.js";

const sheet = byId("sheet");
let known = null;
let live = null;

export const roots = () => known?.collection.roots ?? [];
export const extensions = () => known?.collection.extensions ?? {};
export const canOpen = () => Boolean(known?.can_open);

/** Asks again; everything that shows the collection follows. */
export async function refresh() {
  known = await ask("api/v1/status");
  live = known.live;
  offerTypes(extensions());
  if (!sheet.hidden) draw();
}

/** Takes news from the server. */
export function heard(news) {
  live = news;
  if (!sheet.hidden && known) draw();
}

export function toggle() {
  if (!sheet.hidden) return close();
  sheet.hidden = false;
  document.body.classList.add("about");
  sheet.replaceChildren(h("div", { class: "body loading" }, h("i"), h("i"), h("i")));
  refresh().then(() => sheet.focus({ preventScroll: true }), (error) => sheet.replaceChildren(h("div", { class: "blank", role: "alert" }, h("h2", null, "No status"), h("p", null, ...coded(visible(error.message))))));
  return true;
}

export function close() {
  if (sheet.hidden) return false;
  sheet.hidden = true;
  document.body.classList.remove("about");
  return true;
}

/** What the page shows before anything is searched. */
export function welcome() {
  if (!known) return [];
  const { collection } = known;
  if (!collection.generation) {
    return [h("div", { class: "blank" }, h("h2", null, "Nothing is indexed yet"), h("p", null, "Add a folder in a terminal; this page notices by itself when it is there."), h("pre", null, "askance index ~/Documents"))];
  }
  const by = live?.encoder.state === "ready" ? "by word and by meaning" : "by word";
  const recent = h("div", { class: "recent" });
  fillRecent(recent);
  return [h("div", { class: "welcome" },
    h("h1", null, "What are you looking for?"),
    h("p", null, `${plural(collection.documents, "document")} and ${plural(collection.passages, "passage")}, searched ${by}.`),
    recent,
    h("p", { class: "dim hints" }, [["/", "search"], ["j", "k", "move"], ["Enter", "read"], ["?", "all keys"]].map((hint) =>
      h("span", null, hint.slice(0, -1).map((key) => h("kbd", null, key)), hint.at(-1)))))];
}

/** Documents that changed last: often what somebody comes for. */
async function fillRecent(node) {
  const { documents } = await ask("api/v1/documents", { order: "newest", limit: 8 }).catch(() => ({ documents: [] }));
  if (!documents.length) return;
  node.replaceChildren(h("h2", null, "Changed last"), h("ul", null, documents.map((entry) => h("li", null,
    h("button", { type: "button", onclick: () => readDocument(entry) },
      h("span", { class: "kind" }, extension(entry.path) || "file"), h("span", { class: "name", title: visible(entry.path) }, visible(entry.title)),
      h("span", { class: "dim" }, ago(new Date(entry.modified * 1000))))))));
}

function draw() {
  const { collection } = known;
  sheet.replaceChildren(
    h("header", { class: "top" }, h("h2", null, "Status"), h("button", { type: "button", class: "tool", onclick: close, title: "Close (Esc)" }, "Close")),
    ...[work()].filter(Boolean),
    h("div", { class: "cards" }, counts(collection), folders(collection), ...[encoder(collection), recall(collection), disk(collection), kinds(collection)].filter(Boolean)),
    failures(collection),
    h("p", { class: "dim foot" }, `askance ${known.version} \u00b7 up since ${new Date(Date.now() - known.uptime_seconds * 1000).toLocaleString()} \u00b7 `, h("a", { href: "api/v1/openapi.json", target: "_blank", rel: "noopener" }, "API")));
}

const fact = (name, value) => [h("dt", null, name), h("dd", null, value)];

function panel(title, className, ...children) {
  return h("section", { class: `card ${className}` }, h("h3", null, title), ...children);
}

/** What some process does on the collection right now. */
function work() {
  const { progress, trouble } = live ?? {};
  if (trouble) return panel("Trouble", "wide bad", h("p", null, ...coded(visible(trouble))));
  if (!progress) return null;
  const share = progress.total ? progress.done / progress.total : null;
  const done = progress.total ? `${number(progress.done)} of ${number(progress.total)}` : number(progress.done);
  return panel("At work now", "wide", h("p", { class: "split" }, h("span", null, visible(progress.stage)), h("span", { class: "dim" }, done)),
    h("progress", { max: 1, value: share, "aria-label": visible(progress.stage) }));
}

function counts(collection) {
  const published = collection.published && new Date(collection.published);
  return panel("Collection", "", h("p", { class: "big" }, number(collection.documents), h("small", null, collection.documents === 1 ? "document" : "documents")),
    h("dl", null, fact("Passages", number(collection.passages)), fact("Text", bytes(collection.text_bytes)),
      fact("Generation", published ? `${number(collection.generation)}, ${ago(published)}` : number(collection.generation)),
      collection.writer && fact("Writing now", visible(collection.writer))));
}

function encoder(collection) {
  const state = live?.encoder ?? {};
  const { encoder } = collection;
  if (!encoder) return panel("Meaning", "", h("p", { class: "big" }, "Off"), h("p", { class: "dim" }, ...coded(visible(state.reason ?? "searched by words"))));
  const words = { ready: "ready", loading: "loading\u2026", lacking: "missing" };
  return panel("Meaning", "", h("p", { class: "big name" }, visible(encoder.name), h("small", null, words[state.state] ?? "")),
    state.reason && h("p", { class: "bad" }, ...coded(visible(state.reason))),
    h("dl", null, fact("Vectors", `${number(encoder.dimension)} numbers, ${encoder.family}`), fact("Reads", `${number(encoder.max_tokens)} tokens`), fact("Device", visible([collection.device, collection.precision].filter(Boolean).join(", "))), fact("Search", visible(collection.dense_search ?? "none")), fact("Identity", h("code", null, encoder.hash.slice(0, 8)))));
}

function disk(collection) {
  const stores = Object.entries(collection.bytes_on_disk);
  const total = stores.reduce((sum, [, size]) => sum + size, 0);
  const names = { documents: "records", bm25: "words and text", vectors: "vectors", ivfpq: "index of vectors" };
  return panel("On disk", "", h("p", { class: "big" }, bytes(total)),
    h("div", { class: "stack", "aria-hidden": "true" }, stores.map(([, size]) => h("i", { style: { "flex-grow": String(size / Math.max(1, total)) } }))),
    h("dl", null, stores.map(([name, size]) => fact(names[name] ?? name, bytes(size)))), h("p", { class: "dim path" }, visible(collection.collection)));
}

function kinds(collection) {
  const entries = Object.entries(collection.extensions).slice(0, 10);
  const most = Math.max(...entries.map(([, n]) => n), 1);
  if (!entries.length) return null;
  return panel("File types", "", h("ul", { class: "bars" }, entries.map(([name, n]) => h("li", { style: { "--share": String(n / most) } }, h("span", null, visible(name) || "none"), h("span", null, number(n))))));
}

/** What share of the nearest the index finds, by its own measure. */
function recall(collection) {
  const { index, index_damage: damage } = collection;
  if (damage) return panel("Index of vectors", "bad", h("p", null, ...coded(visible(damage))));
  if (!index) return null;
  const best = index.measured.reduce((a, b) => (b.recall > a.recall ? b : a), { recall: 0 });
  return panel("Recall", "", h("p", { class: "big" }, `${(best.recall * 100).toFixed(1)} %`, h("small", null, "of the ten nearest at most")),
    h("ul", { class: "bars" }, index.measured.slice(-6).map((point) => h("li", { style: { "--share": String(point.recall) } },
      h("span", null, `${number(point.nprobe)} lists, ${number(point.rescore)} rescored`), h("span", null, point.recall.toFixed(3))))),
    h("dl", null, fact("Lists", number(index.lists)), fact("Vectors", number(index.vectors)), fact("Newer, beside it", number(index.tail)), fact("Measured with", plural(index.sample, "query", "queries"))));
}

function folders(collection) {
  if (!collection.roots.length) return null;
  return panel("Folders", "", h("ul", { class: "plain" }, collection.roots.map((root) => h("li", { class: "path" }, visible(root)))));
}

function failures(collection) {
  const total = known.failures_total;
  if (!total) return panel("Unreadable files", "", h("p", { class: "big" }, "None"), h("p", { class: "dim" }, "Every file with text in it was read."));
  const rest = total - collection.failures.length;
  return panel(`Unreadable files: ${number(total)}`, "wide", h("ul", { class: "plain failures" }, collection.failures.map(({ path, reason }) => h("li", null, h("span", { class: "path" }, visible(path)), h("span", { class: "dim" }, visible(reason))))),
    rest > 0 && h("p", { class: "dim" }, `and ${number(rest)} more; askance status names them all`));
}
