// What does the document say around a hit, and why was it found?

import { ask, byId, bytes, day, extension, h, isWide, marked, matchedWords, number, post, split, still, visible } from "./dom.js";
import { coded, moreLikeThis, onlyFolder, short } from "./app.js";

const AROUND = 12;
const MOST = 200;
const TAGS = new Set(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "del", "a", "table", "thead", "tbody", "tr", "th", "td", "hr", "br", "sup", "sub"]);

const pane = byId("pane");
let shown = null;

const isOpen = () => !pane.hidden;

/** Shows `hit` in its document; with `focus` the pane takes the keys and, on a small screen, the screen. */
export async function open(hit, context, focus) {
  const again = shown?.hit.passage === hit.passage && isOpen();
  document.body.classList.add("reading");
  document.body.classList.toggle("reading-alone", focus && !isWide());
  pane.hidden = false;
  if (focus) pane.focus({ preventScroll: true });
  if (again && shown.context.q === context.q) { shown.context = context; return; }
  const same = shown?.hit.path === hit.path;
  shown = { hit, context, around: AROUND, view: same ? shown.view : null, why: shown?.why ?? false };
  await load();
}

async function load() {
  const mine = shown;
  const { hit, context } = mine;
  const waiting = setTimeout(() => { if (mine === shown) pane.replaceChildren(head(mine), h("div", { class: "body loading", "aria-busy": "true" }, h("i"), h("i"), h("i"), h("i"))); }, 120);
  try {
    const document = await ask(`api/v1/documents/${hit.passage}`, { q: context.q, around: mine.around });
    if (mine !== shown) return;
    mine.document = document;
    mine.nodes = null;
    if (document.kind === "markdown") {
      mine.nodes = await ask(`api/v1/documents/${hit.passage}/markdown`).then((rendered) => rendered.nodes, () => null);
      if (mine !== shown) return;
    }
    draw();
  } catch (error) {
    if (mine !== shown) return;
    pane.replaceChildren(head(mine), h("div", { class: "body" }, h("div", { class: "blank", role: "alert" }, h("h2", null, error.code === "gone" ? "No longer there" : "That did not work"), h("p", null, ...coded(visible(error.message))))));
  } finally {
    clearTimeout(waiting);
  }
}

function draw() {
  const rendered = shown.nodes && shown.view !== "text";
  const body = h("div", { class: `body ${rendered ? "prose" : kindOf(shown.document)}` }, rendered ? markdown(shown) : passages(shown));
  pane.replaceChildren(head(shown), shown.why && shown.hit.rank ? why(shown) : "", body);
  const target = body.querySelector(".target");
  if (target) {
    const top = target.getBoundingClientRect().top - pane.getBoundingClientRect().top;
    pane.scrollTop += top - Math.min(180, pane.clientHeight / 4);
  } else pane.scrollTop = 0;
}

const kindOf = (document) => (document.kind === "code" || document.kind === "json" || document.kind === "jsonlines" || document.kind === "table" ? "code" : "plain");

function head({ hit, context, document, nodes, view, why }) {
  const { name, folder } = split(hit.path);
  const facts = document && [day(document.modified), bytes(document.size), place(hit)].filter(Boolean);
  const button = (text, key, action, extra = {}) => h("button", { type: "button", class: "tool", title: `${text} (${key})`, onclick: action, ...extra }, text);
  return h("header", { class: "top" },
    h("div", { class: "names" },
      h("button", { type: "button", class: "tool back", onclick: () => back(), "aria-label": "Back to results" }, "\u2190"),
      h("h2", null, visible(hit.title)),
      h("button", { type: "button", class: "tool shut", onclick: () => close(), "aria-label": "Close the preview", title: "Close (Esc)" }, "\u00d7")),
    h("p", { class: "place" }, h("span", { class: "kind" }, extension(hit.path) || "file"),
      h("button", { type: "button", class: "path", title: `Only this folder: ${visible(folder)}`, onclick: () => onlyFolder(folder) }, h("span", { class: "folder" }, visible(short(folder)) + "/"), visible(name))),
    facts && h("p", { class: "facts" }, facts.join(" \u00b7 ")),
    h("div", { class: "actions", role: "toolbar", "aria-label": "Document" },
      context.canOpen && button("Open", "o", () => openFile("file")),
      context.canOpen && button("Folder", "f", () => openFile("folder")),
      button("More like this", "m", () => moreLikeThis(hit)),
      hit.rank && button("Why", "e", explain, { "aria-pressed": String(Boolean(why)) }),
      nodes && button(view === "text" ? "Rendered" : "Text", "r", flip),
      button("Copy path", "y", copyPath)),
    h("p", { class: "said", role: "status", "aria-live": "polite", hidden: true }));
}

