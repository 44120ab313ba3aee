// A layer's weights twice, with the levels of linear quantization and with those of a look-up table.

const BINS = 128;
const PLOT = 128;
const STRIP = 30;
const ROWS = 30;
const DOTS = 32;
const GAP = 20;

function decode(content, buffers) {
  if (content.error) return content;
  const [counts, linearCounts, tableCounts] = buffers.slice(0, 3).map((buffer) => new Uint32Array(copyBytes(buffer)));
  const [lows, highs, tables] = buffers.slice(3).map((buffer) => new Float32Array(copyBytes(buffer)));
  return { ...content, counts, linearCounts, tableCounts, lows, highs, tables, most: counts.reduce((a, b) => Math.max(a, b), 1) };
}

const number = (value) => Number(value.toPrecision(2)).toString().replace("-", "−");

const usedLevels = (table, counts) => [...table].map((level, index) => ({ level, count: counts[index] })).filter(({ count }) => count);

// The levels of the table at a bit depth, and how many weights each stands for; entries that repeat stand for none.
function tableLevels(weight, bits) {
  const start = (1 << bits) - 2;
  const place = [start, start + (1 << bits)];
  return usedLevels(weight.tables.subarray(...place), weight.tableCounts.subarray(...place));
}

// The linear levels of a weight with one scale, each with what its bin holds.
function linearLevels(weight, bits) {
  const [low, high] = [weight.lows[0], weight.highs[0]];
  const last = (1 << bits) - 1;
  const counts = weight.linearCounts.subarray((bits - 1) * BINS, bits * BINS);
  const width = (weight.high - weight.low) / BINS || 1;
  return Array.from({ length: last + 1 }, (_, index) => {
    const level = low + ((high - low) * index) / last;
    const bin = Math.min(BINS - 1, Math.max(0, Math.floor((level - weight.low) / width)));
    return { level, count: counts[bin] / Math.max(1, (last + 1) / BINS) };
  });
}

class Panel {
  constructor(scheme) {
    this.scheme = scheme;
    this.title = html("strong", {});
    this.error = html("span", { class: "sqnr" });
    this.canvas = html("canvas", { role: "img" });
    this.axis = html("div", { class: "range", "aria-hidden": "true" }, html("span"), html("span"));
    this.element = html("figure", { class: scheme, hidden: scheme === FEEDBACK }, html("figcaption", {}, this.title, this.error), this.canvas, this.axis);
  }

