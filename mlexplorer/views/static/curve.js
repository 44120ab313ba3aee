// File size against quality, a point for every depth.

const MARGIN = { left: 44, right: 16, top: 38, bottom: 40 };
const HEIGHT = 254;
const SOLE = 24; // between the lowest point and the axis, for its number
const REACH = 24;

const MARKS = {
  linear: () => svg("rect", { class: "dot", x: -4, y: -4, width: 8, height: 8 }),
  linear_feedback: () => svg("path", { class: "dot", d: "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z" }),
  lookup_table: () => svg("circle", { class: "dot", r: 4.5 }),
  lookup_table_feedback: () => svg("path", { class: "dot", d: "M0-6 6 0 0 6-6 0Z" }),
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
  let legend = "";
  const points = new Map();
  const labels = new Map();
  const stopWatching = watchWidth(root, (next) => { width = next; draw(); });

  arrowKeys(chart, (key) => {
    const drawn = SCHEMES.filter((scheme) => BITS.some((bits) => points.has(keyOf(scheme, bits))));
    const changes = neighbour(key, model.get("scheme"), model.get("bits"), drawn);
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
      model.send({ type: "plan", ...nearest.plan });
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
    if (results.counts) [bottom, top] = [Math.max(0, Math.floor((Math.min(bottom, 80) - 5) / 20) * 20), 100];
    else {
      [bottom, top] = [Math.floor((Math.min(bottom, top - 10) - 4) / 5) * 5, Math.ceil((top + 4) / 5) * 5];
      bottom = Math.max(bottom, top - 120);
    }
    const right = width - MARGIN.right;
    const base = HEIGHT - MARGIN.bottom;
    return {
      low, high, bottom, top, right, base,
      x: (bytes) => MARGIN.left + (Math.log(bytes / 1e6 / low) / Math.log(high / low)) * (right - MARGIN.left),
      y: (value) => {
        const clipped = Math.min(top, Math.max(bottom, Number.isNaN(value) ? bottom : value ?? bottom));
        return base - SOLE - ((clipped - bottom) / (top - bottom)) * (base - SOLE - MARGIN.top);
      },
    };
  }

  function axes(scale) {
    const { right, base } = scale;
    const text = (x, y, words, anchor, className = "") => svg("text", { x, y, "text-anchor": anchor, class: className }, words);
    const nodes = [];
    for (const value of roundTicks(scale.bottom, scale.top, 5)) {
      nodes.push(svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: scale.y(value), y2: scale.y(value) }));
      nodes.push(text(MARGIN.left - 8, scale.y(value) + 4, String(Math.round(value)).replace("-", "−"), "end"));
    }
    for (const value of sizeTicks(scale.low, scale.high)) {
      nodes.push(svg("line", { class: "grid", x1: scale.x(value * 1e6), x2: scale.x(value * 1e6), y1: base, y2: base + 4 }));
      nodes.push(text(scale.x(value * 1e6), base + 17, String(Number(value.toPrecision(2))), "middle"));
    }
    nodes.push(svg("line", { class: "axis", x1: MARGIN.left, x2: right, y1: base, y2: base }));
    nodes.push(text((MARGIN.left + right) / 2, HEIGHT - 6, "File size in MB (logarithmic)", "middle", "title"));
    const middle = (base + MARGIN.top) / 2;
    nodes.push(svg("text", { class: "title", "text-anchor": "middle", transform: `translate(11 ${middle}) rotate(-90)` }, `${data.results.metric} in ${data.results.unit}`));
    const original = data.results.original;
    if (original) {
      const at = scale.x(original.nbytes);
      nodes.push(svg("line", { class: "original", x1: at, x2: at, y1: MARGIN.top - 22, y2: base }));
      nodes.push(text(right, 11, `${original.bits}-bit original, ${fileSize(original.nbytes)}`, "end", "title"));
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
    // of points one above the other, the uppermost one has the number
    const crowned = ({ bits, x, y }) => above && SCHEMES.some((other) => {
      const upper = other !== "linear" && other !== scheme && data.results.quality(image, other, bits);
      const rise = upper ? y - scale.y(upper.value) : 0;
      const earlier = SCHEMES.indexOf(other) > SCHEMES.indexOf(scheme) && rise === 0;
      return upper && Math.abs(scale.x(data.results.size(other, bits)) - x) < 14 && (earlier || (rise > 0 && rise < 28));
    });
    const marks = known.map(({ bits, bytes, quality, x, y }) => {
      const words = `${depthName(scheme, bits)}: ${fileSize(bytes)}, ${data.results.words(quality)}`;
      const { agreement } = quality;
      const reach = agreement ? [agreement.low, agreement.high].map((share) => scale.y(100 * share) - y) : null;
      const mark = svg(
        "g", { class: `point ${quality.stage}`, role: "radio", "aria-label": words, transform: `translate(${x} ${y})` },
        svg("title", {}, words), reach && svg("path", { class: "interval", d: `M-4,${reach[0]}h8m-4,0V${reach[1]}m-4,0h8` }), svg("circle", { class: "ring", r: 8.5 }),
        MARKS[scheme](),
      );
      points.set(keyOf(scheme, bits), mark);
      if (!crowned({ bits, x, y })) {
        const words = scheme === MIXED ? "mixed" : String(bits);
        labels.set(keyOf(scheme, bits), { element: svg("text", { class: scheme, "text-anchor": "middle" }, words), half: 3.5 * words.length, x, spots: above ? [y - 12, y + 20] : [y + 20, y - 12] });
      }
      return mark;
    });
    places.push(...known.map(({ bits, x, y }) => ({ scheme, bits, x, y })));
    return svg("g", { class: scheme }, line, ...marks);
  }

  // The mixed plans that no other one beats, to be taken by a click.
  function frontier(scale) {
    const known = data.frontier.map((choice) => ({ ...choice, ...data.results.judged(choice) }))
      .map((choice) => ({ ...choice, x: scale.x(choice.nbytes), y: scale.y(choice.value) }));
    const line = svg("polyline", { class: "line frontier", points: known.map(({ x, y }) => `${x},${y}`).join(" ") });
    const mixed = known.filter(({ label }) => label === "mixed");
    if (data.edits) places.push(...mixed.map(({ x, y, bits, scheme }) => ({ x, y, plan: { bits, scheme } })));
    const marks = mixed.map(({ x, y, nbytes, ...measured }) => svg(
      "g", { class: "point coarse", transform: `translate(${x} ${y}) scale(0.7)` },
      svg("title", {}, `mixed plan: ${fileSize(nbytes)}, ${data.results.words(measured)}`), MARKS[MIXED](),
    ));
    return svg("g", { class: MIXED, "aria-hidden": "true" }, line, ...marks);
  }

  function draw() {
    if (!width) return;
    const ready = data.results.sizes.size > 0;
    chart.toggleAttribute("hidden", !ready);
    if (!ready) return;
    points.clear();
    labels.clear();
    places = [];
    chart.setAttribute("width", width);
    const scale = scales();
    const held = chart.contains(document.activeElement);
    const lines = [...SCHEMES, MIXED].map((scheme) => series(scale, scheme));
    labels.forEach(settle);
    // numbers lie above the marks of all schemes
    chart.replaceChildren(...axes(scale), frontier(scale), ...lines, svg("g", { class: "labels", "aria-hidden": "true" }, [...labels.values()].map(({ element }) => element)));
    empty.hidden = points.size > 0;
    mark();
    if (held) points.get(keyOf(model.get("scheme"), model.get("bits")))?.focus();
  }

  // A number stands on the side of its curve, or on the other one where it would lie on a point.
  function settle(label) {
    const { element, half, x, spots } = label;
    const clear = (y) => places.every((point) => Math.abs(point.x - x) > half + 4 || Math.abs(point.y - (y - 4)) > 9);
    const found = spots.find(clear);
    label.y = found ?? spots[0];
    label.crowded = found === undefined;
    element.setAttribute("x", x);
    element.setAttribute("y", label.y);
  }

  // Of numbers that would lie on each other only the first is shown; the chosen depth comes first.
  function paintLabels(chosen) {
    const shown = [];
    for (const key of new Set([chosen, ...labels.keys()])) {
      const label = labels.get(key);
      if (!label) continue;
      const { element, half, x, y, crowded } = label;
      const apart = shown.every((other) => Math.abs(other.x - x) > other.half + half || Math.abs(other.y - y) > 12);
      const free = key === chosen || (apart && !crowded);
      if (free) shown.push(label);
      element.classList.toggle("on", key === chosen);
      element.toggleAttribute("hidden", !free);
    }
  }

  function mark() {
    const chosen = keyOf(model.get("scheme"), model.get("bits"));
    root.dataset.scheme = model.get("scheme");
    for (const [key, point] of points) {
      point.setAttribute("aria-checked", String(key === chosen));
      point.setAttribute("tabindex", key === chosen ? "0" : "-1");
    }
    paintLabels(chosen);
    const made = (scheme) => BITS.filter((bits) => points.has(keyOf(scheme, bits))).length;
    const named = SCHEMES.filter((scheme) => !hasFeedback(scheme) || scheme === model.get("scheme") || made(scheme));
    const counts = named.map((scheme) => `${scheme} ${made(scheme)}`).join();
    if (legend === counts) return;
    legend = counts;
    about.replaceChildren(...named.map((scheme) => html(
      "span", { class: `key ${scheme}` }, html("i", {}), SCHEME_NAMES[scheme],
      hasFeedback(scheme) && made(scheme) < BITS.length ? html("span", { class: "missing" }, ` (${made(scheme)} of ${BITS.length})`) : null,
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
  follows: ["bits", "scheme", "image", "teach"],
  teach({ model, data }) {
    const { results } = data;
    const [image, bits, scheme] = ["image", "bits", "scheme"].map((trait) => model.get(trait));
    if (results.counts) return "A label changes where the errors outweigh the lead of the best class over the next one: clear pictures keep theirs down to few bits, doubtful ones lose theirs early. Few pictures say little: the line through the chosen point is where the share of all such pictures lies, with 95 % confidence.";
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
