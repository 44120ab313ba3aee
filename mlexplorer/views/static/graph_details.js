// The panel beside the graph: everything about the selected layer, or about the model where none is.

const ENCODINGS = { float32: "32-bit float", float16: "16-bit float", int8: "8-bit integers, dynamic" };

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

function byteText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
}

function encodingText(weight) {
  if (weight.kind === "linear") return `linear, ${weight.bits} bit`;
  if (weight.kind === "lookup_table") return `look-up table, ${weight.bits} bit`;
  return ENCODINGS[weight.kind] ?? weight.kind;
}

const shapeText = (shape) => (shape.length ? shape.join(" × ") : "scalar");

function definitions(rows) {
  const items = rows
    .filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([term, value]) => html("div", {}, html("dt", {}, term), html("dd", {}, typeof value === "object" ? value : String(value))));
  return items.length ? html("dl", {}, items) : null;
}

const section = (title, ...children) => {
  const shown = children.flat().filter(Boolean);
  return shown.length ? html("section", {}, html("h4", {}, title), shown) : null;
};

function weightTable(weights) {
  const rows = weights.map((weight) =>
    html(
      "tr", {},
      html("th", { scope: "row" }, weight.name),
      html("td", {}, shapeText(weight.shape)),
      html("td", {}, encodingText(weight)),
      html("td", { class: "number" }, byteText(weight.nbytes)),
    ),
  );
  const head = ["Weight", "Shape", "Encoding", "Size"].map((title) => html("th", { scope: "col" }, title));
  return html("table", {}, html("thead", {}, html("tr", {}, head)), html("tbody", {}, rows));
}

const badge = (node, colours) =>
  html(
    "span", { class: `type ${node.family}`, style: `--family:${colours[node.family]}` },
    node.family === "custom" ? `★ custom: ${node.custom?.className ?? node.type}` : node.type,
  );

// The buttons that choose a layer within a block, and a copy of a repeated one.
function members(box, chosen, nodes, choose) {
  const copy = Math.max(0, box.copies.findIndex((ids) => ids.includes(chosen)));
  const place = Math.max(0, box.copies[copy].indexOf(chosen));
  const parts = [];
  if (box.copies.length > 1) {
    const options = box.copies.map((ids, i) =>
      html("option", { value: i, selected: i === copy }, `${i + 1} of ${box.copies.length}: ${nodes.get(ids[place])?.name ?? ""}`),
    );
    const select = html("select", { onchange: () => choose(box.copies[Number(select.value)][place]) }, options);
    parts.push(html("label", { class: "copies" }, "Copy ", select));
  }
  if (box.copies[copy].length > 1) {
    const buttons = box.copies[copy].map((id, i) => {
      const node = nodes.get(id);
      return html(
        "button", { type: "button", "aria-pressed": i === place ? "true" : "false", title: node.name, onclick: () => choose(id) },
        node.kind,
      );
    });
    parts.push(html("div", { class: "members", role: "group", "aria-label": "Layers in this block" }, buttons));
  }
  return parts;
}

function nodeDetails(node, colours, before, foldButtons) {
  const custom = node.custom;
  return [
    html("header", {}, badge(node, colours), html("h3", {}, node.name || node.type)),
    before,
    foldButtons,
    custom
      ? section("Custom layer", definitions([
          ["Class", custom.className],
          ["Description", custom.description],
          ...Object.entries(custom.parameters),
        ]))
      : null,
    node.weights.length ? section(`Weights: ${plural(node.weights.reduce((sum, w) => sum + w.count, 0), "value")}`, weightTable(node.weights)) : null,
    section("Parameters", definitions(Object.entries(node.parameters))),
    section("Connections", definitions([
      ["Reads", node.inputs.join(", ")],
      ["Writes", node.outputs.join(", ")],
      ["Inside", node.scope],
    ])),
  ];
}

function modelDetails(graph) {
  const count = (filter) => graph.nodes.filter(filter).length;
  const weights = graph.nodes.flatMap((node) => node.weights);
  const customs = count((node) => node.family === "custom");
  const types = new Map();
  for (const node of graph.nodes) types.set(node.type, (types.get(node.type) ?? 0) + 1);
  const sorted = [...types].sort((a, b) => b[1] - a[1]);
  return [
    html("header", {}, html("h3", {}, plural(graph.nodes.length, "layer"))),
    html("p", { class: "note" }, "Click a layer, or walk with the arrow keys, to see what it holds."),
    section("Model", definitions([
      ["Weights", weights.length ? plural(weights.reduce((sum, w) => sum + w.count, 0), "value") : ""],
      ["Size of weights", weights.length ? byteText(weights.reduce((sum, w) => sum + w.nbytes, 0)) : ""],
      ["Custom layers", customs ? String(customs) : ""],
    ])),
    section("Types", definitions(sorted.map(([type, n]) => [type, n.toLocaleString("en")]))),
  ];
}
