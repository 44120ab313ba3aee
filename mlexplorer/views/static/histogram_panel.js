// One side of the histogram: the weights in grey, what a scheme makes of them in its colour, a strip below.

const HEIGHT = 190;
const HEAD = 18;
const BASES = { levels: 148, error: 118 };
const WHOLE_BASE = 186;
const STRIP_GAP = 7;
const LATTICE_ROWS = 30;
const DOTS = 32;
const SIDE = 1;

const shortNumber = (value) => Number(value.toPrecision(2)).toString().replace("-", "−");
const NUMBERS = new Intl.NumberFormat("en");
const wholeNumber = (value) => NUMBERS.format(value);
const weightCount = (count) => `${wholeNumber(count)} ${count === 1 ? "weight" : "weights"}`;
const percent = (share) => `${Number((100 * share).toPrecision(2))} %`;
const ratio = (sqnr) => (sqnr === null ? "exact" : `SQNR ${decibels(sqnr)}`);
const levelCount = (bits) => `${1 << bits} levels`;

// 1, 2 or 5 times a power of ten, at most `most`.
function roundBelow(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((factor) => factor * power).find((value) => value <= most) ?? power;
}

// Maps counts to heights, as shares of the tallest one.
function countScale(top, logarithmic) {
  const whole = Math.log1p(top);
  const ticks = [];
  if (logarithmic) for (let tick = 10; tick <= top; tick *= top > 2e4 ? 100 : 10) ticks.push(tick);
  else ticks.push(roundBelow(top));
  return { ticks, share: logarithmic ? (value) => Math.log1p(value) / whole : (value) => value / top };
}

class Panel {
  constructor(family, words) {
    this.family = family;
    this.title = html("strong", {});
    this.ratio = html("span", { class: "sqnr", title: "Signal-to-quantization-noise ratio of the weights" });
    this.canvas = html("canvas", { tabindex: "0", role: "slider", "aria-describedby": words.id });
    this.cursor = html("i", { class: "cursor", hidden: true });
    this.plot = html("div", { class: "plot figure" }, this.canvas, this.ratio, this.cursor, words);
    this.axis = html("div", { class: "range", "aria-hidden": "true" }, html("span"), html("span"));
    this.words = words;
    this.element = html("figure", {}, html("figcaption", { class: "figure" }, this.title), this.plot, this.axis);
  }

  // What is drawn: `weights`, the `row` of a scheme (null where it has not been made), the mode, both sides' scales.
  paint({ weights, row, name, chosen, scheme, palette, width, mode, logarithmic, top, worst, labelled, rows, bits }) {
    const context = this.begin(width);
    this.width = width;
    write(this.title, name);
    write(this.ratio, row ? ratio(row.sqnr) : "not computed");
    this.element.className = `${scheme}${chosen ? " on" : ""}`;
    write(this.axis.firstChild, shortNumber(weights.low));
    write(this.axis.lastChild, shortNumber(weights.high));
    this.element.dataset.mode = mode;
    const colours = { ...palette, own: palette.of(scheme, this.family) };
    const drawing = { context, weights, row, width, colours, labelled };
    if (mode === "depths") {
      drawStack({ ...drawing, rows, bits: chosen ? bits : 0, logarithmic });
      return;
    }
    const base = weights.whole && mode === "levels" ? WHOLE_BASE : BASES[mode];
    const scale = countScale(top, logarithmic);
    drawCounts({ ...drawing, base, tall: base - HEAD, scale });
    if (mode === "error") drawError({ ...drawing, top: base + STRIP_GAP, worst });
    else if (row) drawLevels({ ...drawing, top: base + STRIP_GAP });
  }

  begin(width) {
    const scale = window.devicePixelRatio || 1;
    const [pixels, lines] = [Math.round(width * scale), Math.round(HEIGHT * scale)];
    if (this.canvas.width !== pixels || this.canvas.height !== lines) [this.canvas.width, this.canvas.height] = [pixels, lines];
    const context = this.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    return context;
  }

  // A line across the panel at a bin; none for null.
  point(weights, bin, [left, right]) {
    this.cursor.hidden = bin === null;
    if (bin !== null) this.cursor.style.transform = `translateX(${left + ((bin + 0.5) / weights.bins) * (right - left)}px)`;
  }
}

const positions = ({ weights, width }) => {
  const span = weights.high - weights.low || 1;
  return (value) => SIDE + ((value - weights.low) / span) * (width - 2 * SIDE);
};

