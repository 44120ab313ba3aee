// Weights twice, as linear quantization and as a table have them: levels, errors, or all bit depths behind each other.

const MODES = { levels: "Levels", error: "Error", depths: "1–8 bits" };
const GAP = 20;
const WHOLE = "whole model";

// What the two panels show: the chosen scheme on the side of its family, the other family as it is without anything.
function shownOn(family, { data, weights, scheme, bits }) {
  const row = (name, depth) => weights.row(name, depth) ?? made(data, weights, name, depth);
  if (scheme !== MIXED) {
    const chosen = plainOf(scheme) === family;
    const own = chosen ? scheme : family;
    return { scheme: own, bits, chosen, row: row(own, bits), name: depthName(own, bits), rows: BITS.map((depth) => row(own, depth)) };
  }
  const [side, depth] = weights.whole ? [data.plan?.family, bits] : data.plan?.weights[weights.key] ?? [null, bits];
  const rows = BITS.map((one) => row(family, one));
  if (side !== family) return { scheme: family, bits: depth, chosen: false, row: rows[depth - 1], name: depthName(family, depth), rows };
  if (weights.whole) return { scheme: MIXED, bits: 0, chosen: true, row: row(MIXED, 0), name: depthName(MIXED, 0), rows };
  const name = `${depthName(family, depth)}, ${SCHEME_NAMES[MIXED]}`;
  return { scheme: MIXED, bits: depth, chosen: true, row: row(MIXED, 0) ?? rows[depth - 1], name, rows };
}

// Rows that came by themselves, of error feedback and of mixed plans, are added when their weights are shown.
function made(data, weights, scheme, bits) {
  const found = data.made.get(`${weights.whole ? WHOLE : weights.key} ${keyOf(scheme, bits)}`);
  if (found) weights.add(scheme, found.bits ?? bits, found);
  return weights.row(scheme, bits) ?? null;
}

