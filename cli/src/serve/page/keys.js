// Which keys are there, and what can a query say?

import { byId, h } from "./dom.js";

const KEYS = [
  ["/", "go to the search field"], ["j  k", "next, previous result (or arrows)"], ["Enter", "read the result in its document"],
  ["Esc", "back"], ["o", "open the file in its program"], ["f", "open its folder"], ["m", "more like this"], ["e", "why this result"],
  ["r", "rendered or plain text"], ["y", "copy the path"], ["1  2  3", "both, words, meaning"], ["s", "status"], ["t", "light or dark"], ["?", "this list"],
];

const QUERY = [
  ["when is the boiler serviced", "plain words are a question"], ["\"second winter\"", "words that stand together"],
  ["+heron -egret", "must be there, must not"], ["title:invoice", "in the title; also heading: name: path: body:"],
];

/** Shows the list of keys. */
export function showKeys() {
  const dialog = byId("keys");
  const rows = (pairs, tag) => h("dl", null, pairs.map(([key, text]) => [h("dt", null, key.split("  ").map((part) => h(tag, null, part))), h("dd", null, text)]));
  dialog.replaceChildren(h("form", { method: "dialog" },
    h("header", null, h("h2", null, "Keys"), h("button", { class: "quiet", "aria-label": "Close" }, "Close")), rows(KEYS, "kbd"),
    h("h2", null, "Queries"), rows(QUERY, "code")));
  dialog.showModal();
  dialog.focus();
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
