// The layers as a drawing: select by click or arrow keys, open folded blocks, search, look around, save as SVG or PNG.

const LARGEST_PNG = 16384;
const PATIENCE = 10000;
const PNG_SCALE = 2;

const decode = (buffer) => new TextDecoder().decode(buffer);

const icon = (path) =>
  svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, svg("path", { d: path }));

function button(label, content, onclick, attributes = {}) {
  return html("button", { type: "button", title: label, "aria-label": label, onclick, ...attributes }, content);
}

function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = html("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

async function pngOf(text, { width, height }) {
  const scale = Math.min(PNG_SCALE, LARGEST_PNG / width, LARGEST_PNG / height);
  const picture = new Image(width * scale, height * scale);
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    picture.src = url;
    await picture.decode();
    const canvas = html("canvas", { width: Math.ceil(width * scale), height: Math.ceil(height * scale) });
    const brush = canvas.getContext("2d");
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally {
    URL.revokeObjectURL(url);
  }
}

// One drawing in one element: its boxes by key, where they are, and who follows whom.
class Drawing {
  constructor(message, graph) {
    const parsed = new DOMParser().parseFromString(message.text, "image/svg+xml");
    this.element = document.importNode(parsed.documentElement, true);
    const [, , width, height] = this.element.getAttribute("viewBox").split(" ").map(Number);
    this.size = { width, height };
    this.element.setAttribute("width", width);
    this.element.setAttribute("height", height);
    this.element.setAttribute("role", "presentation");
    this.element.querySelector("g.graph").setAttribute("role", "presentation");
    this.boxes = new Map(message.boxes.map((box) => [box.key, { ...box, before: [], after: [] }]));
    this.frames = new Map(message.frames.map((frame) => [frame.key, { ...frame }]));
    this.edges = [...this.element.querySelectorAll("g.edge")];
    for (const [source, target] of message.edges) {
      this.boxes.get(source).after.push(target);
      this.boxes.get(target).before.push(source);
    }
    this.boxOf = new Map();
    for (const box of this.boxes.values()) {
      if (box.kind === "layer" || box.kind === "chain") for (const id of box.copies.flat()) this.boxOf.set(id, box);
    }
    for (const group of this.element.querySelectorAll("g.node, g.cluster")) this.#adopt(group, graph);
  }

  #adopt(group, graph) {
    const key = group.id;
    const item = this.boxes.get(key) ?? this.frames.get(key);
    group.id = uniqueId(key);
    group.dataset.key = key;
    item.element = group;
    const isBox = this.boxes.has(key);
    if (isBox) {
      const names = item.copies[0].map((id) => {
        const node = graph.nodes.get(id);
        return node ? [node.name, node.custom?.className ?? node.kind].join(", ") : `${item.kind} ${id}`;
      });
      const folded = item.copies.length > 1 ? `, stands for ${item.copies.length} equal ones` : "";
      group.setAttribute("role", "option");
      group.setAttribute("aria-selected", "false");
      group.setAttribute("aria-label", (graph.nodes.get(item.copies[0][0])?.family === "custom" ? "custom layer " : "") + names.join("; ") + folded);
      item.words = item.copies.flat().map((id) => {
        const node = graph.nodes.get(id);
        return node ? `${node.name} ${node.type} ${node.kind} ${node.family} ${node.custom?.className ?? ""}` : `${id} ${item.kind}`;
      }).join("\n").toLowerCase();
    } else {
      group.setAttribute("role", "presentation");
    }
    const points = [...group.querySelector("path:not(.pile)").getAttribute("d").matchAll(/(-?[\d.]+),(-?[\d.]+)/g)];
    const [xs, ys] = [points.map((point) => +point[1]), points.map((point) => +point[2])];
    const [, left, top] = /translate\((-?[\d.]+)[ ,]+(-?[\d.]+)\)/.exec(group.parentNode.getAttribute("transform"));
    item.area = {
      left: Math.min(...xs) + +left, right: Math.max(...xs) + +left, top: Math.min(...ys) + +top, bottom: Math.max(...ys) + +top,
    };
    if (item.fold) {
      const [x, y] = [Math.max(...xs) - (isBox ? 3 : 12), Math.min(...ys) + (isBox ? 3 : 12)];
      const sign = item.opened ? "M-3.5 0H3.5" : "M-3.5 0H3.5M0-3.5V3.5";
      const title = isBox ? "Unfold" : item.opened ? "Fold" : `Unfold all ${item.count}`;
      const mark = svg(
        "g", { class: "fold", transform: `translate(${x} ${y})`, "aria-hidden": "true" },
        svg("title", {}, title), svg("circle", { r: 7 }), svg("path", { d: sign }),
      );
      mark.dataset.fold = item.fold;
      group.append(mark);
    }
  }

  // The box that an arrow key leads to: along the arrows, or beside it on the same row.
  neighbour(box, key) {
    const middle = (other) => (other.area.left + other.area.right) / 2;
    const row = (other) => (other.area.top + other.area.bottom) / 2;
    const nearest = (others) =>
      others.sort((a, b) => Math.abs(middle(a) - middle(box)) - Math.abs(middle(b) - middle(box)))[0];
    const all = [...this.boxes.values()];
    const reach = (box.area.bottom - box.area.top) * 0.8;
    const beside = all.filter((other) => other !== box && Math.abs(row(other) - row(box)) < reach);
    switch (key) {
      case "ArrowDown":
        return nearest(box.after.map((other) => this.boxes.get(other))) ?? nearest(all.filter((other) => row(other) > row(box) + reach && row(other) < row(box) + 4 * reach));
      case "ArrowUp":
        return nearest(box.before.map((other) => this.boxes.get(other))) ?? nearest(all.filter((other) => row(other) < row(box) - reach && row(other) > row(box) - 4 * reach));
      case "ArrowRight":
        return nearest(beside.filter((other) => middle(other) > middle(box)));
      case "ArrowLeft":
        return nearest(beside.filter((other) => middle(other) < middle(box)));
      case "Home":
        return all[0];
      case "End":
        return all[all.length - 1];
      default:
        return undefined;
    }
  }
}

