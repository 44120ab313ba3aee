// Arrays as lines or images, the original and the quantized one with their difference; other values as tables.

const PLOT = { width: 640, height: 200, low: 76 };
const BARS = 48;
const LEAST_RANGE = 0.01;
const isPlanes = (output) => output.drawn.length === 3;

const shortNumber = (value) => {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  const size = Math.abs(value);
  const text = size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
};

// One plane of an array in the ramp's colours, from `low` to `high`; `place` maps a value to 0..1 instead.
function paintPlane(canvas, values, rows, columns, place) {
  canvas.width = columns;
  canvas.height = rows;
  const colours = new Uint32Array(rows * columns);
  for (let index = 0; index < colours.length; index += 1) {
    const at = place(values[index]);
    colours[index] = Number.isFinite(at) ? RAMP[Math.round(clamp(at, 0, 1) * 255)] : 0;
  }
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(colours.buffer), columns, rows), 0, 0);
}

const planeOf = (output, plane) => {
  const [, rows, columns] = output.drawn;
  return output.values.subarray(plane * rows * columns, (plane + 1) * rows * columns);
};

// The first plane as the address of a picture, for the filmstrip.
function planePicture(output) {
  const canvas = html("canvas");
  const values = planeOf(output, 0);
  const [low, high] = extent(values);
  paintPlane(canvas, values, output.drawn[1], output.drawn[2], (value) => (value - low) / (high - low || 1));
  return canvas.toDataURL();
}

const differences = (before, after) => after.values.map((value, index) => value - before.values[index]);

// Evenly spaced round numbers within a range.
function roundTicks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) ticks.push(Math.abs(tick) < step * 1e-6 ? 0 : tick);
  return ticks;
}

function axes(width, height, low, high, count) {
  const y = (value) => height - 4 - ((value - low) / (high - low || 1)) * (height - 8);
  return roundTicks(low, high, count).map((tick) => html("span", { class: "tick", style: `top:${((y(tick) / height) * 100).toFixed(2)}%` }, shortNumber(tick)));
}

function bars(values, height, low, high, className, inset) {
  const slot = PLOT.width / values.length;
  const y = (value) => height - 4 - ((value - low) / (high - low || 1)) * (height - 8);
  const zero = y(clamp(0, low, high));
  return [...values].map((value, index) => (Number.isFinite(value) ? svg("rect", {
    x: (index * slot + slot * inset).toFixed(2), width: (slot * (1 - 2 * inset)).toFixed(2),
    y: Math.min(y(value), zero).toFixed(2), height: Math.max(0.8, Math.abs(y(value) - zero)).toFixed(2), class: className,
  }) : ""));
}

