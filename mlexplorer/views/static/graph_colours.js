// What the boxes are coloured by: the type, the size of the weights, their bits, or numbers that Python hands over.

const RAMP = ["#fff4cf", "#fdd68c", "#f79d55", "#dd5b4d", "#a32f69", "#5b1f6e", "#2b1055"];
const UNKNOWN = "#8b929a";
const DEPTHS = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32];

const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const hex = (parts) => `#${parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
const mix = (colour, other, share) => {
  const [a, b] = [channels(colour), channels(other)];
  return hex(a.map((part, i) => part * share + b[i] * (1 - share)));
};

function luminance(colour) {
  const [red, green, blue] = channels(colour).map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// A colour of the ramp, which gets darker all the way, so that it reads in black and white too.
function rampColour(share) {
  const at = Math.min(1, Math.max(0, share)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  return mix(RAMP[low], RAMP[low + 1], 1 - (at - low));
}

// On every colour one of the two has a contrast of 4.5 or more: they are equal where luminance is sqrt(1.05 * 0.05) - 0.05.
const inkOn = (colour) => (luminance(colour) > 0.179 ? "#000000" : "#ffffff");

// The main weight of a layer is its largest, as in the plan.
function ownBits(node) {
  return node.weights.reduce((best, weight) => (weight.count > (best?.count ?? 0) ? weight : best), null)?.bits;
}

const nodeBytes = (node) => node.weights.reduce((sum, weight) => sum + weight.nbytes, 0);

function numberText(value, unit) {
  if (!Number.isFinite(value)) return `${value < 0 ? "−" : ""}∞${unit ? ` ${unit}` : ""}`;
  const size = Math.abs(value);
  const text = Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(size >= 100 ? 4 : 3);
  return `${text.replace("-", "−")}${unit ? ` ${unit}` : ""}`;
}

// The choices of the menu: [name, words]; `values` are what Python offers, by name.
function colourChoices(graph, values) {
  const weighty = graph.nodes.some((node) => node.weights.length);
  const offered = [...values].filter(([name, { values: found }]) => name !== "bits" && Object.keys(found).length);
  return [
    ["type", "type"],
    ...(weighty ? [["size", "size in bytes"], ["bits", "bits per weight"]] : []),
    ...offered.map(([name]) => [name, name]),
  ];
}

// How one choice colours boxes: `of(box)` is {fill, ink, text}, or null for the colour of the type.
class Colouring {
  constructor(graph, values, name) {
    this.graph = graph;
    const known = colourChoices(graph, values).some(([choice]) => choice === name);
    this.name = known ? name : "type";
    if (this.name === "type") return;
    const offered = values.get(this.name);
    this.title = offered?.title ?? (this.name === "size" ? "size of the weights" : "bits per weight in the file");
    this.unit = offered?.unit ?? "";
    this.lowIsWorse = offered?.lowIsWorse ?? false;
    this.numbers = new Map();
    for (const node of graph.nodes) {
      const own = this.name === "size" ? nodeBytes(node) || undefined : this.name === "bits" ? ownBits(node) : undefined;
      const value = offered?.values[node.id];
      const number = value === undefined ? own : Number(value);
      if (number !== undefined) this.numbers.set(node.id, number);
    }
    const finite = [...this.numbers.values()].filter(Number.isFinite);
    this.low = Math.min(...finite);
    this.high = Math.max(...finite);
  }

  get byType() {
    return this.name === "type";
  }

  of(box) {
    if (this.byType) return null;
    // inputs and outputs go by names of values, which layers may have, too
    const found = box.isFeature ? [] : box.copies.flat().map((id) => this.numbers.get(id)).filter((number) => number !== undefined);
    if (!found.length) return { fill: null, ink: null, text: "" };
    if (this.name === "size") {
      const size = box.copies[0].reduce((sum, id) => sum + (this.numbers.get(id) ?? 0), 0);
      return { ...this.shade(size), text: `${box.copies.length > 1 ? `${box.copies.length} × ` : ""}${this.text(size)}` };
    }
    const [low, high] = [Math.min(...found), Math.max(...found)];
    const value = this.lowIsWorse ? low : high;
    return { ...this.shade(value), text: this.text(this.name === "bits" ? low : value, high) };
  }

  // The colour of a number.
  shade(value) {
    const fill = rampColour(this.share(value));
    return { fill, ink: inkOn(fill) };
  }

  share(value) {
    if (this.name === "bits") return DEPTHS.findIndex((bits) => bits >= value) / (DEPTHS.length - 1);
    if (!Number.isFinite(value)) return (value > 0) === this.lowIsWorse ? 0 : 1;
    if (this.high <= this.low) return 0.5;
    const share = this.name === "size"
      ? Math.log(value / this.low) / Math.log(this.high / this.low)
      : (value - this.low) / (this.high - this.low);
    return this.lowIsWorse ? 1 - share : share;
  }

  text(value, high = value) {
    if (this.name === "size") return byteText(value);
    if (this.name === "bits") return value === high ? `${value} bit` : `${value}–${high} bit`;
    return numberText(value, this.unit);
  }

  // What a node has, for the panel of details.
  textOf(id) {
    const value = this.numbers?.get(id);
    return value === undefined ? "" : this.text(value);
  }

  counts() {
    const counts = new Map();
    for (const value of this.numbers.values()) counts.set(value, (counts.get(value) ?? 0) + 1);
    return [...counts].sort(([a], [b]) => a - b);
  }
}