function mount({ model, root, data, choose }) {
  const name = uniqueId("histogram");
  const about = html("small");
  const picker = html("select", { "aria-label": "Weights to show", onchange: () => pick() });
  const modes = Object.entries(MODES).map(([mode, label]) => html(
    "label", {},
    html("input", { type: "radio", name, value: mode, checked: mode === data.mode, onchange: () => { data.mode = mode; repaint(); } }),
    html("span", {}, label),
  ));
  const logarithmic = html("input", { type: "checkbox", checked: data.logarithmic, onchange: () => { data.logarithmic = logarithmic.checked; repaint(); } });
  const bar = html(
    "div", { class: "bar" },
    html("div", { class: "modes mlx-segmented", role: "radiogroup", "aria-label": "What the histograms show" }, modes),
    html("label", { class: "log" }, logarithmic, "log counts"),
  );
  const panels = ["linear", "lookup_table"].map((family) => new Panel(family, html("p", { class: "unseen", id: uniqueId("words") })));
  const pair = html("div", { class: "pair" }, panels.map((panel) => panel.element));
  const caption = html("p", { class: "note" });
  const readout = html("p", { class: "note readout" });
  const below = html("div", { class: "below" }, caption, readout);
  const empty = html("p", { class: "note", role: "status" });
  root.append(html("div", { class: "top" }, html("h3", {}, "Weights", about), picker), bar, pair, below, empty);
  let width = 0;
  let listed = null;
  let painted = [];
  let now = null;
  let bin = null;
  let depth = null;
  const asked = new Set();
  const stopWatching = watchWidth(pair, (next) => { width = (next - GAP) / 2; repaint(); });

  // Asking for a style makes the page compute it: once per theme is enough.
  let palette = null;
  function colours() {
    const style = getComputedStyle(root);
    const colour = (property) => style.getPropertyValue(property).trim();
    const family = style.fontFamily;
    const known = new Map();
    return {
      background: colour("--mlx-bg"), ground: colour("--mlx-ground"), grey: colour("--mlx-bars"), line: colour("--mlx-line"), muted: colour("--mlx-muted"),
      font: `10.5px ${family}`, strong: `700 11px ${family}`,
      of(scheme, side) {
        if (!known.has(scheme)) {
          const probe = html("i", { class: `${side} ${scheme}`, hidden: true });
          root.append(probe);
          known.set(scheme, getComputedStyle(probe).getPropertyValue("--mlx-own").trim());
          probe.remove();
        }
        return known.get(scheme);
      },
    };
  }

  function pick() {
    data.whole = picker.value === WHOLE;
    if (!data.whole) data.picked = picker.value;
    repaint();
  }

  function ask(content) {
    const key = JSON.stringify(content);
    if (asked.has(key)) return;
    asked.add(key);
    model.send(content);
  }

  function list(layer) {
    if (listed === layer && picker.options.length) return;
    listed = layer;
    const options = (layer?.weights ?? []).map(({ key, name: label }) => html("option", { value: key }, label));
    picker.replaceChildren(...options, html("option", { value: WHOLE }, WHOLE));
  }

  // The weights to show, or the reason why there are none.
  function find() {
    const id = model.get("layer");
    const layer = data.layers.get(id);
    list(layer);
    if (data.whole || !id) {
      picker.value = WHOLE;
      const whole = data.weights.get(WHOLE);
      if (whole) return { title: WHOLE, weights: whole, reason: whole.error };
      if (!data.asks) return { title: WHOLE, reason: "Not in this file: the whole model was not counted." };
      ask({ type: "whole" });
      const { done, weights } = data.progress ?? {};
      return { title: WHOLE, reason: weights ? `Counting: ${done} of ${weights} weights …` : "Counting all weights …" };
    }
    const own = layer?.weights.some(({ key }) => key === data.picked);
    const key = own ? data.picked : layer?.weights[0]?.key;
    if (key) picker.value = key;
    if (!layer) {
      if (!data.asks) return { reason: "Not in this file: this layer was not counted." };
      ask({ type: "layer", layer: id });
      return { reason: "Computing the histogram …" };
    }
    if (!layer.weights.length) return { title: layer.name, reason: `A ${layer.layer_type} layer has no weights.` };
    const weights = data.weights.get(key);
    return { title: layer.name, weights, reason: weights ? weights.error : "Computing the histogram …" };
  }

  function explain(weights, sides) {
    const grey = weights.whole
      ? `Grey: all ${wholeNumber(weights.count)} weights that quantization changes, of ${weights.weights} tensors.`
      : `Grey: the ${weights.original_bits}-bit weights.`;
    if (data.mode === "depths") {
      write(caption, `${grey} In colour: the quantized weights at 1 to 8 bits, with the SQNR in dB. Click on a depth to choose it.`);
      return;
    }
    if (data.mode === "error") {
      write(caption, `${grey} Below: what the weights of each bin add to the squared error, in % of the sum of all squares, on one scale for both. All together: ${sides.map(({ row, name: label }) => `${label} ${row ? percent(row.error / weights.energy) : "unknown"}`).join(", ")}.`);
      return;
    }
    const channels = sides[0].row?.lattices?.first.length ?? 1;
    const each = channels > 1 ? ` for each of ${channels} channels${channels > LATTICE_ROWS ? `, ${LATTICE_ROWS} of them drawn` : ""} as rows of ticks` : "";
    const words = weights.whole
      ? " In colour: the quantized ones. Levels differ from layer to layer."
      : ` Linear: ${1 << sides[0].bits} even levels${each}. LUT: one table of ${levelCount(sides[1].bits)}.`;
    const feedback = sides.some(({ scheme }) => hasFeedback(scheme))
      ? " With feedback a weight may take a level beside the nearest one, to make up for others: what counts is the output."
      : "";
    write(caption, grey + words + feedback);
  }

  // What the canvas shows, in words.
  function describe(weights, { row, name: label, rows }) {
    const [low, high] = weights.middleHalf.map(shortNumber);
    const parts = [`${wholeNumber(weights.count)} weights from ${shortNumber(weights.low)} to ${shortNumber(weights.high)}, half of them between ${low} and ${high}.`];
    if (data.mode === "depths") {
      const told = rows.map((one, index) => `${index + 1}: ${one ? ratio(one.sqnr).replace("SQNR ", "") : "not computed"}`);
      return [...parts, `SQNR by bits: ${told.join("; ")}.`].join(" ");
    }
    if (!row) return [...parts, `${label} is not computed.`].join(" ");
    if (row.lattices && !row.levels) parts.push(`${levelCount(row.bits)} for each of ${row.lattices.first.length} channels.`);
    if (row.levels && row.levels.length <= 16) parts.push(`Levels: ${row.levels.map(({ level, count }) => `${shortNumber(level)} for ${wholeNumber(count)}`).join(", ")}.`);
    else if (row.levels) parts.push(`${row.levels.length} levels in use from ${shortNumber(row.levels[0].level)} to ${shortNumber(row.levels.at(-1).level)}.`);
    if (row.worst > 0) {
      const [left, right] = weights.edges(row.errors.indexOf(row.worst)).map(shortNumber);
      parts.push(`The most of the squared error, ${percent(row.worst / row.error)}, comes from the weights between ${left} and ${right}.`);
    }
    return parts.join(" ");
  }

  function nearest(levels, value) {
    return levels.reduce((best, one) => (Math.abs(one.level - value) < Math.abs(best.level - value) ? one : best));
  }

  // What one panel has in a bin, in words.
  function within(weights, { row }) {
    if (!row) return "not computed";
    const error = row.error ? `${percent(row.errors[bin] / row.error)} of the error` : "no error";
    if (!row.levels) return `${wholeNumber(row.histogram[bin])} quantized weights, ${error}`;
    const { level, count } = nearest(row.levels, (weights.edges(bin)[0] + weights.edges(bin)[1]) / 2);
    return `nearest level ${Number(level.toPrecision(3))} for ${wholeNumber(count)}, ${error}`.replace("-", "−");
  }

  function read() {
    const weights = now?.weights;
    if (bin !== null && !(bin < (weights?.bins ?? 0))) bin = null;
    const shown = weights && bin !== null;
    caption.classList.toggle("away", Boolean(shown));
    readout.classList.toggle("away", !shown);
    if (!weights) return;
    const place = data.mode === "depths" ? [stackLeft, stackRight(width)] : [SIDE, width - SIDE];
    panels.forEach((panel) => panel.point(weights, bin, place));
    if (shown) {
      const [left, right] = weights.edges(bin).map((edge) => Number(edge.toPrecision(3)).toString().replace("-", "−"));
      const range = `${left} to ${right}: ${weightCount(weights.counts[bin])}`;
      const sides = now.sides.map(pointedAt);
      const told = sides.map((side) => within(weights, side));
      readout.replaceChildren(html("strong", {}, range), ...sides.map((side, index) => html("span", {}, html("b", { class: `${panels[index].family} ${side.scheme}` }, side.name), `: ${told[index]}`)));
      panels.forEach((panel, index) => panel.canvas.setAttribute("aria-valuetext", data.mode === "depths" ? depthText(now.sides[index]) : `${range}; ${told[index]}`));
    } else panels.forEach((panel, index) => panel.canvas.setAttribute("aria-valuetext", data.mode === "depths" ? depthText(now.sides[index]) : "no bin"));
  }

  // Among the depths behind each other, the one below the pointer.
  function pointedAt(side, index) {
    if (depth === null) return side;
    return { ...side, row: side.rows[depth - 1], name: depthName(side.scheme === MIXED ? panels[index].family : side.scheme, depth) };
  }

  const depthText = ({ name: label, row }) => `${label}, ${row ? ratio(row.sqnr) : "not computed"}`;

  function move(next, over = null) {
    if (next === bin && over === depth) return;
    [bin, depth] = [next, over];
    read();
  }

  const binAt = (event, panel) => {
    const { left } = panel.canvas.getBoundingClientRect();
    const [from, to] = data.mode === "depths" ? [stackLeft, stackRight(width)] : [SIDE, width - SIDE];
    const found = Math.floor(((event.clientX - left - from) / (to - from)) * now.weights.bins);
    return Math.min(now.weights.bins - 1, Math.max(0, found));
  };

  function chooseDepth(panel, bits) {
    const scheme = model.get("scheme");
    choose({ bits, scheme: scheme !== MIXED && plainOf(scheme) === panel.family ? scheme : panel.family });
  }

  function pressed(panel, key) {
    if (!now) return false;
    if (data.mode === "depths") {
      const bits = { ArrowLeft: model.get("bits") - 1, ArrowDown: model.get("bits") - 1, ArrowRight: model.get("bits") + 1, ArrowUp: model.get("bits") + 1, Home: 1, End: 8 }[key];
      if (bits === undefined) return false;
      chooseDepth(panel, Math.min(8, Math.max(1, bits)));
      return true;
    }
    const last = now.weights.bins - 1;
    const here = bin ?? now.weights.bin((now.weights.middleHalf[0] + now.weights.middleHalf[1]) / 2);
    const step = bin === null ? 0 : 1;
    const next = { ArrowLeft: here - step, ArrowDown: here - step, ArrowRight: here + step, ArrowUp: here + step, PageDown: here - 10, PageUp: here + 10, Home: 0, End: last }[key];
    if (key === "Escape" && bin !== null) move(null);
    else if (next === undefined) return false;
    else move(Math.min(last, Math.max(0, next)));
    panel.canvas.setAttribute("aria-valuenow", bin ?? 0);
    return true;
  }

  for (const panel of panels) {
    const depthOf = (event) => (data.mode === "depths" ? depthAt(event.clientY - panel.canvas.getBoundingClientRect().top) : null);
    panel.plot.addEventListener("pointermove", (event) => { if (now) move(binAt(event, panel), depthOf(event)); });
    panel.plot.addEventListener("pointerleave", () => move(null));
    panel.plot.addEventListener("click", (event) => {
      if (now && data.mode === "depths") chooseDepth(panel, depthOf(event));
    });
    panel.canvas.addEventListener("blur", () => move(null));
    arrowKeys(panel.canvas, (key) => pressed(panel, key));
  }

  function paint(weights) {
    const [bits, scheme] = [model.get("bits"), model.get("scheme")];
    const sides = panels.map((panel) => shownOn(panel.family, { data, weights, scheme, bits }));
    palette ??= colours();
    // nothing is drawn again for messages about something else
    const next = [weights, data.mode, data.logarithmic, width, palette, ...sides.flatMap(({ row, name: label, chosen, rows }) => [row, label, chosen, ...rows])];
    if (next.length === painted.length && next.every((value, index) => value === painted[index])) return;
    painted = next;
    now = { weights, sides };
    const top = Math.max(weights.most, ...sides.map(({ row }) => row?.top ?? 0));
    const worst = Math.max(0, ...sides.map(({ row }) => row?.worst ?? 0));
    panels.forEach((panel, index) => {
      const side = sides[index];
      panel.paint({ ...side, weights, palette, width, mode: data.mode, logarithmic: data.logarithmic, top, worst, labelled: index === 0 });
      const depths = data.mode === "depths";
      const what = weights.whole ? WHOLE : `${weights.name} of ${weights.layer}`;
      const attributes = {
        "aria-label": depths ? `Bit depth of the ${SCHEME_NAMES[panel.family]} histograms, ${what}` : `Bin of the ${data.mode === "error" ? "histogram and the squared errors" : "histogram"}, ${side.name}, ${what}`,
        "aria-valuemin": depths ? 1 : 0, "aria-valuemax": depths ? 8 : weights.bins - 1, "aria-valuenow": depths ? bits : bin ?? 0,
      };
      for (const [attribute, value] of Object.entries(attributes)) panel.canvas.setAttribute(attribute, value);
      write(panel.words, describe(weights, side));
    });
    explain(weights, sides);
    read();
  }

  function repaint() {
    root.dataset.scheme = model.get("scheme");
    const { title, weights, reason } = find();
    const drawable = Boolean(weights) && !reason;
    write(about, [title, drawable && !weights.whole ? weights.shape.join(" × ") : ""].filter(Boolean).join(", "));
    about.title = about.textContent;
    bar.hidden = pair.hidden = below.hidden = !drawable;
    empty.hidden = drawable;
    if (!drawable) {
      write(empty, reason);
      now = null;
      painted = [];
    } else if (width > 0) paint(weights);
  }

  const themes = new MutationObserver(() => { palette = null; repaint(); });
  const watched = { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class", "theme"] };
  themes.observe(document.body, watched);
  themes.observe(document.documentElement, watched);
  return {
    repaint,
    destroy: () => {
      stopWatching();
      themes.disconnect();
    },
  };
}

export default defineView("histogram", {
  teach: () => "Most weights lie near zero. Linear levels stand at equal distances from the smallest weight to the largest, so that many of them stand where hardly any weight is; a table moves its levels to where the weights are, and each weight goes to the nearest one. The error is how far that is: where many weights share a few levels, it adds up.",
  initial: () => ({ asks: true, layers: new Map(), weights: new Map(), made: new Map(), plan: null, progress: null, picked: "", whole: false, mode: "levels", logarithmic: false }),
  receive(data, content, buffers) {
    const keep = (key, scheme, bits, row) => {
      data.made.set(`${key} ${keyOf(scheme, bits)}`, row);
      data.weights.get(key)?.rows?.delete(keyOf(scheme, bits));
    };
    if (content.type === "kernel") data.asks = content.asks;
    else if (content.type === "layer") data.layers.set(content.layer, content);
    else if (content.type === "weight") data.weights.set(content.key, content.error ? content : weightOf(content, buffers));
    else if (content.type === "progress") data.progress = content;
    else if (content.type === "whole") data.weights.set(WHOLE, content.error ? content : wholeOf(content, buffers));
    else if (content.type === "whole_row") keep(WHOLE, content.scheme, content.bits, { sqnr: content.sqnr, histogram: integers(buffers[0]), errors: reals(buffers[1]) });
    else if (content.type === "calibrated") for (const [key, row] of madeOf(content.weights, buffers)) keep(key, content.scheme, content.bits, row);
    else if (content.type === "plan") {
      for (const key of data.weights.keys()) if (key !== WHOLE) { data.made.delete(`${key} ${MIXED}`); data.weights.get(key).rows?.delete(MIXED); }
      for (const [key, row] of madeOf(content.made, buffers)) keep(key, MIXED, 0, row);
      data.plan = content;
    }
  },
  mount,
});
