// The layers as a drawing: select by click or arrow keys, open folded blocks, search, look around, save as SVG or PNG.

const LARGEST_PNG = 16384;
const IDLE = { timeout: 500 };
const whenIdle = globalThis.requestIdleCallback ?? ((task) => setTimeout(task)); // which Safari does not have
const cancelIdle = globalThis.cancelIdleCallback ?? clearTimeout;
const PATIENCE = 10000;
const SOURCE_PATIENCE = 15000;
const PNG_SCALE = 2;
const ILLEGIBLE = 0.3;
const HELD = ".members, .folds, .copies, .connections, .languages .group, .details"; // where the panel keeps the focus

const icon = (path) =>
  svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, svg("path", { d: path }));

function button(label, content, onclick, attributes = {}) {
  return html("button", { type: "button", title: label, "aria-label": label, onclick, ...attributes }, content);
}

async function pngOf(text, { width, height }) {
  const scale = Math.min(PNG_SCALE, LARGEST_PNG / width, LARGEST_PNG / height);
  const picture = new Image(width * scale, height * scale);
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    picture.src = url;
    await picture.decode();
    const canvas = html("canvas", { width: Math.ceil(width * scale), height: Math.ceil(height * scale) });
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally {
    URL.revokeObjectURL(url);
  }
}

// The graph as Python told it, with what the page looks up in it.
function indexed(message) {
  const graph = { ...message, byId: new Map(message.nodes.map((node) => [node.id, node])) };
  const producers = graph.outline.producers.map((list) => list.filter((i) => i >= 0).map((i) => graph.nodes[i]));
  const readers = new Map(graph.nodes.map((node) => [node.id, []]));
  graph.nodes.forEach((node, i) => producers[i].forEach((producer) => readers.get(producer.id).push(node)));
  const place = new Map(graph.nodes.map((node, i) => [node.id, i]));
  graph.writers = (node, name) => producers[place.get(node.id)].filter((other) => other.outputs.includes(name));
  graph.readers = (node, name) => readers.get(node.id).filter((other) => other.inputs.includes(name));
  for (const node of graph.nodes) {
    node.words = [node.name, node.type, node.kind, node.family, node.custom?.className ?? ""].join("\n").toLowerCase();
  }
  return graph;
}