const place = (hit) => (hit.page ? `page ${hit.page}` : hit.line ? `line ${hit.line}${hit.end_line > hit.line ? `\u2013${hit.end_line}` : ""}` : "");

function passages({ hit, document }) {
  const nodes = [];
  let heading = null;
  let page = null;
  if (document.first > 0) nodes.push(more("Show what comes before"));
  for (const passage of document.passages) {
    if (passage.page && passage.page !== page) { page = passage.page; nodes.push(h("p", { class: "pagemark" }, `Page ${page}`)); }
    if (passage.heading !== heading) { heading = passage.heading; if (heading) nodes.push(h("p", { class: "heading" }, visible(heading))); }
    const isTarget = passage.passage === hit.passage;
    nodes.push(h("div", { class: isTarget ? "passage target" : "passage", "data-line": passage.line, "aria-label": isTarget ? "The passage that was found" : null },
      passage.line && h("span", { class: "line", "aria-hidden": "true" }, String(passage.line)),
      h("div", { class: "words" }, marked(passage.text, passage.highlights, isTarget ? 0 : passage.repeated))));
  }
  if (document.first + document.passages.length < document.total) nodes.push(more("Show what comes after"));
  return nodes;
}

function more(text) {
  const { document, around } = shown;
  const left = document.total - document.passages.length;
  if (around >= MOST) return h("p", { class: "dim" }, `${number(left)} more passages; open the file to read on`);
  return h("button", { type: "button", class: "quiet", onclick: () => { shown.around = Math.min(MOST, shown.around * 4); load(); } }, text);
}

/** The rendered file, with the blocks of the passage and its matched words marked. */
function markdown({ hit, document, nodes }) {
  const passage = document.passages.find((one) => one.passage === hit.passage);
  const words = new Set(document.passages.flatMap((one) => matchedWords(one.text, one.highlights)));
  const pattern = words.size ? new RegExp(`(${[...words].sort((a, b) => b.length - a.length).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "giu") : null;
  const text = (value) => (pattern ? visible(value).split(pattern).map((part, i) => (i % 2 ? h("mark", null, part) : part)) : [visible(value)]);
  const build = (node) => {
    if (typeof node === "string") return text(node);
    if (!TAGS.has(node.tag)) return [];
    const link = node.href ? { href: node.href, rel: "noopener noreferrer", target: "_blank" } : {};
    const box = node.done === undefined ? [] : [h("input", { type: "checkbox", disabled: true, checked: node.done, "aria-label": node.done ? "done" : "not done" })];
    return [h(node.tag, link, box, node.nodes.flatMap(build))];
  };
  return nodes.flatMap((node, i) => {
    const next = nodes[i + 1]?.line ?? Infinity;
    const inside = passage?.line && node.line <= (passage.end_line ?? passage.line) && next > passage.line;
    const built = build(node);
    if (inside) built[0]?.classList?.add("target");
    return built;
  });
}

// ---- why -----------------------------------------------------------------------------------------------------------

function why({ hit, context }) {
  const { bm25, dense, dense_weight: weight } = hit.explain;
  const { answer, hits } = context;
  const next = hits[hits.findIndex((one) => one.passage === hit.passage) + 1];
  const margin = next && hit.score - next.score;
  const share = (leg, part) => (leg && part !== null ? leg.standardised * part : null);
  const rows = [
    ["Words", bm25, weight === null ? null : 1 - weight],
    ["Meaning", dense, weight],
  ].filter(([, leg]) => leg || answer.mode === "hybrid");
  const longest = Math.max(...rows.map(([, leg, part]) => Math.abs(share(leg, part) ?? leg?.standardised ?? 0)), 0.001);
  const terms = h("div", { class: "terms", "aria-busy": "true" });
  if (context.q && bm25) fillTerms(terms, hit, context.q);
  return h("section", { class: "why", "aria-label": "Why this result" },
    h("p", { class: "verdict" }, h("b", null, `Rank ${hit.rank}`), ` with a score of ${hit.score.toFixed(3)}`, margin !== undefined && next ? `, ${margin.toFixed(3)} ahead of the next` : ""),
    h("table", null, h("thead", null, h("tr", null, ["", "Rank", "Score", "Standardised", "Weight", ""].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", null, rows.map(([name, leg, part]) => {
        const value = share(leg, part) ?? leg?.standardised ?? 0;
        return h("tr", null, h("th", { scope: "row" }, name), h("td", null, leg ? (leg.rank ? `#${leg.rank}` : "deep") : "none"), h("td", null, leg ? leg.score.toFixed(3) : ""), h("td", null, leg ? leg.standardised.toFixed(2) : ""), h("td", null, part === null ? "" : part.toFixed(2)),
          h("td", { class: "grow" }, h("span", { class: value < 0 ? "meter minus" : "meter", style: { "--share": String(Math.abs(value) / longest) } })));
      }))),
    terms,
    h("p", { class: "dim" }, [`mode ${answer.mode}`, answer.encoder?.name, answer.device && `on ${answer.device}`, answer.precision, answer.dense_search && `${answer.dense_search} search`, `generation ${answer.generation}`].filter(Boolean).join(" \u00b7 ")));
}

