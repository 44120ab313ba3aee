// A classifier's best labels before and after, joined by lines, and a contact sheet of many pictures.

const TOP_LABELS = 5;
const ROW = 34;

// Labels come as [label, probability, rank, the original's probability, the original's rank].
const best = (output) => output.labels.find(([, , rank]) => rank === 1);
function percent(share) {
  if (share === null) return "not a number";
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(share * 100).toFixed(share > 0.9995 || share === 0 ? 0 : 1)} %`;
}
const ordinal = (rank) => `${rank}${["th", "st", "nd", "rd"][rank % 100 > 10 && rank % 100 < 14 ? 0 : rank % 10] ?? "th"}`;

// What became of a label, as a mark and in words: from rank `from` of the one list to rank `to` of the other.
function change(from, to, isOriginal) {
  if (from === to) return { mark: "", words: "", kind: "same" };
  if (isOriginal) return to > TOP_LABELS ? { mark: `↘${ordinal(to)}`, words: `now ${ordinal(to)}`, kind: "moved" } : { mark: "", words: "", kind: "moved" };
  if (from > TOP_LABELS) return { mark: "new", words: `new, was ${ordinal(from)}`, kind: "moved" };
  return to < from ? { mark: `▲${from - to}`, words: `up ${from - to}`, kind: "moved" } : { mark: `▼${to - from}`, words: `down ${to - from}`, kind: "moved" };
}

function labelList(title, entries, className) {
  const items = entries.map(({ label, share, rank, other, became }) => html(
    "li", { class: became?.kind ?? "", title: [`${label}: ${percent(share)}`, other === undefined ? "" : `${className === "before" ? "then" : "before"} ${percent(other)}`, became?.words].filter(Boolean).join(", ") },
    html("span", { class: "rank", "aria-hidden": "true" }, String(rank)),
    html("span", { class: "label" }, label),
    became?.mark ? html("span", { class: "became" }, html("span", { "aria-hidden": "true" }, became.mark), html("span", { class: "unseen" }, `, ${became.words}, `)) : null,
    html("span", { class: "number" }, percent(share)),
    html("span", { class: "share", "aria-hidden": "true" }, html("span", { style: `width:${((share ?? 0) * 100).toFixed(1)}%` }), other === undefined ? null : html("i", { style: `left:${((other ?? 0) * 100).toFixed(1)}%` })),
  ));
  return html("div", { class: `best ${className}` }, html("h4", {}, title), html("ol", {}, items));
}

// Lines from where a label was to where it is; out of the list where it left the five best.
function joins(labels) {
  const height = ROW * TOP_LABELS;
  const y = (rank) => (Math.min(rank, TOP_LABELS + 0.75) - 0.5) * ROW;
  const lines = labels.map(([, , rank, , before]) => svg("path", {
    d: `M0,${y(before)}C18,${y(before)} 18,${y(rank)} 36,${y(rank)}`,
    class: rank === before ? "same" : rank > TOP_LABELS || before > TOP_LABELS ? "moved beyond" : "moved",
  }));
  return svg("svg", { class: "joins", viewBox: `0 0 36 ${height}`, width: 36, height, "aria-hidden": "true" }, lines);
}

function classesPanel() {
  const picture = html("img", { class: "given", alt: "", draggable: "false" });
  const verdict = html("p", { class: "verdict", role: "status" });
  const lists = html("div", { class: "lists" });
  const element = html("div", { class: "classes" }, html("div", { class: "says" }, picture, verdict), lists);

  function show({ before, after, names, address, missing }) {
    picture.hidden = !address;
    if (address && picture.getAttribute("src") !== address) picture.src = address;
    const original = before.labels.filter(([, , rank]) => rank <= TOP_LABELS);
    const known = new Map((after?.labels ?? []).map((entry) => [entry[0], entry]));
    const left = original.map(([label, share, rank]) => {
      const entry = known.get(label);
      return { label, share, rank, other: entry?.[1], became: entry && change(rank, entry[2], true) };
    });
    const right = (after?.labels ?? []).filter(([, , rank]) => rank <= TOP_LABELS)
      .map(([label, share, rank, other, was]) => ({ label, share, rank, other, became: change(was, rank, false) }));
    lists.replaceChildren(
      labelList(names.before, left, "before"),
      after ? joins(after.labels) : html("span"),
      after ? labelList(names.after, right, "after") : html("p", { class: "note" }, missing),
    );
    const [first, then] = [best(before)?.[0] ?? "no label", after && (best(after)?.[0] ?? "no label")];
    verdict.title = !after || first === then ? first : `${first} → ${then}`;
    verdict.dataset.agrees = String(!after || first === then);
    verdict.replaceChildren(...(!after || first === then
      ? [html("span", { class: "sign", "aria-hidden": "true" }, "✓"), html("span", {}, html("strong", { class: "name" }, first), after ? html("small", {}, "the same label") : null)]
      : [html("span", { class: "sign", "aria-hidden": "true" }, "✗"), html("span", {}, html("strong", { class: "name" }, html("s", {}, first), " → ", then), html("small", {}, "another label"))]));
  }
  return { element, show };
}

// How often the label stays, with Wilson's interval from Python.
function agreementWords({ count, total, low, high }) {
  const bound = (share) => (share * 100).toFixed(0);
  return html("span", {}, "Top-1 agreement ", html("strong", {}, `${count} of ${total}`), ` (${percent(count / total)}; 95 % interval ${bound(low)}–${bound(high)} %)`);
}

function contactSheet(choose) {
  const words = html("p", { class: "agreement", role: "status" });
  const only = html("input", { type: "checkbox", onchange: () => { element.classList.toggle("only-changed", only.checked); } });
  const filter = html("label", { class: "filter" }, only, "only changed");
  const grid = html("div", { class: "tiles", role: "radiogroup", "aria-label": "Pictures, each with its label" });
  const element = html("div", { class: "contacts", hidden: true }, html("div", { class: "count" }, words, filter), grid);
  let tiles = [];
  let offered = null;

  function offer(inputs) {
    if (inputs === offered) return;
    offered = inputs;
    tiles = inputs.names.map((name, image) => {
      const sign = html("span", { class: "sign", "aria-hidden": "true" });
      const label = html("span", { class: "label" });
      const tile = html(
        "div", { class: "tile", role: "radio", tabindex: "-1", onclick: () => choose({ image }) },
        html("img", { src: inputs.addresses[image], alt: "", draggable: "false", loading: "lazy" }), sign, label,
      );
      return { tile, sign, label, name, said: "" };
    });
    grid.replaceChildren(...tiles.map(({ tile }) => tile));
  }

  // `find` gives the original's and the chosen output of a picture.
  function show({ image, find, agreement, depth }) {
    element.hidden = tiles.length < 2;
    if (element.hidden) return;
    words.replaceChildren(agreement ? agreementWords(agreement) : html("span", {}, `Top-1 agreement at ${depth}: not computed yet`));
    tiles.forEach(({ tile, sign, label, name }, index) => {
      const { before, after } = find(index);
      const [first, then] = [before && best(before)?.[0], after && best(after)?.[0]];
      const state = first === undefined || then === undefined ? "waiting" : first === then ? "agrees" : "changed";
      const text = then ?? first ?? "";
      const said = `${name}: ${state === "waiting" ? "not computed yet" : state === "agrees" ? `${then}, agrees` : `${then}, changed from ${first}`}`;
      const chosen = index === image;
      if (tile.getAttribute("aria-checked") !== String(chosen)) {
        tile.setAttribute("aria-checked", String(chosen));
        tile.tabIndex = chosen ? 0 : -1;
      }
      if (tiles[index].said === said) return;
      tiles[index].said = said;
      tile.dataset.state = state;
      write(sign, { waiting: "…", agrees: "✓", changed: "✗" }[state]);
      write(label, text);
      tile.setAttribute("aria-label", said);
      tile.title = said;
    });
  }
  const columns = () => {
    const top = tiles[0]?.tile.offsetTop;
    const next = tiles.findIndex(({ tile }) => tile.offsetTop !== top && tile.offsetParent);
    return next < 0 ? tiles.length : next;
  };
  arrowKeys(grid, (key) => {
    const seen = tiles.map(({ tile }) => tile).filter((tile) => tile.offsetParent);
    const at = seen.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns(), ArrowDown: at + columns(), Home: 0, End: seen.length - 1 }[key];
    if (at < 0 || !seen[to]) return false;
    seen[to].click();
    seen[to].focus();
    return true;
  });
  return { element, offer, show, hide: () => { element.hidden = true; } };
}
