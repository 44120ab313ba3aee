// The boxes, frames and arrows of a folded graph as SVG. Of large drawings only what is in view is in the page.

const ALL_IN_PAGE = 250;
const BOX = { height: 42, least: 84, most: 230, side: 15 };
const GLIDING = 160;
const LIGHT = { ink: "#1c1c1e", pale: "#5c626b", line: "#7c828b", paper: "#ffffff", frame: "#f6f7f8" };
const STAR_BAND = 20;
const TITLE_FONT = "600 12px Helvetica, Arial, sans-serif";
const CAPTION_FONT = "10px Helvetica, Arial, sans-serif";

const brush = document.createElement("canvas").getContext("2d");
const widths = new Map();
function textWidth(text, font) {
  const name = `${font} ${text}`;
  if (!widths.has(name)) {
    brush.font = font;
    widths.set(name, brush.measureText(text).width);
  }
  return widths.get(name);
}

function clipped(text, font, room) {
  if (textWidth(text, font) <= room) return text;
  let [low, high] = [1, text.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (textWidth(`${text.slice(0, middle)}…`, font) <= room) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low)}…`;
}

const titleOf = (key) => `title ${key}`;
const marksOf = (item) => (item.fold ? 18 : 0) + (item.family === "custom" ? STAR_BAND : 0);

function sizeOf(item) {
  if (item.children) return { width: textWidth(frameTitle(item), TITLE_FONT) + 56 };
  const words = Math.max(textWidth(item.lines[0], TITLE_FONT), textWidth(item.lines[1], CAPTION_FONT));
  const width = Math.ceil(words + 2 * BOX.side + marksOf(item));
  return { width: Math.min(BOX.most, Math.max(BOX.least, width)), height: BOX.height };
}

// The outline of a box: corners cut off for a custom layer, round ends for inputs and outputs.
function outlineOf({ family }, width, height, inset = 0) {
  const [l, t, r, b] = [inset, inset, width - inset, height - inset];
  if (family === "custom") {
    const c = 10 - inset / 2;
    return `M${l + c} ${t}H${r - c}L${r} ${t + c}V${b - c}L${r - c} ${b}H${l + c}L${l} ${b - c}V${t + c}Z`;
  }
  const c = family === "feature" ? height / 2 - inset : 8;
  const turn = (x, y) => `A${c} ${c} 0 0 1 ${x} ${y}`;
  return `M${l + c} ${t}H${r - c}${turn(r, t + c)}V${b - c}${turn(r - c, b)}H${l + c}${turn(l, b - c)}V${t + c}${turn(l + c, t)}Z`;
}

function foldMark(item, x, y) {
  const what = item.kind === "repeat" && !item.opened ? `all ${item.count}` : "";
  const mark = svg(
    "g", { class: "fold", transform: `translate(${x} ${y})`, "aria-hidden": "true" },
    svg("title", {}, `${item.opened ? "Fold" : "Unfold"} ${what}`.trim()),
    svg("circle", { r: 13, fill: "transparent", class: "reach" }),
    svg("circle", { r: 7.5, fill: LIGHT.paper, stroke: LIGHT.line, class: "sign" }),
    svg("path", { d: item.opened ? "M-3.5 0H3.5" : "M-3.5 0H3.5M0-3.5V3.5", fill: "none", stroke: LIGHT.ink, "stroke-width": 1.5 }),
  );
  mark.dataset.fold = item.fold;
  return mark;
}

class Drawing {
  constructor(graph, folded) {
    this.graph = graph;
    this.folded = folded;
    const { places, arrows, width, height } = layOut(folded, sizeOf);
    this.places = places;
    this.size = { width, height };
    this.items = [...folded.frames.values(), ...folded.boxes.values()];
    this.arrows = arrows.map((arrow) => {
      const [xs, ys] = [arrow.points.map(([x]) => x), arrow.points.map(([, y]) => y)];
      const area = { x: Math.min(...xs), y: Math.min(...ys) };
      return { ...arrow, area: { ...area, width: Math.max(...xs) - area.x, height: Math.max(...ys) - area.y } };
    });
    this.layers = ["frames", "edges", "boxes"].map((name) => svg("g", { class: name, role: "presentation" }));
    this.element = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "presentation", "font-family": "Helvetica, Arial, sans-serif" }, this.layers);
    this.elements = new Map();
    this.shown = new Set();
    this.whole = this.items.length <= ALL_IN_PAGE;
    this.seen = null;
  }

  area(key) {
    const { x, y, width, height } = this.places.get(key);
    return { left: x, top: y, right: x + width, bottom: y + height };
  }

  // Puts into the page what lies in an area of the drawing, with a margin, and `kept`, the key of the active box.
  show(area, kept) {
    const seen = this.seen;
    const inside = seen && (this.whole || (area.left >= seen.left && area.top >= seen.top && area.right <= seen.right && area.bottom <= seen.bottom));
    if (inside && (!kept || this.shown.has(kept))) return;
    const [dx, dy] = [(area.right - area.left) * 0.6, (area.bottom - area.top) * 0.6];
    this.seen = { left: area.left - dx, right: area.right + dx, top: area.top - dy, bottom: area.bottom + dy };
    const { left, right, top, bottom } = this.seen;
    const meets = (box) => this.whole || (box.x <= right && box.x + box.width >= left && box.y <= bottom && box.y + box.height >= top);
    const wanted = new Map();
    for (const item of this.items) {
      if (item.key !== kept && !meets(this.places.get(item.key))) continue;
      wanted.set(item.key, () => this.#itemOf(item));
      if (item.children) wanted.set(titleOf(item.key), () => this.#title(item));
    }
    for (const [i, arrow] of this.arrows.entries()) if (meets(arrow.area)) wanted.set(i, () => this.#arrowOf(arrow));
    for (const key of this.shown) if (!wanted.has(key)) this.elements.get(key).remove();
    const fresh = [[], [], []];
    for (const [key, make] of wanted) {
      if (this.shown.has(key)) continue;
      if (!this.elements.has(key)) this.elements.set(key, make());
      fresh[typeof key === "number" ? 1 : this.folded.frames.has(key) ? 0 : 2].push(this.elements.get(key));
    }
    this.layers.forEach((layer, i) => layer.append(...fresh[i]));
    this.shown = new Set(wanted.keys());
  }

  // How many boxes an area holds.
  count(area) {
    let count = 0;
    for (const key of this.folded.boxes.keys()) {
      const { x, y, width, height } = this.places.get(key);
      if (x <= area.right && x + width >= area.left && y <= area.bottom && y + height >= area.top) count += 1;
    }
    return count;
  }

  paint(colouring) {
    this.colouring = colouring;
    for (const [key, element] of this.elements) if (this.folded.boxes.has(key)) this.#paintBox(this.folded.boxes.get(key), element);
  }

  // Marks the chosen box, its arrows and what a search has found; `hits` is null where nothing is searched.
  mark(active, hits) {
    this.active = active;
    this.hits = hits;
    for (const [key, element] of this.elements) this.#markOne(key, element);
  }

  #markOne(key, element) {
    if (typeof key === "number") {
      const { source, target } = this.arrows[key];
      element.classList.toggle("near", this.active !== null && (source === this.active || target === this.active));
    } else if (this.folded.boxes.has(key)) {
      element.classList.toggle("chosen", key === this.active);
      element.classList.toggle("hit", Boolean(this.hits?.has(key)));
      element.setAttribute("aria-selected", String(key === this.active));
    }
  }

  #itemOf(item) {
    const element = item.children ? this.#frame(item) : this.#box(item);
    element.dataset.key = item.key;
    if (!item.children) {
      this.#paintBox(item, element);
      this.#markOne(item.key, element);
    }
    return element;
  }

  words(box) {
    const { byId } = this.graph;
    if (box.isFeature) return `${box.kind} ${box.copies[0].length > 1 ? box.lines[0] : `${box.copies[0][0]}, ${box.lines[1]}`}`;
    if (box.kind === "network") return `network ${box.title}, ${box.lines[1]}, folded`;
    const names = box.copies[0].map((id) => {
      const node = byId.get(id);
      return `${node.name || node.type}, ${node.custom?.className ?? node.kind}`;
    });
    const copies = box.copies.length > 1 ? `, stands for ${box.copies.length} equal ones` : "";
    return `${box.family === "custom" ? "custom layer " : ""}${names.join("; ")}${copies}${box.fold ? ", folded" : ""}`;
  }

  #tooltip(box) {
    const { byId } = this.graph;
    if (box.isFeature) return `${box.kind} ${box.copies[0].slice(0, 12).join(", ")}: ${box.lines[1]}`;
    if (box.kind === "network") return `${box.title}: ${box.lines[1]}`;
    const lines = box.copies[0].map((id) => {
      const node = byId.get(id);
      const weights = node.weights.map((weight) => `${weight.name} ${weight.shape.join("×")}`).join(", ");
      return [`${node.name} (${node.custom ? `custom ${node.custom.className}` : node.kind})`, weights].filter(Boolean).join("; ");
    });
    return [...lines, box.copies.length > 1 ? `stands for ${box.copies.length} equal ones` : ""].filter(Boolean).join("\n");
  }

  #box(box) {
    const { x, y, width, height } = this.places.get(box.key);
    const colour = this.graph.colours[box.family];
    const custom = box.family === "custom";
    const unknown = box.family === "unknown";
    const body = { class: "body", d: outlineOf(box, width, height), stroke: colour, "stroke-width": custom || unknown ? 2.5 : 1.2 };
    if (box.isFeature || unknown) body["stroke-dasharray"] = "5 3";
    const sheets = box.kind === "network" ? [6, 3] : box.kind === "chain" ? [3] : [];
    const left = custom ? STAR_BAND : 0;
    const middle = (left + width - (box.fold ? 18 : 0)) / 2;
    const room = width - marksOf(box) - 2 * BOX.side + 8;
    const line = (text, font, size, top, ink) => svg(
      "text", { x: middle, y: top, "text-anchor": "middle", "font-size": size, "font-weight": size > 11 ? 600 : 400, fill: ink },
      clipped(text, font, room),
    );
    return svg(
      "g", {
        class: `node ${box.kind} ${box.family}`, id: uniqueId(box.key), transform: `translate(${x} ${y})`,
        role: "option", "aria-selected": "false", "aria-label": this.words(box), style: `--family:${colour}`,
      },
      svg("title", {}, this.#tooltip(box)),
      sheets.map((step) => svg("path", { class: "sheet-behind", d: outlineOf(box, width - 2 * step, height), transform: `translate(${step} ${step})`, fill: LIGHT.paper, stroke: colour, "stroke-width": 1 })),
      svg("path", body),
      custom ? [
        svg("path", { class: "inner-line", d: outlineOf(box, width, height, 4), fill: "none", stroke: colour, "stroke-width": 1, "stroke-dasharray": "4 2" }),
        svg("path", { class: "band", d: `M10 0H${STAR_BAND}V${height}H10L0 ${height - 10}V10Z`, fill: colour }),
        svg("text", { class: "star", x: STAR_BAND / 2 + 0.5, y: height / 2 + 4.5, "text-anchor": "middle", "font-size": 13, fill: "#ffffff" }, "★"),
      ] : null,
      line(custom ? box.lines[0].replace(/^★ /, "") : box.lines[0], TITLE_FONT, 12, box.lines[1] ? 18.5 : 25, LIGHT.ink),
      line(box.lines[1], CAPTION_FONT, 10, 32, LIGHT.pale),
      box.fold ? foldMark(box, width - 14, height / 2) : null,
    );
  }

  #paintBox(box, element) {
    const shade = this.colouring?.of(box) ?? null;
    const body = element.querySelector(".body");
    const [title, caption] = element.querySelectorAll("text:not(.star)");
    const colour = this.graph.colours[box.family];
    element.classList.toggle("shaded", Boolean(shade));
    element.classList.toggle("without", Boolean(shade) && !shade.fill);
    element.style.setProperty("--shade", shade?.fill ?? "");
    element.style.setProperty("--ink", shade?.ink ?? "");
    const tint = box.isFeature ? LIGHT.paper : mix(colour, LIGHT.paper, 0.13);
    body.setAttribute("fill", shade ? shade.fill ?? LIGHT.paper : tint);
    title.setAttribute("fill", shade?.ink ?? LIGHT.ink);
    caption.setAttribute("fill", shade?.ink ?? LIGHT.pale);
    caption.textContent = shade?.text || clipped(box.lines[1], CAPTION_FONT, this.places.get(box.key).width - marksOf(box) - 2 * BOX.side + 8);
  }

  #frame(frame) {
    const { x, y, width, height } = this.places.get(frame.key);
    const round = outlineOf({ family: "" }, width, height);
    const paper = { d: round, fill: LIGHT.frame, stroke: "#9aa1ab" };
    const piled = frame.kind === "repeat" && !frame.opened;
    return svg(
      "g", { class: `cluster ${frame.kind}${frame.opened ? " opened" : ""}${frame.fold ? " foldable" : ""}`, transform: `translate(${x} ${y})`, role: "presentation" },
      piled ? [8, 4].map((step) => svg("path", { class: "pile", ...paper, transform: `translate(${step} ${step})` })) : null,
      svg("path", { class: "body", ...paper, ...(frame.kind === "copy" || frame.kind === "chain" ? { "stroke-dasharray": "4 3" } : {}) }),
      svg("path", { class: "head", d: `M0 0H${width}V${FRAME.top - 6}H0Z`, fill: "transparent" }),
      frame.fold ? foldMark(frame, width - 16, 16) : null,
    );
  }

  // A frame's title, which lies on the arrows.
  #title(frame) {
    const { x, y, width } = this.places.get(frame.key);
    return svg(
      "text", {
        class: `frame-title ${frame.kind}`, x: x + 14, y: y + 20, "font-size": frame.kind === "repeat" ? 13 : 12, "font-weight": 600,
        fill: LIGHT.pale, stroke: LIGHT.frame, "stroke-width": 4, "paint-order": "stroke", role: "presentation",
      },
      clipped(frameTitle(frame), TITLE_FONT, width - 48),
    );
  }

  #arrowOf(arrow) {
    const [x, y] = arrow.points[arrow.points.length - 1];
    const up = arrow.points[arrow.points.length - 2][1] > y;
    const tip = up ? 5 : -5;
    const points = [...arrow.points.slice(0, -1), [x, y + tip]];
    const element = svg(
      "g", { class: `edge${arrow.nested ? " nested" : ""}`, role: "presentation" },
      svg("title", {}, this.#flow(arrow)),
      svg("path", { class: "line", d: curve(points), fill: "none", stroke: LIGHT.line, "stroke-width": 1.2, ...(arrow.nested ? { "stroke-dasharray": "5 4" } : {}) }),
      svg("path", { class: "tip", d: `M${round(x)} ${round(y)}l-3.6 ${tip * 1.5}h7.2Z`, fill: LIGHT.line }),
    );
    element.dataset.source = arrow.source;
    element.dataset.target = arrow.target;
    element.classList.toggle("near", this.active != null && (arrow.source === this.active || arrow.target === this.active));
    return element;
  }

  // The names of the values that an arrow stands for, with their shapes.
  #flow({ source, target }) {
    const [before, after] = [this.folded.boxes.get(source), this.folded.boxes.get(target)];
    const nodesOf = (box) => box.copies[0].map((id) => this.graph.byId.get(id)).filter(Boolean);
    const read = new Set(after.isFeature ? after.copies[0] : nodesOf(after).flatMap((node) => node.inputs));
    const written = before.isFeature ? before.copies[0] : nodesOf(before).flatMap((node) => node.outputs);
    return written.filter((name) => read.has(name)).slice(0, 12).map((name) => [name, this.graph.shapes[name]].filter(Boolean).join(" ")).join("\n");
  }

  // Lets what was there before glide from its old place to the new one; `shift` is how the two drawings lie.
  glideFrom(before, shift) {
    if (!this.whole || !before.whole || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const key of this.shown) {
      const element = this.elements.get(key);
      const [old, now] = [before.places.get(key), this.places.get(key)];
      const frames = old && now
        ? [{ transform: `translate(${old.x + shift.x}px, ${old.y + shift.y}px)` }, { transform: `translate(${now.x}px, ${now.y}px)` }]
        : [{ opacity: 0 }, { opacity: 1 }];
      element.animate?.(frames, { duration: GLIDING, easing: "ease-out" });
    }
  }

  // The whole drawing as an SVG document in light colours.
  document() {
    const copy = new Drawing(this.graph, this.folded);
    copy.colouring = this.colouring;
    copy.whole = true;
    copy.show({ left: 0, right: 0, top: 0, bottom: 0 });
    const { element, size } = copy;
    element.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    element.setAttribute("viewBox", `-8 -8 ${size.width + 16} ${size.height + 16}`);
    element.setAttribute("width", size.width + 16);
    element.setAttribute("height", size.height + 16);
    element.prepend(svg("rect", { x: -8, y: -8, width: "100%", height: "100%", fill: LIGHT.paper }));
    return new XMLSerializer().serializeToString(element);
  }

  // The box that an arrow key leads to: along the arrows, or beside it on the same row.
  neighbour(box, key) {
    const place = (other) => this.places.get(other.key);
    const middle = (other) => place(other).x + place(other).width / 2;
    const row = (other) => place(other).y + place(other).height / 2;
    const nearest = (others) => others.sort((a, b) => Math.abs(middle(a) - middle(box)) - Math.abs(middle(b) - middle(box)))[0];
    const all = [...this.folded.boxes.values()];
    const reach = BOX.height * 0.8;
    const beside = () => all.filter((other) => other !== box && Math.abs(row(other) - row(box)) < reach);
    // of several arrows the shortest, which leads through the main branch
    const along = (keys) => {
      const others = keys.map((other) => this.folded.boxes.get(other));
      const way = (other) => Math.abs(row(other) - row(box));
      const least = Math.min(...others.map(way));
      return nearest(others.filter((other) => way(other) < least + reach));
    };
    switch (key) {
      case "ArrowDown":
        return along(box.after) ?? nearest(all.filter((other) => row(other) > row(box) + reach && row(other) < row(box) + 5 * reach));
      case "ArrowUp":
        return along(box.before) ?? nearest(all.filter((other) => row(other) < row(box) - reach && row(other) > row(box) - 5 * reach));
      case "ArrowRight":
        return nearest(beside().filter((other) => middle(other) > middle(box)));
      case "ArrowLeft":
        return nearest(beside().filter((other) => middle(other) < middle(box)));
      case "Home":
        return all[0];
      case "End":
        return all[all.length - 1];
      default:
        return undefined;
    }
  }
}