  // `calibrated` has the levels that error feedback made, null where it has not run.
  paint(weight, bits, width, chosen, colours, calibrated) {
    const scale = window.devicePixelRatio || 1;
    const height = PLOT + STRIP + 6;
    const [pixels, lines] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.canvas.width !== pixels || this.canvas.height !== lines) [this.canvas.width, this.canvas.height] = [pixels, lines];
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const span = weight.high - weight.low || 1;
    const x = (value) => 1 + ((value - weight.low) / span) * (width - 2);
    this.bars(context, weight, width, colours.grey);
    context.fillStyle = context.strokeStyle = colours[this.scheme];
    const channels = weight.lows.length;
    const levels = this.scheme === FEEDBACK ? calibrated?.levels ?? [] : tableLevels(weight, bits);
    if (this.scheme === "linear" && channels > 1) this.distribution(context, weight, bits, width, channels);
    else this.stems(context, weight, x, this.scheme === "linear" ? linearLevels(weight, bits) : levels, colours);
    context.fillStyle = colours.line;
    context.fillRect(0, PLOT, width, 1);
    context.fillStyle = colours[this.scheme];
    if (this.scheme === "linear") this.lattices(context, weight, bits, x);
    else this.ticks(context, levels.map(({ level }) => x(level)));
    const known = this.scheme !== FEEDBACK || calibrated;
    const sqnr = this.scheme === FEEDBACK ? calibrated?.sqnr : weight.sqnr[SCHEMES.indexOf(this.scheme)][bits - 1];
    const exact = !known ? "not computed" : sqnr === null ? "exact" : `SQNR ${sqnr.toFixed(1)} dB`;
    this.title.textContent = depthName(this.scheme, bits);
    this.error.textContent = exact;
    this.element.classList.toggle("on", chosen);
    this.axis.firstChild.textContent = number(weight.low);
    this.axis.lastChild.textContent = number(weight.high);
    this.canvas.setAttribute("aria-label", `Histogram of ${weight.name} with the levels of ${depthName(this.scheme, bits)}, ${exact}`);
  }

  bars(context, weight, width, colour) {
    context.fillStyle = colour;
    const step = (width - 2) / BINS;
    for (let bin = 0; bin < BINS; bin += 1) {
      const tall = (weight.counts[bin] / weight.most) * (PLOT - 8);
      context.fillRect(1 + bin * step, PLOT - tall, step + 0.4, tall);
    }
  }

  // With a scale for every channel the levels are too many to draw as stems: where the quantized weights lie instead.
  distribution(context, weight, bits, width, channels) {
    const counts = weight.linearCounts.subarray((bits - 1) * BINS, bits * BINS);
    const spread = Math.max(1, BINS / (channels << bits));
    const step = (width - 2) / BINS;
    context.globalAlpha = 0.85;
    for (let bin = 0; bin < BINS; bin += 1) {
      const tall = Math.min(1.05, counts[bin] / spread / weight.most) * (PLOT - 8);
      if (counts[bin]) context.fillRect(1 + bin * step + step * 0.2, PLOT - tall, Math.max(0.75, step * 0.6), tall);
    }
    context.globalAlpha = 1;
  }

  // A stem is as high as the weights are dense around its level: their number by the width of the level's cell.
  stems(context, weight, x, levels, colours) {
    const width = (weight.high - weight.low) / BINS || 1;
    const dotted = levels.length <= DOTS;
    context.lineWidth = dotted ? 1.5 : 0.75;
    const tops = levels.map(({ level, count }, index) => {
      const left = index ? (level + levels[index - 1].level) / 2 : Math.min(weight.low, level);
      const right = index + 1 < levels.length ? (level + levels[index + 1].level) / 2 : Math.max(weight.high, level);
      const dense = (count * width) / Math.max(right - left, width * 0.05);
      return [x(level), PLOT - Math.min(1.03, dense / weight.most) * (PLOT - 8)];
    });
    context.beginPath();
    for (const [at, top] of tops) {
      context.moveTo(at, PLOT);
      context.lineTo(at, top);
    }
    context.stroke();
    if (!dotted) return;
    for (const [at, top] of tops) {
      context.beginPath();
      context.arc(at, top, 2.75, 0, 7);
      context.fill();
      context.strokeStyle = colours.background;
      context.lineWidth = 1;
      context.stroke();
    }
  }

  // A row for each channel, with a tick at each of its levels.
  lattices(context, weight, bits, x) {
    const channels = weight.lows.length;
    const rows = Math.min(ROWS, channels);
    const tall = STRIP / rows;
    context.globalAlpha = 0.8;
    context.beginPath();
    for (let row = 0; row < rows; row += 1) {
      const channel = Math.floor((row * channels) / rows);
      const [left, right] = [x(weight.lows[channel]), x(weight.highs[channel])];
      const step = (right - left) / ((1 << bits) - 1);
      const top = PLOT + 6 + row * tall;
      if (step < 1.6) context.rect(left, top, Math.max(1, right - left), tall);
      else for (let index = 0; index < 1 << bits; index += 1) context.rect(left + index * step - 0.6, top, 1.2, tall);
    }
    context.fill();
    context.globalAlpha = 1;
  }

  ticks(context, positions) {
    context.globalAlpha = 0.8;
    context.beginPath();
    for (const at of positions) context.rect(at - 0.6, PLOT + 6, 1.2, STRIP);
    context.fill();
    context.globalAlpha = 1;
  }
}