function mountGraph({ model, root, data, choose }) {
  const search = html("input", { type: "search", placeholder: "Find a layer…", "aria-label": "Find a layer by name or type", spellcheck: "false" });
  const found = html("span", { class: "note found", role: "status" });
  const foldAll = html("button", { type: "button", class: "fold-all" });
  const sheet = html("div", { class: "sheet", role: "presentation" });
  const pane = html("div", { class: "pane", role: "listbox", tabindex: "0", "aria-label": "Layers of the model" }, sheet);
  const notice = html("p", { class: "notice", role: "status" }, "Drawing the graph…");
  const details = html("aside", { class: "details", "aria-label": "Details of the selected layer", tabindex: "0" });
  const legend = html("div", { class: "legend", role: "group", "aria-label": "Families of layers" });
  const camera = new Camera(pane, sheet);
  const stem = () => data.graph?.stem ?? "model";
  const sizeOf = () => drawing?.size ?? { width: 1, height: 1 };
  root.append(
    html(
      "div", { class: "bar" },
      html("div", { class: "search" }, search, found),
      foldAll,
      html(
        "div", { class: "group" },
        button("Zoom out", icon("M3 8h10"), () => camera.zoomBy(1 / ZOOM_STEP)),
        button("Zoom in (Ctrl or ⌘ and the wheel zoom, too)", icon("M3 8h10M8 3v10"), () => camera.zoomBy(ZOOM_STEP)),
        button("Show all of it", icon("M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10"), () => camera.fit()),
      ),
      html(
        "div", { class: "group" },
        button("Save as SVG", "SVG", () => data.drawing?.text && save(`${stem()}-graph.svg`, "image/svg+xml", data.drawing.text)),
        button("Save as PNG", "PNG", async () => {
          if (data.drawing?.text) save(`${stem()}-graph.png`, "image/png", await pngOf(data.drawing.text, sizeOf()));
        }),
      ),
    ),
    html("div", { class: "stage" }, html("div", { class: "view" }, pane, notice), details),
    legend,
  );

  let drawing = null;
  let shown = null;
  let active = null;
  let started = false;
  let anchor = null;

  const unfolded = () => (data.drawing?.opened ?? []).includes("*");
  const toggle = (fold, close, around) => {
    anchor = around ? { area: around.area, ids: around.copies?.[0] ?? null, key: around.key } : null;
    pane.classList.add("waiting");
    model.send({ type: close ? "close" : "open", fold });
  };
  const openFrame = (box) => box.frames.map((key) => drawing.frames.get(key)).find((frame) => frame.opened);
  const closedFrame = (box) => box.frames.map((key) => drawing.frames.get(key)).find((frame) => frame.fold && !frame.opened);

  const select = (box, id, reveal) => {
    if (!box) return;
    active = box.key;
    const ids = box.copies.flat();
    const isLayer = box.kind === "layer" || box.kind === "chain";
    const withWeights = box.copies[0].find((other) => data.graph.byId.get(other)?.weights.length);
    const layer = !isLayer ? "" : id ?? (ids.includes(model.get("layer")) ? model.get("layer") : withWeights ?? ids[0]);
    if (layer !== model.get("layer")) choose({ layer });
    update();
    if (reveal) camera.reveal(box.area);
  };

  function foldButtons(box) {
    const [opened, closed] = [openFrame(box), closedFrame(box)];
    const buttons = [];
    if (box.fold) {
      const what = box.kind === "chain" ? `these ${box.copies[0].length} layers` : `all ${box.copies[0].length} ${box.kind}s`;
      buttons.push(html("button", { type: "button", onclick: () => toggle(box.fold, false, box) }, `Unfold ${what}`));
    }
    if (closed) buttons.push(html("button", { type: "button", onclick: () => toggle(closed.fold, false, box) }, `Unfold × ${closed.count}`));
    if (opened) {
      const what = opened.kind === "chain" ? "into one block" : `× ${opened.count}`;
      buttons.push(html("button", { type: "button", onclick: () => toggle(opened.fold, true, box) }, `Fold ${what}`));
    }
    return buttons.length ? html("div", { class: "folds" }, buttons) : null;
  }

  function showDetails(box) {
    const layer = model.get("layer");
    const { byId } = data.graph;
    if (box && box.copies.flat().includes(layer)) {
      const parts = members(box, layer, byId, (id) => select(box, id, false));
      details.replaceChildren(...nodeDetails(byId.get(layer), data.graph.colours, parts, foldButtons(box)).flat().filter(Boolean));
    } else if (box) {
      const names = box.copies[0];
      const rows = names.map((name) => [name, data.graph.features[name] || " "]);
      const title = names.length > 1 ? plural(names.length, box.kind) : names[0];
      details.replaceChildren(
        ...[
          html("header", {}, html("span", { class: "type feature" }, `${box.kind} of the model`), html("h3", {}, title)),
          foldButtons(box),
          definitions(names.length > 1 ? rows : [["Type", data.graph.features[names[0]]]]),
        ].filter(Boolean),
      );
    } else {
      details.replaceChildren(...modelDetails(data.graph).filter(Boolean));
    }
  }

  let described = null;
  function update() {
    if (!drawing) return;
    const layer = model.get("layer");
    const owner = layer ? drawing.boxOf.get(layer) : undefined;
    if (owner) active = owner.key;
    else if (layer || ["layer", "chain"].includes(drawing.boxes.get(active)?.kind)) active = null;
    const box = drawing.boxes.get(active);
    for (const other of drawing.boxes.values()) {
      const is = other === box;
      other.element.classList.toggle("chosen", is);
      other.element.setAttribute("aria-selected", String(is));
    }
    for (const edge of drawing.edges) {
      edge.classList.toggle("near", Boolean(box) && [edge.dataset.source, edge.dataset.target].includes(box.key));
    }
    if (box) pane.setAttribute("aria-activedescendant", box.element.id);
    else pane.removeAttribute("aria-activedescendant");
    const description = [shown, active, layer];
    if (!described || description.some((part, i) => part !== described[i])) {
      if (!described || active !== described[1]) details.scrollTop = 0;
      described = description;
      showDetails(box);
    }
  }

  let hits = [];
  function find() {
    const words = search.value.trim().toLowerCase();
    hits = words && drawing ? [...drawing.boxes.values()].filter((box) => box.words.includes(words)) : [];
    const marked = new Set(hits);
    pane.classList.toggle("searching", Boolean(words));
    for (const box of drawing?.boxes.values() ?? []) box.element.classList.toggle("hit", marked.has(box));
    const layers = hits.flatMap((box) => box.copies.flat()).filter((id) => {
      const node = data.graph.byId.get(id);
      return node && `${node.name} ${node.type} ${node.kind} ${node.family} ${node.custom?.className ?? ""}`.toLowerCase().includes(words);
    });
    found.textContent = !words ? "" : hits.length ? plural(layers.length || hits.length, layers.length ? "layer" : "match") : "nothing found";
    for (const chip of legend.children) chip.setAttribute("aria-pressed", String(chip.dataset.family === words));
  }

  function nextHit(step) {
    const at = hits.findIndex((box) => box.key === active);
    const next = hits.length ? hits[at < 0 ? (step > 0 ? 0 : hits.length - 1) : (at + step + hits.length) % hits.length] : null;
    const words = search.value.trim().toLowerCase();
    const id = next?.copies.flat().find((other) => data.graph.byId.get(other)?.name.toLowerCase().includes(words));
    select(next, id, true);
  }

  function drawLegend() {
    const counts = new Map();
    for (const node of data.graph.nodes) counts.set(node.family, (counts.get(node.family) ?? 0) + 1);
    const families = [...counts].sort((a, b) => (b[0] === "custom") - (a[0] === "custom") || b[1] - a[1]);
    legend.replaceChildren(
      ...families.map(([family, count]) => {
        const chip = html(
          "button", { type: "button", class: family, style: `--family:${data.graph.colours[family]}`, "aria-pressed": "false" },
          html("i", { "aria-hidden": "true" }, family === "custom" ? "★" : ""), family, html("small", {}, count.toLocaleString("en")),
        );
        chip.dataset.family = family;
        chip.addEventListener("click", () => {
          search.value = chip.getAttribute("aria-pressed") === "true" ? "" : family;
          find();
          if (hits.length && !hits.some((box) => box.key === active)) camera.reveal(hits[0].area);
        });
        return chip;
      }),
    );
  }

  function begin() {
    if (!drawing || camera.hidden) return;
    started = true;
    const top = drawing.boxes.values().next().value;
    const focus = drawing.boxOf.get(model.get("layer"));
    camera.start(top?.area ?? { left: 0, right: 0 }, focus?.area);
  }

  function draw() {
    shown = data.drawing;
    pane.classList.remove("waiting");
    if (shown.failed) {
      notice.textContent = shown.failed;
      notice.hidden = false;
      return;
    }
    notice.hidden = true;
    drawing = new Drawing(shown, { nodes: data.graph.byId });
    sheet.replaceChildren(drawing.element);
    camera.size = drawing.size;
    foldAll.textContent = unfolded() ? "Fold" : "Unfold all";
    foldAll.disabled = !unfolded() && ![...drawing.boxes.values(), ...drawing.frames.values()].some((item) => item.fold);
    foldAll.hidden = foldAll.disabled;
    const same = anchor && (drawing.boxes.get(anchor.key) ?? drawing.frames.get(anchor.key) ?? drawing.boxOf.get(anchor.ids?.[0]));
    if (!started || !same) begin();
    else camera.keep(anchor.area, same.area);
    anchor = null;
    update();
    find();
  }

  foldAll.addEventListener("click", () => toggle("*", unfolded(), drawing?.boxes.get(active)));
  search.addEventListener("input", () => {
    find();
    if (hits.length) camera.reveal(hits[0].area);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") search.value = "";
    else return;
    event.preventDefault();
    find();
  });
  pane.addEventListener("click", (event) => {
    if (camera.dragged || !drawing) return;
    const mark = event.target.closest("g.fold");
    const group = event.target.closest("g.node, g.cluster");
    const item = drawing.boxes.get(group?.dataset.key) ?? drawing.frames.get(group?.dataset.key);
    if (mark) toggle(mark.dataset.fold, Boolean(item.opened), item);
    else if (item?.copies) select(item, undefined, false);
    else if (!group) {
      active = null;
      if (model.get("layer")) choose({ layer: "" });
      update();
    }
  });
  pane.addEventListener("dblclick", (event) => {
    const group = event.target.closest("g.node, g.cluster");
    const item = drawing?.boxes.get(group?.dataset.key) ?? drawing?.frames.get(group?.dataset.key);
    if (item?.fold && !event.target.closest("g.fold")) toggle(item.fold, Boolean(item.opened), item);
  });
  pane.addEventListener("keydown", (event) => {
    if (!drawing || event.altKey || event.ctrlKey || event.metaKey) return;
    const box = drawing.boxes.get(active);
    if (event.key === "+" || event.key === "=") camera.zoomBy(ZOOM_STEP);
    else if (event.key === "-") camera.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") camera.fit();
    else if (event.key === "/") search.focus();
    else if (event.key === "Enter" && box) {
      const frame = event.shiftKey ? openFrame(box) : closedFrame(box);
      if (box.fold && !event.shiftKey) toggle(box.fold, false, box);
      else if (frame) toggle(frame.fold, frame.opened, box);
    } else if (event.key === "Escape") {
      active = null;
      choose({ layer: "" });
      update();
    } else {
      const next = box ? drawing.neighbour(box, event.key) : drawing.neighbour(drawing.boxes.values().next().value, event.key === "End" ? "End" : "Home");
      if (!next || (!box && !/^(Arrow|Home|End)/.test(event.key))) {
        if (/^(Arrow|Home|End)/.test(event.key)) event.preventDefault();
        return;
      }
      select(next, undefined, true);
    }
    event.preventDefault();
  });

  const observer = new ResizeObserver(() => {
    if (!started || !camera.moved) begin();
  });
  observer.observe(pane);
  const patience = setTimeout(() => {
    if (!data.drawing) notice.textContent = "No drawing has come. It needs a running kernel: run the cell again.";
  }, PATIENCE);

  let drawnGraph = null;
  let lastLayer = null;
  return {
    repaint() {
      if (data.graph && drawnGraph !== data.graph) {
        drawnGraph = data.graph;
        drawLegend();
      }
      if (data.graph && data.drawing && data.drawing !== shown) draw();
      else update();
      const layer = model.get("layer");
      if (drawing && layer !== lastLayer && lastLayer !== null && drawing.boxOf.get(layer)?.key && document.activeElement !== pane && !camera.hidden) {
        if (!pane.matches(":hover")) camera.reveal(drawing.boxOf.get(layer).area);
      }
      lastLayer = layer;
    },
    destroy() {
      observer.disconnect();
      clearTimeout(patience);
    },
  };
}

export default defineView("graph", {
  initial: () => ({ graph: null, drawing: null }),
  receive(data, content, buffers) {
    if (content.type === "graph") {
      data.graph = { ...content, byId: new Map(content.nodes.map((node) => [node.id, node])) };
    } else if (content.type === "drawing") {
      data.drawing = { ...content, text: decode(buffers[0]) };
    } else if (content.type === "failed") {
      data.drawing = { failed: content.text };
    }
  },
  mount: mountGraph,
});
