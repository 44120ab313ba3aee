// What the histogram's messages hold: weights in bins, and what each scheme and bit depth makes of them.


const integers = (buffer) => new Uint32Array(copyBytes(buffer));
const reals = (buffer) => new Float32Array(copyBytes(buffer));
const largest = (array) => array.reduce((most, value) => Math.max(most, value), 0);

// Where the 2^bits entries of a depth are among those of all depths, one after the other.
const entriesOf = (array, bits) => array.subarray((1 << bits) - 2, (1 << (bits + 1)) - 2);

// The weights of a layer or of the whole model: `counts` in equal bins from `low` to `high`, `energy` the sum of squares.
class Weights {
  constructor(content, counts) {
    Object.assign(this, content);
    this.counts = counts;
    this.most = Math.max(1, largest(counts));
    this.step = (this.high - this.low) / this.bins || 1;
    this.rows = new Map();
  }

  row(scheme, bits) {
    return this.rows.get(keyOf(scheme, bits));
  }

  bin(value) {
    const span = this.high - this.low;
    const bin = span > 0 ? Math.floor((value - this.low) * (this.bins / span)) : this.bins >> 1;
    return Math.min(this.bins - 1, Math.max(0, bin));
  }

  edges(bin) {
    return [this.low + bin * this.step, this.low + (bin + 1) * this.step];
  }

  // Half of the weights lie between these two values.
  get middleHalf() {
    this.quartiles ??= [0.25, 0.75].map((share) => {
      let left = share * this.count;
      const bin = this.counts.findIndex((count) => (left -= count) <= 0);
      return this.edges(Math.max(0, bin))[share < 0.5 ? 0 : 1];
    });
    return this.quartiles;
  }

  // What a scheme makes of the weights. `levels` are those of all channels together, ascending, or null; `lattices` have
  // the first and the last level of each channel. `bars` is how dense the quantized weights are in each bin.
  add(scheme, bits, { sqnr, errors, histogram, levels = null, counts = null, lattices = null }) {
    const used = levels && [...levels].map((level, index) => ({ level, count: counts[index] })).filter(({ count }) => count);
    const row = { scheme, bits, sqnr, errors, lattices, levels: used && this.withDensity(used), histogram: histogram ?? this.binned(used) };
    // few levels lie far apart: each stands for the weights of several bins
    const spread = lattices && !used ? Math.max(1, this.bins / (lattices.first.length << bits)) : 1;
    row.bars = used ? null : Float32Array.from(row.histogram, (count) => count / spread);
    row.top = used ? used.reduce((most, { dense }) => Math.max(most, dense), 0) : largest(row.bars);
    row.worst = largest(errors);
    row.error = errors.reduce((sum, one) => sum + one, 0);
    this.rows.set(keyOf(scheme, bits), row);
  }

  // The number of a level's weights by the width of its cell, in bins: as high as the weights are around it.
  withDensity(levels) {
    levels.forEach((one, index) => {
      const left = index ? (one.level + levels[index - 1].level) / 2 : Math.min(this.low, one.level);
      const right = index + 1 < levels.length ? (one.level + levels[index + 1].level) / 2 : Math.max(this.high, one.level);
      one.dense = (one.count * this.step) / Math.max(right - left, this.step * 0.05);
    });
    return levels;
  }

  binned(levels) {
    const histogram = new Uint32Array(this.bins);
    for (const { level, count } of levels) histogram[this.bin(level)] += count;
    return histogram;
  }
}

// Evenly spaced levels: of one channel they can be drawn each, of several only where they begin and end.
function linearLevels(first, last, bits, counts) {
  if (first.length > 1) return { lattices: { first, last } };
  const steps = (1 << bits) - 1;
  const levels = Float64Array.from({ length: steps + 1 }, (_, index) => first[0] + ((last[0] - first[0]) * index) / steps);
  return { lattices: { first, last }, levels, counts };
}

function weightOf(content, buffers) {
  const [counts, codes, entries, quantized] = buffers.slice(0, 4).map(integers);
  const [ends, tables, errors] = buffers.slice(4).map(reals);
  const { bins } = content;
  const weights = new Weights(content, counts);
  const [first, last] = [ends.subarray(0, ends.length / 2), ends.subarray(ends.length / 2)];
  BITS.forEach((bits, index) => {
    const rowOf = (array, place) => array.subarray(place * bins, (place + 1) * bins);
    weights.add("linear", bits, {
      sqnr: content.sqnr[index], errors: rowOf(errors, index), histogram: rowOf(quantized, index),
      ...linearLevels(first, last, bits, entriesOf(codes, bits)),
    });
    weights.add("lookup_table", bits, {
      sqnr: content.sqnr[BITS.length + index], errors: rowOf(errors, BITS.length + index),
      levels: entriesOf(tables, bits), counts: entriesOf(entries, bits),
    });
  });
  return weights;
}

function wholeOf(content, buffers) {
  const [counts, quantized] = buffers.slice(0, 2).map(integers);
  const errors = reals(buffers[2]);
  const weights = new Weights({ ...content, whole: true }, counts);
  ["linear", "lookup_table"].forEach((scheme, side) => BITS.forEach((bits, index) => {
    const place = side * BITS.length + index;
    const part = [place * content.bins, (place + 1) * content.bins];
    weights.add(scheme, bits, { sqnr: content.sqnr[place], errors: errors.subarray(...part), histogram: quantized.subarray(...part) });
  }));
  return weights;
}

// Weights that were encoded somehow, by key: what the buffers hold of each of them, one after the other.
function madeOf(entries, buffers) {
  const [levels, counts, quantized, errors] = [reals(buffers[0]), integers(buffers[1]), integers(buffers[2]), reals(buffers[3])];
  let [level, code, bin] = [0, 0, 0];
  return entries.map((entry) => {
    const values = levels.subarray(level, (level += entry.levels));
    const numbers = counts.subarray(code, (code += 1 << entry.bits));
    const part = [bin, (bin += entry.bins)];
    const half = entry.levels / 2;
    const drawn = entry.table
      ? { levels: values, counts: numbers }
      : linearLevels(values.subarray(0, half), values.subarray(half), entry.bits, numbers);
    return [entry.key, { sqnr: entry.sqnr, histogram: quantized.subarray(...part), errors: errors.subarray(...part), ...drawn }];
  });
}