function mount({ model, root, data }) {
  const about = html("small");
  const picker = html("select", { "aria-label": "Weight of the layer", onchange: () => { data.picked = picker.value; repaint(); } });
  const panels = SCHEMES.map((scheme) => new Panel(scheme));
  const pair = html("div", { class: "pair" }, panels.map((panel) => panel.element));
  const caption = html("p", { class: "note" });
  const empty = html("p", { class: "note" });
  root.append(html("div", { class: "top" }, html("h3", {}, "Weights", about), picker), pair, caption, empty);
  let width = 0;
  let listed = null;
  const asked = new Set();
  const stopWatching = watchWidth(pair, (next) => { width = (next - GAP) / 2; repaint(); });

  // Asking for a style makes the page compute it: once per theme is enough.
  let palette = null;
  function colours() {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(name).trim();
    return {
      linear: colour("--mlx-linear"), lookup_table: colour("--mlx-lookup-table"), [FEEDBACK]: colour("--mlx-feedback"), background: colour("--mlx-bg"),
      grey: colour("--mlx-bars"), line: colour("--mlx-line"),
    };
  }

  function list(layer) {
    if (listed === layer) return;
    listed = layer;
    picker.replaceChildren(...layer.weights.map(({ key, name }) => html("option", { value: key }, name)));
    picker.hidden = layer.weights.length < 2;
  }

  function explain(weight, bits, scheme) {
    const channels = weight.lows.length;
    const levels = 1 << bits;
    const linear = channels > 1
      ? `Linear: ${levels} even levels for each of ${channels} channels${channels > ROWS ? `, ${ROWS} of them drawn` : ""} as rows of ticks`
      : `Linear: ${levels} even levels`;
    caption.textContent = `Grey: the ${weight.original_bits}-bit weights. ${linear}. LUT: one table of ${levels} levels.`;
    if (scheme === FEEDBACK) caption.textContent += " With feedback a weight may take a level beside the nearest one, to make up for others: what counts is the output.";
  }

  function repaint() {
    const id = model.get("layer");
    const bits = model.get("bits");
    const scheme = model.get("scheme");
    root.dataset.scheme = scheme;
    const layer = data.layers.get(id);
    if (id && !layer && !asked.has(id)) {
      asked.add(id);
      model.send({ type: "layer", layer: id });
    }
    if (layer) list(layer);
    const own = layer?.weights.some(({ key }) => key === data.picked);
    const key = own ? data.picked : layer?.weights[0]?.key;
    const weight = data.weights.get(key);
    if (key) picker.value = key;
    const drawable = weight && !weight.error;
    pair.hidden = caption.hidden = !drawable;
    picker.hidden = !layer || layer.weights.length < 2;
    about.textContent = layer ? [layer.name, weight?.shape.join(" × ")].filter(Boolean).join(", ") : "";
    empty.hidden = Boolean(drawable);
    if (!id) empty.textContent = "Choose a layer in the graph to see its weights.";
    else if (!layer) empty.textContent = "Computing the histogram …";
    else if (!layer.weights.length) empty.textContent = `A ${layer.layer_type} layer has no weights.`;
    else empty.textContent = weight?.error ?? "Computing the histogram …";
    if (!drawable) return;
    explain(weight, bits, scheme);
    if (!width) return;
    palette ??= colours();
    for (const panel of panels) {
      panel.element.hidden = panel.scheme === (scheme === FEEDBACK ? "lookup_table" : FEEDBACK);
      if (!panel.element.hidden) panel.paint(weight, bits, width, panel.scheme === scheme, palette, data.calibrated.get(`${key} ${bits}`));
    }
  }

  const themes = new MutationObserver(() => { palette = null; repaint(); });
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
  return {
    repaint,
    destroy: () => {
      stopWatching();
      themes.disconnect();
    },
  };
}

export default defineView("histogram", {
  teach: () => "Most weights lie near zero. Linear levels stand at equal distances from the smallest weight to the largest, so that many of them stand where hardly any weight is; a table moves its levels to where the weights are, and each weight goes to the nearest one.",
  initial: () => ({ layers: new Map(), weights: new Map(), calibrated: new Map(), picked: "" }),
  receive(data, content, buffers) {
    if (content.type === "layer") data.layers.set(content.layer, content);
    else if (content.type === "weight") data.weights.set(content.key, decode(content, buffers));
    else if (content.type === "calibrated") {
      const [tables, counts] = [new Float32Array(copyBytes(buffers[0])), new Uint32Array(copyBytes(buffers[1]))];
      content.weights.forEach(({ key, sqnr }, index) => {
        const place = [index << content.bits, (index + 1) << content.bits];
        data.calibrated.set(`${key} ${content.bits}`, { sqnr, levels: usedLevels(tables.subarray(...place), counts.subarray(...place)) });
      });
    }
  },
  mount,
});