// Text on a canvas of the page makes it compute its styles in between: words are drawn aside, once.
const wordPictures = new Map();
function drawWords(context, words, x, y, font, colour) {
  const scale = window.devicePixelRatio || 1;
  const key = [words, font, colour, scale].join("|");
  if (!wordPictures.has(key)) {
    const brush = new OffscreenCanvas(1, 1).getContext("2d");
    brush.font = font;
    const size = [brush.measureText(words).width + 2, 20].map((length) => Math.ceil(length * scale));
    [brush.canvas.width, brush.canvas.height] = size;
    brush.scale(scale, scale);
    [brush.font, brush.fillStyle] = [font, colour];
    brush.fillText(words, 0, 15);
    wordPictures.set(key, brush.canvas);
  }
  const picture = wordPictures.get(key);
  context.drawImage(picture, x, y - 15, picture.width / scale, picture.height / scale);
}

function drawCounts({ context, weights, row, width, colours, labelled, base, tall, scale }) {
  const step = (width - 2 * SIDE) / weights.bins;
  const top = (value) => base - scale.share(value) * tall;
  // all bars are one path: filling hundreds of them one by one takes longer than all the rest of a slider move
  const bars = (counts, left, wide) => {
    context.beginPath();
    counts.forEach((count, bin) => { if (count) context.rect(SIDE + (bin + left) * step, top(count), wide, base - top(count)); });
    context.fill();
  };
  context.fillStyle = colours.grey;
  bars(weights.counts, 0, step + 0.4);
  context.fillStyle = colours.line;
  for (const tick of scale.ticks) context.fillRect(0, Math.round(top(tick)), width, 1);
  context.fillRect(0, base, width, 1);
  context.fillStyle = context.strokeStyle = colours.own;
  if (row?.levels) drawStems({ context, weights, row, width, colours, base, top });
  else if (row) {
    context.globalAlpha = 0.85;
    bars(row.bars, 0.2, Math.max(0.75, step * 0.6));
    context.globalAlpha = 1;
  }
  if (!labelled) return;
  for (const tick of scale.ticks) drawWords(context, wholeNumber(tick), 1, Math.max(9, Math.round(top(tick)) - 3), colours.font, colours.muted);
}

function drawStems({ context, weights, row, width, colours, base, top }) {
  const x = positions({ weights, width });
  const dotted = row.levels.length <= DOTS;
  context.lineWidth = dotted ? 1.5 : 0.75;
  context.beginPath();
  for (const { level, dense } of row.levels) {
    context.moveTo(x(level), base);
    context.lineTo(x(level), top(dense));
  }
  context.stroke();
  if (!dotted) return;
  context.strokeStyle = colours.background;
  context.lineWidth = 1;
  for (const { level, dense } of row.levels) {
    context.beginPath();
    context.arc(x(level), top(dense), 2.75, 0, 7);
    context.fill();
    context.stroke();
  }
}

// A tick at each level: for each channel in a row of its own, where channels have levels of their own.
function drawLevels({ context, weights, row, width, colours, top }) {
  const x = positions({ weights, width });
  const height = HEIGHT - top;
  context.fillStyle = colours.own;
  context.globalAlpha = 0.8;
  context.beginPath();
  if (row.lattices) {
    const { first, last } = row.lattices;
    const rows = Math.min(LATTICE_ROWS, first.length);
    const tall = height / rows;
    for (let place = 0; place < rows; place += 1) {
      const channel = Math.floor((place * first.length) / rows);
      const [left, right] = [x(first[channel]), x(last[channel])];
      const step = (right - left) / ((1 << row.bits) - 1);
      const at = top + place * tall;
      if (step < 1.6) context.rect(left, at, Math.max(1, right - left), tall);
      else for (let index = 0; index < 1 << row.bits; index += 1) context.rect(left + index * step - 0.6, at, 1.2, tall);
    }
  } else if (row.levels) for (const { level } of row.levels) context.rect(x(level) - 0.6, top, 1.2, height);
  context.fill();
  context.globalAlpha = 1;
}

// The squared error of the weights in each bin, in shares of the weights' own squares; both sides have one scale.
function drawError({ context, weights, row, width, colours, labelled, top, worst }) {
  const step = (width - 2 * SIDE) / weights.bins;
  const [roof, base] = [top + 12, HEIGHT - 1];
  context.fillStyle = colours.line;
  context.fillRect(0, base, width, 1);
  context.fillStyle = colours.own;
  for (let bin = 0; bin < weights.bins; bin += 1) {
    const tall = row && worst ? (row.errors[bin] / worst) * (base - roof) : 0;
    if (tall > 0) context.fillRect(SIDE + bin * step, base - Math.max(tall, 0.5), step + 0.2, Math.max(tall, 0.5));
  }
  drawWords(context, "squared error", 1, top + 8, colours.font, colours.muted);
  if (!labelled || !worst) return;
  context.fillStyle = colours.line;
  context.fillRect(0, roof, width, 1);
  drawWords(context, percent(worst / weights.energy), 1, roof + 10, colours.font, colours.muted);
}
