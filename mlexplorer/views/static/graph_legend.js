// What the colours mean: families of types, which are found by a click, or the scale of the numbers.

function familyChips(graph, find) {
  const counts = new Map();
  for (const node of graph.nodes) counts.set(node.family, (counts.get(node.family) ?? 0) + 1);
  const families = [...counts].sort((a, b) => (b[0] === "custom") - (a[0] === "custom") || b[1] - a[1]);
  return families.map(([family, count]) => {
    const chip = html(
      "button", {
        type: "button", class: `chip ${family}`, style: `--family:${graph.colours[family]}`,
        "aria-pressed": "false", title: `Find all: ${family}`, onclick: () => find(family),
      },
      html("i", { "aria-hidden": "true" }, family === "custom" ? "★" : ""), family, html("small", {}, count.toLocaleString("en")),
    );
    chip.dataset.words = family;
    return chip;
  });
}

function valueLegend(colouring) {
  const title = html("span", { class: "legend-title" }, colouring.title);
  const counts = colouring.counts();
  if (!counts.length) return [title, html("span", { class: "note" }, "no values yet")];
  if (colouring.name === "bits") {
    return [title, ...counts.map(([bits, count]) => html(
      "span", { class: "chip" },
      html("i", { "aria-hidden": "true", style: `background:${colouring.shade(bits).fill}` }), `${bits} bit`, html("small", {}, countLayers(count)),
    ))];
  }
  const ends = [colouring.low, colouring.high].map((value) => colouring.text(value));
  if (colouring.lowIsWorse) ends.reverse();
  const ramp = html("i", { "aria-hidden": "true", style: `background:linear-gradient(to right, ${RAMP.join(", ")})` });
  return [title, html("span", { class: "ramp" }, html("span", {}, ends[0]), ramp, html("span", {}, ends[1]))];
}
