// What does a person type, and what comes back? Search, results, filters, keys; `preview.js` and `status.js` show the rest.

import { Failure, ago, ask, byId, duration, extension, h, isWide, marked, number, plural, split, still, visible } from "./dom.js";
import * as preview from "./preview.js";
import * as status from "./status.js";
import { showKeys } from "./keys.js";

const PAGE = 20;
const MOST = 200;
/** Time without a key before a search starts, ms. */
const PAUSE = 50;
/** Time the full answer has before the answer by words alone is shown, ms: two pictures in a row are unrest. */
const GRACE = 60;

const box = byId("q");
const list = byId("results");

const state = {
  hits: [],
  answer: null,
  selected: -1,
  limit: PAGE,
  like: null,
  live: null,
  turn: 0,
  abort: null,
  timer: 0,
  types: new Set(),
};

// ---- what is asked -------------------------------------------------------------------------------------------------

const mode = () => document.querySelector("input[name=mode]:checked").value;

/** A folder stands for everything in it; anything with a star is a pattern already. */
function filters() {
  return { type: [...state.types], after: byId("after").value, path: byId("folder").value.trim() };
}

const isFiltered = () => Boolean(state.types.size || byId("after").value || byId("folder").value.trim());

function later() {
  clearTimeout(state.timer);
  state.timer = setTimeout(search, PAUSE);
}

async function search() {
  clearTimeout(state.timer);
  state.abort?.abort();
  const turn = ++state.turn;
  const q = box.value.trim();
  remember();
  byId("clear").hidden = !isFiltered();
  if (!q && !state.like) return start();
  if (document.body.classList.contains("home")) preview.close();
  document.body.classList.remove("home");
  const abort = (state.abort = new AbortController());
  const options = { signal: abort.signal };
  const common = { limit: state.limit, ...filters() };
  list.setAttribute("aria-busy", "true");
  const wanted = mode();
  const request = (mode) =>
    state.like ? ask("api/v1/similar", { passage: state.like.passage, mode, ...common }, options)
      : ask("api/v1/search", { q, mode, ...common }, options);
  const begun = performance.now();
  try {
    let done = false;
    const both = wanted === "hybrid" && state.live?.encoder.state === "ready" && !state.like;
    const full = request(wanted).finally(() => { done = true; });
    if (both) {
      // The answer by words is there first; it is shown only if the full one lets wait.
      request("bm25").then(async (answer) => {
        const left = GRACE - (performance.now() - begun);
        if (left > 0) await new Promise((next) => setTimeout(next, left));
        if (!done && turn === state.turn) show(answer, q, begun, false);
      }).catch(() => {});
    }
    const answer = await full;
    if (turn === state.turn) show(answer, q, begun, true);
  } catch (error) {
    if (error.name !== "AbortError" && turn === state.turn) fail(error);
  }
}

// ---- what is shown -------------------------------------------------------------------------------------------------

function show(answer, q, begun, isFinal) {
  const before = state.hits[state.selected]?.passage;
  const places = still() ? null : positions();
  state.answer = answer;
  state.hits = answer.hits;
  list.setAttribute("aria-busy", String(!isFinal));
  document.body.classList.toggle("partial", !isFinal);
  list.replaceChildren(...answer.hits.map(card));
  if (places) glide(places);
  select(answer.hits.findIndex((hit) => hit.passage === before), false);
  if (state.selected < 0 && isFinal && isWide() && answer.hits.length) select(0, false);
  if (isFinal) settle(answer, q, performance.now() - begun);
  offerFolders();
}

function settle(answer, q, ms) {
  byId("more").hidden = answer.hits.length < state.limit || state.limit >= MOST;
  byId("summary").replaceChildren(summary(answer, ms));
  byId("note").replaceChildren(...notes(answer, q));
  if (!answer.hits.length) preview.close();
  else if (isWide() && state.selected >= 0) preview.open(state.hits[state.selected], context(), false);
}