async function fillTerms(node, hit, q) {
  try {
    const { terms } = await ask("api/v1/explain", { q, passage: hit.passage });
    const most = Math.max(...terms.map((term) => term.score), 0.001);
    node.replaceChildren(...terms.filter((term) => term.term).slice(0, 12).map((term) =>
      h("span", { class: term.score > 0 ? "term" : "term missing", style: { "--share": String(term.score / most) }, title: `adds ${term.score.toFixed(3)}; idf ${term.idf.toFixed(2)}; in ${number(term.passages)} passages` },
        visible(term.term), h("small", null, term.score > 0 ? `+${term.score.toFixed(2)}` : "not here"))));
  } catch { node.replaceChildren(); }
  node.removeAttribute("aria-busy");
}

/** Shows or hides where the score comes from. */
export function explain() {
  if (!shown?.hit.rank || !isOpen()) return;
  shown.why = !shown.why;
  if (shown.document) draw();
  if (shown.why) pane.scrollTop = 0;
}

// ---- actions -------------------------------------------------------------------------------------------------------

function say(text) {
  const said = pane.querySelector(".said");
  if (!said) return;
  said.hidden = false;
  said.textContent = text;
  setTimeout(() => { said.hidden = true; }, 4000);
}

/** Opens the file or its folder in the system's own program. */
export async function openFile(what) {
  if (!shown || !isOpen() || !shown.context.canOpen) return;
  try {
    const { opened } = await post(`api/v1/documents/${shown.hit.passage}/open`, { what });
    say(opened === shown.hit.path ? "Opened" : `Opened ${visible(opened)}`);
  } catch (error) { say(visible(error.message)); }
}

export async function copyPath() {
  if (!shown || !isOpen()) return;
  try { await navigator.clipboard.writeText(shown.hit.path); say("Path copied"); } catch { say(visible(shown.hit.path)); }
}

/** Between the rendered and the plain text of a Markdown file. */
export function flip() {
  if (!shown?.nodes) return;
  shown.view = shown.view === "text" ? null : "text";
  draw();
}

export function close() {
  pane.hidden = true;
  shown = null;
  document.body.classList.remove("reading", "reading-alone");
}

/** Goes back from reading to the results; false if nobody was reading. */
export function back() {
  if (!isOpen()) return false;
  const inside = pane.contains(document.activeElement) || document.body.classList.contains("reading-alone");
  if (!inside || !isWide()) close();
  return true;
}

export { still };
