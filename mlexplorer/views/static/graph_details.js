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

// A name that may break behind dots and before capitals.
const breakable = (name) => name.split(/(?<=\.)|(?<=[a-z])(?=[A-Z])/).flatMap((part, i) => (i ? [html("wbr"), part] : [part]));

function definitions(rows) {
  const items = rows
    .filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([term, value]) => html("div", {}, html("dt", {}, breakable(term)), html("dd", {}, typeof value === "object" ? value : String(value))));
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
    parts.push(html("label", { class: "copies" }, "Repeat ", select));
  }
  if (box.copies[copy].length > 1) {
    const buttons = box.copies[copy].map((id, i) => {
      const node = nodes.get(id);
      return html(
        "button", { type: "button", "aria-pressed": i === place ? "true" : "false", title: node.name, onclick: () => choose(id) },
        node.kind,
      );
    });
    const group = html("div", { class: "members", role: "toolbar", "aria-label": "Layers in this block" }, buttons);
    oneStop(group);
    parts.push(group);
  }
  return parts;
}

// A value by name, with its shape where that is known, and a button to who writes or reads it.
function flow(names, graph, others, choose) {
  return names.map((name) => {
    const links = others(name).slice(0, 8).map((node) =>
      html("button", { type: "button", class: "link", title: `Go to ${node.name || node.type}`, onclick: () => choose(node.id) }, node.name || node.type),
    );
    return [name, html("span", {}, graph.shapes[name] ? html("span", { class: "shape" }, graph.shapes[name]) : null, links.length ? links : html("small", {}, graph.features[name] ?? ""))];
  });
}

// What a layer reads and writes, its neighbours one stop of the Tab key.
function connections(node, graph, choose) {
  const group = html(
    "div", { class: "connections", role: "group", "aria-label": "Connected layers" },
    section("Inputs", definitions(flow(node.inputs, graph, (name) => graph.writers(node, name), choose))),
    section("Outputs", definitions(flow(node.outputs, graph, (name) => graph.readers(node, name), choose))),
  );
  oneStop(group);
  return group;
}

const UNKNOWN_LAYER = "This version of mlexplorer knows no layer of this type and cannot run it: the file is newer, or it is damaged. What is in the layer stays as it is when the model is saved.";

function nodeDetails(node, graph, { before, folds, colouring, source, choose }) {
  const { custom } = node;
  const value = colouring && !colouring.byType && !["size", "bits"].includes(colouring.name) ? colouring.textOf(node.id) : "";
  const bits = colouring?.name === "bits" ? colouring.textOf(node.id) : "";
  return [
    html("header", {}, badge(node, graph.colours), html("h3", {}, node.name || node.type)),
    before,
    folds,
    node.family === "unknown" ? html("p", { class: "note" }, UNKNOWN_LAYER) : null,
    value || bits ? definitions([[colouring.title, value || bits]]) : null,
    custom
      ? section("Custom layer", definitions([
          ["Class", custom.className],
          ["Description", custom.description],
          ...Object.entries(custom.parameters),
        ]), source)
      : null,
    node.weights.length ? section(`Weights: ${plural(node.weights.reduce((sum, w) => sum + w.count, 0), "value")}, ${byteText(nodeBytes(node))}`, weightTable(node.weights)) : null,
    connections(node, graph, choose),
    section("Parameters", definitions(Object.entries(node.parameters))),
    node.scope ? section("Place", definitions([["Inside", node.scope]])) : null,
  ];
}

// The skeletons of a custom layer's class, asked for once: a choice of languages, the text, a button to copy it.
function sourcePanel(found, chosen, choose) {
  const box = html("div", { class: "source" });
  if (!found) {
    box.append(html("p", { class: "note", role: "status" }, "Asking the kernel for the class to copy…"));
  } else if (found.fault || found.late) {
    box.append(html("p", { class: "note", role: "status" }, found.fault ?? "The class to copy needs a running kernel."));
  } else {
    const languages = Object.keys(found.source).sort().reverse();
    const language = languages.includes(chosen) ? chosen : languages[0];
    const buttons = languages.map((name) =>
      html("button", { type: "button", "aria-pressed": String(name === language), onclick: () => choose(name) }, name),
    );
    const group = html("div", { class: "group", role: "toolbar", "aria-label": "Language of the class" }, buttons);
    oneStop(group);
    box.append(
      html(
        "div", { class: "languages" },
        group,
        copyButton(() => found.source[language]),
      ),
      html("pre", { tabindex: "0", "aria-label": `${language} class` }, found.source[language]),
    );
  }
  return box;
}

function networkDetails(box, graph, folds) {
  const nodes = box.copies[0].map((id) => graph.byId.get(id));
  return [
    html("header", {}, html("span", { class: "type network", style: `--family:${graph.colours.network}` }, "network inside the model"), html("h3", {}, box.title)),
    folds,
    ...summary(nodes),
  ];
}

function featureDetails(box, graph, folds) {
  const names = box.copies[0];
  const rows = names.map((name) => [name, graph.features[name] || " "]);
  return [
    html("header", {}, html("span", { class: "type feature" }, `${box.kind} of the model`), html("h3", {}, names.length > 1 ? plural(names.length, box.kind) : names[0])),
    folds,
    definitions(names.length > 1 ? rows : [["Type", graph.features[names[0]]], ["Shape", graph.shapes[names[0]]]]),
  ];
}

function summary(nodes) {
  const weights = nodes.flatMap((node) => node.weights);
  const customs = nodes.filter((node) => node.family === "custom").length;
  const types = new Map();
  for (const node of nodes) types.set(node.type, (types.get(node.type) ?? 0) + 1);
  const sorted = [...types].sort((a, b) => b[1] - a[1]);
  return [
    definitions([
      ["Weights", weights.length ? plural(weights.reduce((sum, w) => sum + w.count, 0), "value") : ""],
      ["Size of weights", weights.length ? byteText(weights.reduce((sum, w) => sum + w.nbytes, 0)) : ""],
      ["Custom layers", customs ? String(customs) : ""],
    ]),
    html("div", { class: "counts" }, section("Types", definitions(sorted.map(([type, n]) => [type, n.toLocaleString("en")])))),
  ];
}

function modelDetails(graph) {
  return [
    html("header", {}, html("h3", {}, plural(graph.nodes.length, "layer"))),
    html("p", { class: "note hint" }, "Click a layer, or walk with the arrow keys, to see what it holds. Enter opens a block."),
    ...summary(graph.nodes),
  ];
}