function summary(answer, ms) {
  const files = new Set(answer.hits.map((hit) => hit.path)).size;
  const names = { hybrid: "words and meaning", bm25: "words", dense: "meaning" };
  const many = answer.hits.length >= state.limit ? "best " : "";
  const found = answer.hits.length ? `${many}${plural(answer.hits.length, "passage")} from ${plural(files, "file")}` : "nothing found";
  const why = lacks(answer) && h("button", { type: "button", class: "quiet", onclick: status.toggle }, "why?");
  const how = [`by ${names[answer.mode]}`, `among ${number(answer.eligible)}`, `in ${duration(ms)}`];
  return h("span", null, h("b", null, found[0].toUpperCase() + found.slice(1)), h("span", { class: "dim" }, ` \u00b7 ${how.join(" \u00b7 ")} `), why);
}

/** Whether words alone were searched because there is no encoder: the status says why, not every answer. */
const lacks = (answer) => mode() === "hybrid" && answer.mode === "bm25" && state.live?.encoder.state === "lacking";

function notes(answer, q) {
  const nodes = answer.warnings.filter((text) => text !== state.live?.encoder.reason).map((text) => h("p", { class: "note" }, ...coded(visible(text))));
  if (state.like) {
    nodes.unshift(h("p", { class: "note like" }, "More like ", h("b", null, visible(state.like.title)), " ",
      h("button", { type: "button", class: "quiet", onclick: unlike }, "Back to the search")));
  }
  if (!answer.hits.length && answer.generation > 0) nodes.push(nothing(q));
  if (answer.generation === 0) nodes.splice(0, nodes.length, firstSteps());
  return nodes;
}

/** Text with what stands between backticks as code. */
export function coded(text) {
  return text.split("`").map((part, i) => (i % 2 ? h("code", null, part) : part));
}

function nothing(q) {
  const ideas = [
    isFiltered() && h("li", null, "Filters are set: ", h("button", { type: "button", class: "quiet", onclick: clearFilters }, "clear them")),
    mode() !== "hybrid" && h("li", null, "Search by both words and meaning"),
    /["+-]/.test(q) && h("li", null, "Leave out quotes, + and -"),
    h("li", null, "Use other or fewer words, or check the spelling"),
  ];
  return h("div", { class: "blank" }, h("h2", null, "Nothing found"), h("ul", null, ...ideas));
}

function firstSteps() {
  return h("div", { class: "blank" }, h("h2", null, "Nothing is indexed yet"),
    h("p", null, "Add a folder in a terminal; this page notices by itself when it is there."),
    h("pre", null, "askance index ~/Documents"));
}

function fail(error) {
  list.removeAttribute("aria-busy");
  if (error.code === "offline") return offline(true);
  byId("summary").textContent = "";
  byId("more").hidden = true;
  state.hits = [];
  list.replaceChildren();
  byId("note").replaceChildren(h("div", { class: "blank", role: "alert" }, h("h2", null, "That did not work"), h("p", null, ...coded(visible(error.message)))));
}

function card(hit, i) {
  const { name, folder } = split(hit.path);
  const headings = hit.heading.split(" \u203a ").filter((part) => part && part !== hit.title);
  const where = hit.page ? `page ${hit.page}` : hit.line ? `line ${hit.line}` : "";
  return h("article", { class: "hit", role: "option", id: `hit-${hit.passage}`, "aria-selected": "false", "data-passage": hit.passage, onclick: () => pick(i) },
    h("h3", null, h("span", { class: "title" }, visible(hit.title)), headings.map((part) => h("span", { class: "crumb" }, visible(part)))),
    h("p", { class: "snippet" }, marked(hit.snippet, hit.highlights)),
    h("p", { class: "place" }, h("span", { class: "kind" }, extension(hit.path) || "file"), h("span", { class: "path", title: visible(hit.path) }, h("span", { class: "folder" }, visible(short(folder)) + "/"), visible(name)), where && h("span", { class: "where" }, where)));
}

/** A folder without the root it was indexed under, if that is not ambiguous to a reader. */
export function short(folder) {
  const roots = status.roots();
  const root = roots.find((root) => folder === root || folder.startsWith(`${root}/`));
  if (!root) return folder;
  const last = root.split("/").pop();
  return last + folder.slice(root.length);
}

/** Where cards stand, so that they can glide to their new places. */
function positions() {
  return new Map([...list.children].slice(0, 30).map((card) => [card.id, card.getBoundingClientRect().top]));
}

function glide(places) {
  for (const card of [...list.children].slice(0, 30)) {
    const before = places.get(card.id);
    const moved = before === undefined ? 0 : before - card.getBoundingClientRect().top;
    if (moved) card.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: 160, easing: "ease-out" });
  }
}

