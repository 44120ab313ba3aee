// File size against quality, a point for every depth.

const MARGIN = { left: 44, right: 16, top: 14, bottom: 40 };
const HEIGHT = 230;
const REACH = 24;

const MARKS = {
  linear: () => svg("rect", { class: "dot", x: -4, y: -4, width: 8, height: 8 }),
  lookup_table: () => svg("circle", { class: "dot", r: 4.5 }),
  [FEEDBACK]: () => svg("path", { class: "dot", d: "M0-6 6 0 0 6-6 0Z" }),
  [MIXED]: () => svg("path", { class: "dot", d: "M0-7 6.5 5-6.5 5Z" }),
};

// Round numbers within a range, about `count` of them.
function roundTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) ticks.push(value);
  return ticks;
}

// 1, 2, 5 and their tenfolds within a range; sizes span several octaves, so their axis is logarithmic.
function sizeTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of [1, 2, 5]) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) ticks.push(value);
    }
  }
  return ticks;
}

function mount({ model, root, data, choose }) {
  const about = html("small");
  const chart = svg("svg", { role: "radiogroup", "aria-label": "Size and quality of every bit depth", height: HEIGHT });
  const empty = html("p", { class: "note", hidden: true }, "No output has been computed yet: only the sizes are known.");
  root.append(html("h3", {}, "Size and quality", about), chart, empty);
  let width = 0;
  let places = [];
  const points = new Map();
  const stopWatching = watchWidth(root, (next) => { width = next; draw(); });

  arrowKeys(chart, (key) => {
    const changes = neighbour(key, model.get("scheme"), model.get("bits"));
    if (!changes) return false;
    choose(changes);
    points.get(keyOf(model.get("scheme"), model.get("bits")))?.focus();
    return true;
  });

  // Points lie close together: a click takes the nearest one.
  chart.addEventListener("click", (event) => {
    const box = chart.getBoundingClientRect();
    const distance = ({ x, y }) => Math.hypot(event.clientX - box.left - x, event.clientY - box.top - y);
    const nearest = places.reduce((best, place) => (distance(place) < distance(best) ? place : best), { x: Infinity, y: 0 });
    if (distance(nearest) > REACH) return;
    if (nearest.plan) {
      choose({ scheme: MIXED });
      model.send({ type: "plan", bits: nearest.plan, scheme: "lookup_table" });
      return;
    }
    choose({ scheme: nearest.scheme, ...(nearest.scheme === MIXED ? {} : { bits: nearest.bits }) });
    points.get(keyOf(nearest.scheme, nearest.bits)).focus({ preventScroll: true });
  });

  function scales() {
    const { results } = data;
    const image = model.get("image");
    const sizes = [...results.sizes.values()].map((bytes) => bytes / 1e6);
    const known = [...SCHEMES, MIXED].flatMap((scheme) => BITS.map((bits) => results.quality(image, scheme, bits)?.value))
      .filter((value) => Number.isFinite(value));
    const low = Math.min(...sizes) / 1.15;
    const high = Math.max(...sizes) * 1.2;
    let [bottom, top] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 50];
    [bottom, top] = [Math.floor((Math.min(bottom, top - 10) - 4) / 5) * 5, Math.ceil((top + 4) / 5) * 5];
    bottom = Math.max(bottom, top - 120);
    const right = width - MARGIN.right;
    const base = HEIGHT - MARGIN.bottom;
    return {
      low, high, bottom, top, right, base,
      x: (bytes) => MARGIN.left + (Math.log(bytes / 1e6 / low) / Math.log(high / low)) * (right - MARGIN.left),
      y: (value) => {
        const clipped = Math.min(top, Math.max(bottom, Number.isNaN(value) ? bottom : value ?? bottom));
        return base - ((clipped - bottom) / (top - bottom)) * (base - MARGIN.top);
      },
    };
  }

  function axes(scale) {
    const { right, base } = scale;
    const text = (x, y, words, anchor, className = "") => svg("text", { x, y, "text-anchor": anchor, class: className }, words);
    const nodes = [];
    for (const value of roundTicks(scale.bottom, scale.top, 5)) {
      nodes.push(svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: scale.y(value), y2: scale.y(value) }));
      nodes.push(text(MARGIN.left - 8, scale.y(value) + 4, String(Math.round(value)), "end"));
    }
    for (const value of sizeTicks(scale.low, scale.high)) {
      nodes.push(svg("line", { class: "grid", x1: scale.x(value * 1e6), x2: scale.x(value * 1e6), y1: base, y2: base + 4 }));
      nodes.push(text(scale.x(value * 1e6), base + 17, String(Number(value.toPrecision(2))), "middle"));
    }
    nodes.push(svg("line", { class: "axis", x1: MARGIN.left, x2: right, y1: base, y2: base }));
    nodes.push(text((MARGIN.left + right) / 2, HEIGHT - 6, "File size in MB (logarithmic)", "middle", "title"));
    const middle = (base + MARGIN.top) / 2;
    nodes.push(svg("text", { class: "title", "text-anchor": "middle", transform: `translate(11 ${middle}) rotate(-90)` }, `${data.results.metric} in dB`));
    const original = data.results.original;
    if (original) {
      const at = scale.x(original.nbytes);
      nodes.push(svg("line", { class: "original", x1: at, x2: at, y1: MARGIN.top, y2: base }));
      nodes.push(text(at - 6, base - 8, `${original.bits}-bit original, ${megabytes(original.nbytes)} MB`, "end", "title"));
    }
    return nodes;
  }

  function series(scale, scheme) {
    const image = model.get("image");
    const depths = scheme === MIXED ? [model.get("bits")] : BITS;
    const known = depths.map((bits) => ({ bits, bytes: data.results.size(scheme, bits), quality: data.results.quality(image, scheme, bits) }))
      .filter(({ bytes, quality }) => bytes && quality)
      .map((point) => ({ ...point, x: scale.x(point.bytes), y: scale.y(point.quality.value) }));
    const line = svg("polyline", { class: "line", points: known.map(({ x, y }) => `${x},${y}`).join(" ") });
    const above = scheme !== "linear";
    // of two points one above the other, the upper one has the number
    const crowned = ({ bits, y }) => {
      const upper = scheme === "lookup_table" ? data.results.quality(image, FEEDBACK, bits) : null;
      return upper && Math.abs(scale.y(upper.value) - y) < 28;
    };
    const low = (y) => !above && y > scale.base - 24;
    const marks = known.map(({ bits, bytes, quality, x, y }) => {
      const words = `${depthName(scheme, bits)}: ${megabytes(bytes)} MB, ${decibels(quality.value)}`;
      const mark = svg(
        "g", { class: `point ${quality.stage}`, role: "radio", "aria-label": words, transform: `translate(${x} ${y})` },
        svg("title", {}, words), svg("circle", { class: "ring", r: 8.5 }),
        MARKS[scheme](),
        crowned({ bits, y }) ? null : svg("text", { x: low(y) ? 12 : 0, y: low(y) ? 4 : above ? -12 : 20, "text-anchor": low(y) ? "start" : "middle" }, scheme === MIXED ? "mixed" : String(bits)),
      );
      points.set(keyOf(scheme, bits), mark);
      return mark;
    });
    places.push(...known.map(({ bits, x, y }) => ({ scheme, bits, x, y })));
    return svg("g", { class: scheme }, line, ...marks);
  }

  // The mixed plans that no other one beats, to be taken by a click.
  function frontier(scale) {
    const known = data.frontier.map((choice) => ({ ...choice, x: scale.x(choice.nbytes), y: scale.y(choice.quality) }));
    const line = svg("polyline", { class: "line frontier", points: known.map(({ x, y }) => `${x},${y}`).join(" ") });
    const mixed = known.filter(({ label }) => label === "mixed");
    if (data.edits) places.push(...mixed.map(({ x, y, bits }) => ({ x, y, plan: bits })));
    const marks = mixed.map(({ x, y, nbytes, quality }) => svg(
      "g", { class: "point coarse", transform: `translate(${x} ${y}) scale(0.7)` },
      svg("title", {}, `mixed plan: ${megabytes(nbytes)} MB, ${decibels(quality)}`), MARKS[MIXED](),
    ));
    return svg("g", { class: MIXED, "aria-hidden": "true" }, line, ...marks);
  }

  function draw() {
    if (!width) return;
    const ready = data.results.sizes.size > 0;
    chart.toggleAttribute("hidden", !ready);
    if (!ready) return;
    points.clear();
    places = [];
    chart.setAttribute("width", width);
    const scale = scales();
    const held = chart.contains(document.activeElement);
    chart.replaceChildren(...axes(scale), frontier(scale), ...[...SCHEMES, MIXED].map((scheme) => series(scale, scheme)));
    empty.hidden = points.size > 0;
    mark();
    if (held) points.get(keyOf(model.get("scheme"), model.get("bits")))?.focus();
  }

  function mark() {
    const chosen = keyOf(model.get("scheme"), model.get("bits"));
    root.dataset.scheme = model.get("scheme");
    for (const [key, point] of points) {
      point.setAttribute("aria-checked", String(key === chosen));
      point.setAttribute("tabindex", key === chosen ? "0" : "-1");
    }
    const known = BITS.filter((bits) => data.results.quality(model.get("image"), FEEDBACK, bits)).length;
    const missing = known === BITS.length ? null : known ? ` (${known} of ${BITS.length})` : " (not computed)";
    about.replaceChildren(...SCHEMES.map((scheme) => html(
      "span", { class: `key ${scheme}` }, html("i", {}), SCHEME_NAMES[scheme],
      scheme === FEEDBACK && missing ? html("span", { class: "missing" }, missing) : null,
    )));
  }

  let image = model.get("image");
  return {
    repaint(content) {
      const moved = image !== model.get("image");
      image = model.get("image");
      if (content !== null || moved) draw();
      else mark();
    },
    destroy: stopWatching,
  };
}

export default defineView("curve", {
  teach({ model, data }) {
    const { results } = data;
    const [image, bits, scheme] = ["image", "bits", "scheme"].map((trait) => model.get(trait));
    const [now, more] = [bits, bits + 1].map((depth) => results.quality(image, scheme, depth)?.value);
    const step = Number.isFinite(now) && Number.isFinite(more)
      ? ` From ${bits} to ${bits + 1} bits it is ${(more - now).toFixed(1)} dB here.`
      : "";
    return `One bit more doubles the number of levels and halves the distance between them: as a rule 6 dB.${step} A table lies above linear as long as its levels lie where the weights are; with many bits both are fine enough.`;
  },
  initial: () => ({ results: new Results(), frontier: [], edits: false }),
  receive(data, content) {
    if (content.type === "row") data.results.receive(content);
    else if (content.type === "frontier") Object.assign(data, { frontier: content.choices, edits: content.edits });
  },
  mount,
});
