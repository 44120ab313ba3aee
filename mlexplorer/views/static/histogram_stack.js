// The quantized weights at all bit depths, one behind the other as TensorBoard has them, the fewest bits in front.

const STEP = 20;
const RISE = 32;
const FRONT = HEIGHT - 6;
const LEFT = 14;
const RIGHT = 30;
const NUMBER = 4;

const stackLeft = LEFT;
const stackRight = (width) => width - RIGHT;
const stackBase = (bits) => FRONT - (bits - 1) * STEP;

// The depth whose base line is the next one below a height.
const depthAt = (y) => Math.min(8, Math.max(1, 1 + Math.floor((FRONT - y) / STEP)));

function drawStack({ context, weights, width, colours, rows, bits, logarithmic }) {
  const step = (stackRight(width) - LEFT) / weights.bins;
  const scale = countScale(weights.most, logarithmic);
  const rise = (value) => Math.min(1.15, scale.share(value)) * RISE;
  for (const depth of [...BITS].reverse()) {
    const base = stackBase(depth);
    const row = rows[depth - 1];
    const chosen = depth === bits;
    silhouette(context, weights.counts, step, base, rise);
    context.globalAlpha = 0.92;
    context.fillStyle = colours.ground;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.stroke();
    if (row) {
      context.globalAlpha = chosen ? 1 : 0.5;
      context.fillStyle = context.strokeStyle = colours.own;
      if (row.levels) ridgeStems(context, weights, row, step, base, rise);
      else ridgeBars(context, row, step, base, rise);
      context.globalAlpha = 1;
    }
    const [font, colour] = chosen ? [colours.strong, colours.own] : [colours.font, colours.muted];
    context.fillStyle = colour;
    if (chosen) context.fillRect(LEFT, base, stackRight(width) - LEFT, 1.5);
    drawWords(context, String(depth), NUMBER, base, font, colour);
    const told = !row ? "–" : row.sqnr === null ? "∞" : row.sqnr.toFixed(1).replace("-", "−");
    drawWords(context, told, stackRight(width) + 3, base, font, colour);
  }
}

function silhouette(context, counts, step, base, rise) {
  context.beginPath();
  context.moveTo(LEFT, base);
  counts.forEach((count, bin) => context.lineTo(LEFT + (bin + 0.5) * step, base - rise(count)));
  context.lineTo(LEFT + counts.length * step, base);
}

function ridgeStems(context, weights, row, step, base, rise) {
  context.lineWidth = row.levels.length > DOTS ? 0.75 : 1.5;
  context.beginPath();
  for (const { level, dense } of row.levels) {
    const at = LEFT + ((level - weights.low) / weights.step) * step;
    context.moveTo(at, base);
    context.lineTo(at, base - rise(dense));
  }
  context.stroke();
}

function ridgeBars(context, row, step, base, rise) {
  context.beginPath();
  row.bars.forEach((count, bin) => {
    if (count) context.rect(LEFT + (bin + 0.2) * step, base - rise(count), Math.max(0.6, step * 0.6), rise(count));
  });
  context.fill();
}