// ---- one of them ---------------------------------------------------------------------------------------------------

const context = () => ({ q: state.like ? "" : box.value.trim(), answer: state.answer, hits: state.hits, canOpen: status.canOpen() });

function select(i, scroll = true) {
  list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
  state.selected = i;
  const card = list.children[i];
  card?.setAttribute("aria-selected", "true");
  if (card) list.setAttribute("aria-activedescendant", card.id);
  else list.removeAttribute("aria-activedescendant");
  if (card && scroll) card.scrollIntoView({ block: "nearest", behavior: still() ? "auto" : "smooth" });
}

function step(by) {
  if (!state.hits.length) return;
  select(Math.max(0, Math.min(state.hits.length - 1, state.selected + by)));
  if (isWide()) preview.open(state.hits[state.selected], context(), false);
}

function pick(i) {
  if (String(getSelection())) return;
  select(i, false);
  preview.open(state.hits[i], context(), !isWide());
}

/** Reads a document from its start, without a search. */
export function readDocument(entry) {
  const hit = { ...entry, heading: "", line: null, end_line: null, page: null, rank: null, score: null, explain: { bm25: null, dense: null, dense_weight: null } };
  preview.open(hit, { ...context(), q: "" }, true);
}

export function moreLikeThis(hit) {
  state.like = hit;
  state.limit = PAGE;
  preview.close();
  search();
  scrollTo({ top: 0 });
}

function unlike() {
  state.like = null;
  search();
}

export function onlyFolder(folder) {
  byId("folder").value = folder;
  search();
}

// ---- filters -------------------------------------------------------------------------------------------------------

export function offerTypes(extensions) {
  const names = Object.keys(extensions).filter(Boolean);
  const offered = [...new Set([...state.types, ...names.slice(0, 7)])];
  byId("types").replaceChildren(...offered.map((name) =>
    h("button", { type: "button", class: "chip", "aria-pressed": String(state.types.has(name)), title: extensions[name] ? plural(extensions[name], "document") : "", onclick: () => toggleType(name) }, name)));
}

function toggleType(name) {
  if (!state.types.delete(name)) state.types.add(name);
  for (const chip of byId("types").children) chip.setAttribute("aria-pressed", String(state.types.has(chip.textContent)));
  state.limit = PAGE;
  search();
}

function offerFolders() {
  const folders = new Set([...status.roots(), ...state.hits.map((hit) => split(hit.path).folder)]);
  byId("folders").replaceChildren(...[...folders].slice(0, 30).map((value) => h("option", { value })));
}

function clearFilters() {
  state.types.clear();
  byId("after").value = "";
  byId("folder").value = "";
  offerTypes(status.extensions());
  search();
}

// ---- the start, the address, what goes on ---------------------------------------------------------------------------

function start() {
  state.hits = [];
  state.answer = null;
  state.selected = -1;
  list.replaceChildren();
  list.removeAttribute("aria-busy");
  preview.close();
  byId("more").hidden = true;
  byId("summary").textContent = "";
  document.body.classList.add("home");
  byId("note").replaceChildren(...status.welcome());
}

/** The search lives in the address, so that going back and bookmarks work. */
function remember() {
  const values = { q: box.value.trim(), mode: mode() === "hybrid" ? "" : mode(), type: [...state.types].join(","), after: byId("after").value, path: byId("folder").value.trim() };
  const text = new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname);
  document.title = values.q ? `${values.q} \u2013 askance` : "askance";
}

function recall() {
  const values = new URLSearchParams(location.hash.slice(1));
  box.value = values.get("q") ?? "";
  byId("after").value = values.get("after") ?? "";
  byId("folder").value = values.get("path") ?? "";
  state.types = new Set((values.get("type") ?? "").split(",").filter(Boolean));
  const chosen = document.querySelector(`input[name=mode][value="${CSS.escape(values.get("mode") ?? "hybrid")}"]`);
  if (chosen) chosen.checked = true;
}