function plotBox(kind, height, low, high, label, marks) {
  const zero = height - 4 - ((0 - low) / (high - low || 1)) * (height - 8);
  const rule = low < 0 && high > 0 ? svg("line", { x1: 0, x2: PLOT.width, y1: zero, y2: zero, class: "zero", "vector-effect": "non-scaling-stroke" }) : "";
  return html(
    "div", { class: `plot ${kind}` }, html("div", { class: "axis", "aria-hidden": "true" }, axes(PLOT.width, height, low, high, 4)),
    svg("svg", { viewBox: `0 0 ${PLOT.width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, rule, ...marks),
  );
}

function linePlots(before, after, names) {
  const few = before.values.length <= BARS;
  let [low, high] = extent(before.values, after?.values);
  if (few) [low, high] = [Math.min(0, low), Math.max(0, high)];
  const draw = (values, height, range, className, inset) =>
    few ? bars(values, height, ...range, className, inset) : [valueLine(values, PLOT.width, height, ...range, className)];
  const both = plotBox("values", PLOT.height, low, high, `${names.before}${after ? ` and ${names.after}` : ""}: ${before.values.length} values`, [
    ...draw(before.values, PLOT.height, [low, high], "before", 0.12), ...(after ? draw(after.values, PLOT.height, [low, high], "after", 0.32) : []),
  ]);
  if (!after || after.values.length !== before.values.length) return [both];
  const apart = differences(before, after);
  const [least, most] = extent(apart);
  const largest = Math.max(Math.abs(least), Math.abs(most));
  const [lowest, highest] = extent(before.values);
  const span = highest - lowest || 1;
  // what is next to nothing is not blown up
  const range = Math.max(largest, span * LEAST_RANGE);
  const words = `Difference, at most ${shortNumber(largest)}: ${shortNumber(Number(((largest / span) * 100).toPrecision(2)))} % of the original's range`;
  return [
    both, html("p", { class: "note" }, words),
    plotBox("difference", PLOT.low, -range, range, words, draw(apart, PLOT.low, [-range, range], "after", 0.32)),
  ];
}

// The difference's place on the ramp, 0..1, by its share of the original's range: each decade from 1/1000 takes a third.
const sharePlace = (share) => (share > 0 ? clamp(1 + Math.log10(share) / 3, 0, 1) : 0);

function planePictures(before, after, names, plane) {
  const [low, high] = extent(before.values);
  const span = high - low || 1;
  const [, rows, columns] = before.drawn;
  const figure = (title, values, place) => {
    const canvas = html("canvas", { role: "img", "aria-label": title });
    paintPlane(canvas, values, rows, columns, place);
    canvas.style.aspectRatio = `${columns} / ${rows}`;
    return html("figure", {}, html("figcaption", {}, title), canvas);
  };
  const figures = [figure(names.before, planeOf(before, plane), (value) => (value - low) / span)];
  const same = after && after.values.length === before.values.length;
  if (same) {
    const apart = differences({ values: planeOf(before, plane) }, { values: planeOf(after, plane) });
    figures.push(figure(names.after, planeOf(after, plane), (value) => (value - low) / span));
    figures.push(figure("Difference", apart, (value) => sharePlace(Math.abs(value) / span)));
  }
  const scale = (ends, title) => html("div", { class: "scale" }, html("span", {}, title), html("span", { class: "bar" }, rampPicture()), html("span", { class: "ends" }, ends.map((end) => html("span", {}, end))));
  const scales = html(
    "div", { class: "scales" }, scale([shortNumber(low), shortNumber(high)], "Values"),
    same ? scale([0.001, 0.01, 0.1, 1].map((share) => shortNumber(span * share)), "Difference, logarithmic") : null,
  );
  return [html("div", { class: "planes" }, figures), scales];
}

function statistics(before, after, names) {
  const line = (title, one) => html(
    "tr", {}, html("th", { scope: "row" }, title), ["min", "mean", "max"].map((key) => html("td", { class: "number" }, shortNumber(one[key]))),
    html("td", { class: "number" }, one === before ? "" : decibels(one.exact ? Infinity : one.quality)),
  );
  const head = ["", "Minimum", "Mean", "Maximum", after?.metric || "SNR"].map((text) => html("th", { scope: "col" }, text));
  const thinned = before.every.some((step) => step > 1) ? `; drawn: every ${before.every.map((step) => ordinal(step)).join(" × ")} value` : "";
  return html(
    "table", { class: "values" }, html("caption", {}, `Array of shape ${before.shape.join(" × ") || "1"}${thinned}`),
    html("thead", {}, html("tr", {}, head)), html("tbody", {}, line(names.before, before), after ? line(names.after, after) : null),
  );
}

function arrayPanel() {
  const slider = html("input", { type: "range", min: 0, value: 0, oninput: () => draw(), "aria-label": "Plane of the array" });
  const number = html("output", {});
  const planes = html("label", { class: "plane-slider" }, "Plane", slider, number);
  const key = html("p", { class: "key" });
  const body = html("div", { class: "drawing" });
  const element = html("div", { class: "arrays" }, html("div", { class: "tools" }, key, planes), body);
  let scene = null;

  function draw() {
    const { before, after, names, missing } = scene;
    const asPlanes = isPlanes(before);
    const count = asPlanes ? before.drawn[0] : 1;
    planes.hidden = count < 2;
    slider.max = count - 1;
    const plane = Math.min(Number(slider.value), count - 1);
    number.textContent = `${plane * before.every[0] + 1} of ${asPlanes ? before.shape.slice(0, -2).reduce((a, b) => a * b, 1) : 1}`;
    key.replaceChildren(...(asPlanes ? [] : [html("span", { class: "before" }, names.before), after ? html("span", { class: "after" }, names.after) : html("span", { class: "note" }, missing)]));
    const drawing = asPlanes ? planePictures(before, after, names, plane) : linePlots(before, after, names);
    body.replaceChildren(...drawing, statistics(before, after, names));
  }
  return { element, show(next) { scene = next; draw(); } };
}

function tablePanel() {
  const element = html("div", { class: "entries" });
  function show({ before, after, names, missing }) {
    const known = new Map(after?.entries ?? []);
    const keys = [...new Map([...before.entries, ...(after?.entries ?? [])]).keys()];
    const original = new Map(before.entries);
    const line = (key) => {
      const [a, b] = [original.get(key), known.get(key)];
      const numbers = typeof a === "number" && typeof b === "number";
      const apart = numbers ? (b - a === 0 ? "=" : `${b > a ? "+" : ""}${shortNumber(b - a)}`) : !after ? "" : a === b ? "=" : "≠";
      return html("tr", { class: apart === "=" || !after ? "" : "moved" }, html("th", { scope: "row" }, key), html("td", { class: "number" }, shortNumber(a)),
        after ? html("td", { class: "number" }, shortNumber(b)) : null, after ? html("td", { class: "number apart" }, apart) : null);
    };
    const head = ["", names.before, ...(after ? [names.after, "Difference"] : [])].map((text, index) => html("th", { scope: "col", class: index ? "number" : null }, text));
    const more = Math.max(before.more, after?.more ?? 0);
    element.replaceChildren(html(
      "table", { class: "values" }, html("thead", {}, html("tr", {}, head)), html("tbody", {}, keys.map(line)),
    ), ...(more ? [html("p", { class: "note" }, `and ${more} smaller ones`)] : []), ...(after ? [] : [html("p", { class: "note" }, missing)]));
  }
  return { element, show };
}