function mountGraph({ model, root, data, choose }) {
  const said = html("span", { class: "unseen", role: "status" });
  const say = (text) => { said.textContent = text; };
  const finder = new Finder({
    say,
    found: (words) => {
      pane.classList.toggle("searching", Boolean(words));
      for (const chip of legend.querySelectorAll("button")) chip.setAttribute("aria-pressed", String(chip.dataset.words === words));
      update();
    },
    select: (box, id) => select(box, id, true),
    leave: () => pane.focus(),
    look: (boxes) => {
      const { area } = camera;
      const places = boxes.map((box) => drawing.area(box.key));
      const inView = places.some(({ left, right, top, bottom }) => top >= area.top && bottom <= area.bottom && left >= area.left && right <= area.right);
      if (!inView) camera.reveal(places[0]);
    },
  });
  const colours = html("select", { "aria-label": "Colour boxes by", onchange: () => choose({ colour: colours.value }) });
  const foldAll = html("button", { type: "button", class: "fold-all" });
  const sheet = html("div", { class: "sheet", role: "presentation" });
  const far = html("canvas", { class: "far", "aria-hidden": "true" });
  const pane = html("div", { class: "pane", role: "listbox", tabindex: "0", "aria-label": "Layers of the model: arrow keys walk, Enter unfolds, Shift Enter folds, slash searches" }, far, sheet);
  const notice = html("p", { class: "notice", role: "status" }, "Drawing the graph…");
  const details = html("aside", { class: "details", "aria-label": "Details of the selected layer", tabindex: "0" });
  const legend = html("div", { class: "legend", role: "group", "aria-label": "What the colours mean" });
  const settleLegend = oneStop(legend);
  const camera = new Camera(pane, sheet, () => look());
  const map = new Minimap(camera);
  const zoom = html(
    "div", { class: "zoom", role: "toolbar", "aria-label": "Zoom of the drawing", "aria-orientation": "vertical" },
    button("Zoom in (Ctrl or ⌘ and the wheel, or +)", icon("M3 8h10M8 3v10"), () => camera.zoomBy(ZOOM_STEP)),
    button("Zoom out (−)", icon("M3 8h10"), () => camera.zoomBy(1 / ZOOM_STEP)),
    button("Show all of it (0)", icon("M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10"), () => camera.fit()),
  );
  oneStop(zoom);
  const saves = html(
    "div", { class: "group saves", role: "toolbar", "aria-label": "Save the drawing" },
    button("Save as SVG", "SVG", () => drawing && giveFile(`${stem()}.svg`, drawing.document(), "image/svg+xml")),
    button("Save as PNG", "PNG", async () => {
      if (drawing) giveFile(`${stem()}.png`, await pngOf(drawing.document(), { width: drawing.size.width + 16, height: drawing.size.height + 16 }), "image/png");
    }),
  );
  oneStop(saves);
  const stem = () => `${data.graph?.stem ?? "model"}-graph`;
  const stage = html("div", { class: "stage" }, html("div", { class: "view" }, pane, zoom, map.canvas, notice), details);
  root.append(
    html(
      "div", { class: "bar" },
      finder.element,
      said,
      html("label", { class: "colours" }, html("span", {}, "Colour"), colours),
      foldAll,
      saves,
    ),
    stage,
    legend,
  );

  let drawing = null;
  let active = null;
  let started = false;
  let anchor = null;
  let language = "Swift";
  const shown = { graph: null, opened: "", colours: "", details: [], height: 0, layer: null };

  const opened = () => model.get("opened") ?? [];
  const unfolded = () => opened().includes(UNFOLDED);

  // ---- folding

  function toggle(item, from = item) {
    anchor = { key: item.key, ids: from.copies?.[0] ?? [], area: drawing.area(from.key), first: firstLayer(item) };
    const names = new Set(opened());
    if (item.opened) names.delete(item.fold);
    else names.add(item.fold);
    choose({ opened: [...names] });
    say(`${item.opened ? "folded" : "unfolded"}; ${plural(drawing.folded.boxes.size, "box").replace("boxs", "boxes")} now`);
  }

  const firstLayer = (item) => (item.children ? firstLayer(item.children[0]) : item.copies[0][0]);
  const around = (box, isIt) => box.frames.map((key) => drawing.folded.frames.get(key)).find(isIt);
  const openFrame = (box) => around(box, (frame) => frame.opened && frame.fold && !unfolded());
  const closedFrame = (box) => around(box, (frame) => frame.fold && !frame.opened);

  function refold() {
    const before = drawing;
    drawing = new Drawing(data.graph, new Folded(data.graph, opened()));
    drawing.paint(colouring());
    sheet.replaceChildren(drawing.element);
    camera.size = drawing.size;
    notice.hidden = true;
    foldAll.textContent = unfolded() ? "Fold all" : "Unfold all";
    foldAll.hidden = !unfolded() && !drawing.folded.foldable;
    const { boxes, frames } = drawing.folded;
    const same = anchor && (boxes.get(anchor.key) ?? frames.get(anchor.key) ?? drawing.folded.boxOf.get(anchor.first) ?? drawing.folded.boxOf.get(anchor.ids[0]));
    if (!started || !before) begin();
    else if (same) camera.keep(anchor.area, drawing.area(same.key));
    if (anchor?.key && same && boxes.has(same.key) && !model.get("layer")) active = same.key;
    finder.look(data.graph, drawing);
    map.forget();
    look();
    if (before && same) {
      const [old, now] = [anchor.area, drawing.area(same.key)];
      drawing.glideFrom(before, { x: now.left - old.left, y: now.top - old.top });
    }
    anchor = null;
  }

  function foldButtons(box) {
    const [inside, closed] = [openFrame(box), closedFrame(box)];
    const nouns = { chain: `these ${box.copies[0].length} layers`, network: `its ${countLayers(box.copies[0].length)}` };
    const buttons = [
      box.fold ? [`Unfold ${nouns[box.kind] ?? `all ${box.copies[0].length} ${box.kind}s`}`, box] : null,
      closed ? [`Unfold × ${closed.count}`, closed] : null,
      inside ? [`Fold ${inside.kind === "repeat" ? `× ${inside.count}` : inside.kind === "scope" ? inside.title : "into one block"}`, inside] : null,
    ].filter(Boolean);
    if (!buttons.length) return null;
    const folds = html("div", { class: "folds", role: "toolbar", "aria-label": "Fold and unfold" }, buttons.map(([words, item]) => html("button", { type: "button", onclick: () => toggle(item, box) }, words)));
    oneStop(folds);
    return folds;
  }

  // ---- choosing

  function select(box, id, reveal) {
    if (!box) return;
    active = box.key;
    camera.moved = true;
    const ids = box.copies.flat();
    const isLayer = box.kind === "layer" || box.kind === "chain";
    const withWeights = box.copies[0].find((other) => data.graph.byId.get(other)?.weights.length);
    const layer = id ?? (!isLayer ? "" : ids.includes(model.get("layer")) ? model.get("layer") : withWeights ?? ids[0]);
    if (layer !== model.get("layer")) choose({ layer });
    shown.layer = layer;
    update();
    if (reveal) camera.reveal(drawing.area(box.key));
  }

  function deselect() {
    active = null;
    shown.layer = "";
    if (model.get("layer")) choose({ layer: "" });
    update();
  }

  const goTo = (id) => select(drawing.folded.boxOf.get(id), id, true);

  function update() {
    if (!drawing) return;
    const layer = model.get("layer");
    const owner = layer ? drawing.folded.boxOf.get(layer) : undefined;
    const { boxes } = drawing.folded;
    if (owner) active = owner.key;
    else if (layer || !boxes.has(active) || ["layer", "chain"].includes(boxes.get(active).kind)) active = null;
    const box = boxes.get(active);
    drawing.mark(active, finder.keys);
    map.forget();
    look();
    stage.classList.toggle("chosen", Boolean(box));
    const described = [drawing, active, layer, data.shapes, colouring(), data.sources.get(layer), language];
    if (described.some((part, i) => part !== shown.details[i])) {
      if (active !== shown.details[1] || layer !== shown.details[2]) details.scrollTop = 0;
      shown.details = described;
      showDetails(box, layer);
    }
  }

  function showDetails(box, layer) {
    const { graph } = data;
    const node = box && !box.isFeature && box.copies.flat().includes(layer) ? graph.byId.get(layer) : null;
    const parts = node
      ? nodeDetails(node, graph, {
          before: box.kind === "network" ? html("p", { class: "note" }, `Inside ${box.title}, which is folded.`) : members(box, layer, graph.byId, (id) => select(box, id, false)),
          folds: foldButtons(box), colouring: colouring(), choose: goTo,
          source: node.custom ? sourcePanel(sourceOf(layer), language, (name) => { language = name; update(); }) : null,
        })
      : box?.isFeature ? featureDetails(box, graph, foldButtons(box))
      : box ? networkDetails(box, graph, foldButtons(box))
      : modelDetails(graph);
    const close = box ? button("Close (Escape)", "×", () => deselect(), { class: "close" }) : null;
    const held = details.contains(document.activeElement) ? document.activeElement.closest(HELD).className : null;
    details.replaceChildren(...[close, ...parts].flat().filter(Boolean));
    // who came here by keys goes on in the same group; without a layer there is nothing here to go on with
    const same = held && details.getElementsByClassName(held)[0]?.querySelector("[tabindex='0'], select");
    if (held !== null) (same ?? (box ? details : pane)).focus({ preventScroll: true });
  }

  // The class of a custom layer; Python writes it when it is asked for.
  function sourceOf(layer) {
    if (!data.sources.has(layer)) {
      data.sources.set(layer, null);
      model.send({ type: "source", layer });
      setTimeout(() => {
        if (data.sources.get(layer)) return;
        data.sources.set(layer, { late: true });
        update();
      }, SOURCE_PATIENCE);
    }
    return data.sources.get(layer);
  }

  // ---- colours

  let palette = null;
  function colouring() {
    const name = model.get("colour");
    if (palette?.graph !== data.graph || palette.asked !== name || palette.values !== data.values) {
      palette = new Colouring(data.graph, data.values, name);
      Object.assign(palette, { asked: name, values: data.values });
    }
    return palette;
  }

  function recolour() {
    const choices = colourChoices(data.graph, data.values);
    const paint = colouring();
    colours.replaceChildren(...choices.map(([name, words]) => html("option", { value: name, selected: name === paint.name }, words)));
    colours.value = paint.name;
    legend.replaceChildren(...(paint.byType ? familyChips(data.graph, (family) => finder.toggle(family)) : valueLegend(paint)));
    legend.classList.toggle("scale", !paint.byType);
    legend.setAttribute("role", paint.byType ? "toolbar" : "group");
    settleLegend();
    drawing?.paint(paint);
    map.forget();
  }

  // ---- looking around

  function begin() {
    if (!drawing || camera.hidden) return;
    started = true;
    const focus = drawing.folded.boxOf.get(model.get("layer"));
    camera.start([...drawing.folded.boxes.keys()].map((key) => drawing.area(key)), focus && drawing.area(focus.key));
  }

  // Puts what is in view into the page; too many boxes to be read are painted instead.
  function look() {
    if (!drawing || camera.hidden) return;
    const { area } = camera;
    const isFar = camera.at.zoom < 0.4 && drawing.folded.boxes.size > FAR_BOXES && drawing.count(area) > FAR_BOXES;
    pane.classList.toggle("is-far", isFar);
    pane.classList.toggle("is-small", camera.at.zoom < ILLEGIBLE);
    const box = drawing.folded.boxes.get(active) ?? drawing.folded.boxes.values().next().value;
    if (isFar) {
      const { width, height } = camera.window;
      paintFrom(fitCanvas(far, width, height), drawing, camera.at, area, getComputedStyle(pane).color, camera.at.zoom > 0.1);
      drawing.show({ left: 0, right: 0, top: 0, bottom: 0 }, box?.key);
    } else {
      drawing.show(area, box?.key);
    }
    map.paint(drawing);
    if (box && box.key === active) pane.setAttribute("aria-activedescendant", drawing.elements.get(active).id);
    else pane.removeAttribute("aria-activedescendant");
  }

  // ---- events

  foldAll.addEventListener("click", () => {
    const box = drawing.folded.boxes.get(active);
    anchor = box ? { key: box.key, ids: box.copies[0], area: drawing.area(box.key), first: box.copies[0][0] } : null;
    if (!box) started = false;
    choose({ opened: unfolded() ? [] : [UNFOLDED] });
  });
  const itemAt = (target) => {
    const key = target.closest("g.node, g.cluster")?.dataset.key;
    return drawing.folded.boxes.get(key) ?? drawing.folded.frames.get(key);
  };
  const boxUnder = (event) => {
    const frame = pane.getBoundingClientRect();
    const { x, y, zoom: scale } = camera.at;
    const [px, py] = [(event.clientX - frame.left - x) / scale, (event.clientY - frame.top - y) / scale];
    const near = 4 / scale;
    return [...drawing.folded.boxes.values()].find((box) => {
      const place = drawing.area(box.key);
      return px >= place.left - near && px <= place.right + near && py >= place.top - near && py <= place.bottom + near;
    });
  };
  pane.addEventListener("click", (event) => {
    if (camera.dragged || !drawing) return;
    const item = pane.classList.contains("is-far") ? boxUnder(event) : itemAt(event.target);
    if (item?.fold && event.target.closest("g.fold, .head")) toggle(item);
    else if (item?.copies) select(item, undefined, pane.classList.contains("is-far"));
    else if (!item) deselect();
  });
  pane.addEventListener("dblclick", (event) => {
    const item = drawing && itemAt(event.target);
    if (item?.copies && item.fold && !event.target.closest("g.fold, .head")) toggle(item);
  });
  pane.addEventListener("keydown", (event) => {
    if (!drawing || event.altKey || event.ctrlKey || event.metaKey) return;
    const box = drawing.folded.boxes.get(active);
    const actions = {
      "+": () => camera.zoomBy(ZOOM_STEP), "=": () => camera.zoomBy(ZOOM_STEP), "-": () => camera.zoomBy(1 / ZOOM_STEP),
      0: () => camera.fit(), "/": () => finder.focus(), Escape: deselect,
      Enter: () => {
        const item = event.shiftKey ? openFrame(box) : box.fold ? box : closedFrame(box);
        if (item) toggle(item, box);
      },
    };
    if (event.key === "Enter" && !box) return;
    if (actions[event.key]) actions[event.key]();
    else if (/^(Arrow(Up|Down|Left|Right)|Home|End)$/.test(event.key)) {
      const first = drawing.folded.boxes.values().next().value;
      const next = box || event.key === "End" ? drawing.neighbour(box ?? first, event.key) : first;
      if (next) {
        select(next, undefined, true);
        say(`${drawing.words(next)}${next.after.length > 1 ? `; leads to ${next.after.length}` : ""}`);
      }
    } else return;
    event.preventDefault();
  });

  const observer = new ResizeObserver(() => {
    // the panel below must not cover what was clicked
    if (!started || !camera.moved) begin();
    else if (active && pane.clientHeight < shown.height && !camera.hidden) camera.reveal(drawing.area(active), false);
    shown.height = pane.clientHeight;
    look();
  });
  observer.observe(pane);
  const patience = setTimeout(() => {
    if (!data.graph) notice.textContent = "No graph has come. It needs a running kernel: run the cell again.";
  }, PATIENCE);

  function repaint() {
    if (!data.graph) return;
    const folds = opened().join(" ");
    const colour = `${model.get("colour")} ${data.valuesSerial}`;
    const isNew = shown.graph !== data.graph;
    if (isNew || shown.opened !== folds || !drawing) {
      shown.graph = data.graph;
      shown.opened = folds;
      if (isNew) started = false;
      refold();
    }
    if (isNew || shown.colours !== colour) {
      shown.colours = colour;
      recolour();
    }
    const layer = model.get("layer");
    const moved = shown.layer !== null && layer !== shown.layer;
    shown.layer = layer;
    update();
    const box = drawing.folded.boxOf.get(layer);
    if (moved && box && !camera.hidden) camera.reveal(drawing.area(box.key));
  }

  // A graph that has just come is drawn once the page has nothing else to do: pictures come first.
  let waiting = 0;
  function repaintInTime(content) {
    if (content?.type !== "graph") repaint();
    else waiting ||= whenIdle(() => { waiting = 0; repaint(); }, IDLE);
  }

  const events = ["change:opened", "change:colour"];
  for (const event of events) model.on(event, repaint);
  return {
    repaint: repaintInTime,
    destroy() {
      cancelIdle(waiting);
      for (const event of events) model.off(event, repaint);
      observer.disconnect();
      clearTimeout(patience);
    },
  };
}

export default defineView("graph", {
  follows: ["layer", "teach"],
  teach: () => "Boxes are layers, from the input at the top to the output. A few of them hold most of the weights: colour by size to see where the bytes are, and look for a mixed plan to colour by what each layer loses.",
  initial: () => ({ graph: null, values: new Map(), valuesSerial: 0, shapes: null, sources: new Map() }),
  receive(data, content) {
    if (content.type === "graph") {
      data.graph = indexed(content);
      if (data.shapes) Object.assign(data.graph.shapes, data.shapes);
    } else if (content.type === "values") {
      data.values = new Map(data.values).set(content.name, content);
      if (!Object.keys(content.values).length) data.values.delete(content.name);
      data.valuesSerial += 1;
    } else if (content.type === "shapes") {
      data.shapes = content.shapes;
      if (data.graph) Object.assign(data.graph.shapes, data.shapes);
    } else if (content.type === "source") {
      for (const layer of content.layers) data.sources.set(layer, content);
    }
  },
  mount: mountGraph,
});