function offline(is) {
  const trouble = byId("trouble");
  trouble.hidden = !is;
  trouble.textContent = is ? "askance does not answer. Start it again with askance serve; this page goes on by itself." : "";
  byId("dot").dataset.state = is ? "off" : state.live?.encoder.state ?? "";
}

function listen() {
  const events = new EventSource("api/v1/events");
  let wasOff = false;
  events.addEventListener("live", (event) => {
    const live = JSON.parse(event.data);
    const before = state.live;
    state.live = live;
    offline(false);
    byId("dot").dataset.state = live.progress ? "busy" : live.encoder.state;
    status.heard(live);
    const moved = before && (before.generation !== live.generation || before.encoder.state !== live.encoder.state);
    if (moved || wasOff || !before) status.refresh().then(() => {
      if (document.body.classList.contains("home")) start();
    }).catch(() => {});
    if (moved || wasOff) { if (!document.body.classList.contains("home")) search(); }
    wasOff = false;
  });
  events.addEventListener("error", () => { wasOff = true; offline(true); });
}

// ---- keys ----------------------------------------------------------------------------------------------------------

const KEYS = {
  "/": () => { status.close(); box.focus(); box.select(); },
  j: () => step(1), ArrowDown: () => step(1),
  k: () => step(-1), ArrowUp: () => step(-1),
  Enter: () => enter(),
  l: () => enter(),
  Escape: () => escape(),
  o: () => preview.openFile("file"),
  f: () => preview.openFile("folder"),
  m: () => state.hits[state.selected] && moreLikeThis(state.hits[state.selected]),
  e: () => preview.explain(),
  r: () => preview.flip(),
  y: () => preview.copyPath(),
  t: () => flipTheme(),
  s: () => status.toggle(),
  "?": () => showKeys(),
  1: () => setMode("hybrid"), 2: () => setMode("bm25"), 3: () => setMode("dense"),
};

function enter() {
  if (state.selected < 0) step(1);
  const hit = state.hits[state.selected];
  if (hit) preview.open(hit, context(), true);
}

function escape() {
  if (status.close() || preview.back()) return list.focus({ preventScroll: true });
  if (state.like) return unlike();
  box.blur();
}

function setMode(value) {
  document.querySelector(`input[name=mode][value=${value}]`).checked = true;
  search();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  const field = event.target.closest("input:not([type=radio]), select, textarea");
  if (field) return inField(event, field);
  const onControl = event.target.closest("button, a, summary") && (event.key === "Enter" || event.key === " ");
  const action = KEYS[event.key];
  if (!action || onControl) return;
  if (event.target.closest(".pane, .sheet") && event.key.startsWith("Arrow")) return;
  event.preventDefault();
  action();
}

function inField(event, field) {
  if (event.key === "Escape") {
    if (field === box && box.value && !state.hits.length) box.value = "";
    field.blur();
    return event.preventDefault();
  }
  if (field !== box) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); step(event.key === "ArrowDown" ? 1 : -1); }
}

function flipTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* private windows forget */ }
}

// ---- begin ---------------------------------------------------------------------------------------------------------

try {
  const theme = localStorage.getItem("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch { /* private windows forget */ }

box.addEventListener("input", () => { state.like = null; state.limit = PAGE; later(); });
byId("form").addEventListener("submit", (event) => { event.preventDefault(); search(); if (state.hits.length) { box.blur(); enter(); } });
byId("modes").addEventListener("change", search);
byId("after").addEventListener("change", search);
byId("folder").addEventListener("input", later);
byId("clear").addEventListener("click", clearFilters);
byId("more").addEventListener("click", () => { state.limit = Math.min(MOST, state.limit + 3 * PAGE); search(); });
byId("theme").addEventListener("click", flipTheme);
byId("status").addEventListener("click", status.toggle);
byId("help").addEventListener("click", showKeys);
byId("home").addEventListener("click", (event) => { event.preventDefault(); box.value = ""; state.like = null; status.close(); search(); box.focus(); });
addEventListener("keydown", onKey);
addEventListener("hashchange", () => { recall(); search(); });

recall();
search();
listen();
box.focus();

export { Failure, ago };
