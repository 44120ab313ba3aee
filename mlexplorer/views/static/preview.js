// Before and after: one picture split between the original and what is chosen, and a filmstrip of every depth.

const STEP = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
const TALLEST = 520;
const NOT_ASKED = {};

async function decode(content, buffers) {
  if (content.shows === "picture") {
    const file = new Blob([buffers[0]], { type: "image/webp" });
    return { bitmap: await createImageBitmap(file), address: URL.createObjectURL(file) };
  }
  return content.shows === "values" ? { values: new Float32Array(copyBytes(buffers[0])) } : {};
}

// Makes a canvas as large as its element is in device pixels.
function fill(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  return context;
}

function labelTable(title, own, other) {
  const known = new Map(other?.labels ?? []);
  const rows = own.labels.map(([label, probability], rank) => {
    const moved = other && other.labels[rank]?.[0] !== label;
    return html(
      "tr", { class: moved ? "moved" : "", style: `--share:${(probability * 100).toFixed(1)}%` },
      html("td", {}, label, moved ? html("em", {}, known.has(label) ? " moved" : " new") : null),
      html("td", { class: "number" }, `${(probability * 100).toFixed(1)} %`),
    );
  });
  return html("table", { class: "labels" }, html("caption", {}, title), html("tbody", {}, rows));
}

// The values of an array as a line within a box.
function valueLine(values, width, height, low, high, className) {
  const x = (index) => (values.length > 1 ? (index / (values.length - 1)) * width : width / 2);
  const y = (value) => height - 4 - ((value - low) / (high - low || 1)) * (height - 8);
  const points = [...values].map((value, index) => `${x(index).toFixed(1)},${y(Number.isFinite(value) ? value : low).toFixed(1)}`);
  return svg("polyline", { points: points.join(" "), class: className, "vector-effect": "non-scaling-stroke" });
}

const extent = (values) => [Math.min(...values.filter(Number.isFinite)), Math.max(...values.filter(Number.isFinite))];

// What a cell of the filmstrip shows. Pictures are images and not canvases, each of which would be a layer to compose.
function thumbnail(output) {
  if (output?.bitmap) return html("img", { src: output.address, alt: "", draggable: "false" });
  if (output?.values) {
    return svg("svg", { viewBox: "0 0 60 30", preserveAspectRatio: "none" }, valueLine(output.values, 60, 30, ...extent(output.values), "line"));
  }
  return html("span", { class: "face" }, output?.labels?.[0]?.[0] ?? "");
}

// How far a depth is that has no output because nobody asked for it yet, in words.
const standing = ({ layer, layers }) => (layers ? `layer ${layer} of ${layers}` : "not computed");

function emptyCell(waiting) {
  const { layer, layers } = waiting;
  const done = layers ? (100 * (layer - 1)) / layers : 0;
  if (layers) return html("span", { class: "missing busy", style: `--mlx-done:${done.toFixed(1)}%` }, `${layer}/${layers}`);
  return html("span", { class: "missing" }, html("span", { class: "wide" }, "not computed"), html("span", { class: "narrow" }, "–"));
}

function valuePlot(before, after) {
  const [width, height] = [600, 180];
  const range = extent([...before.values, ...(after?.values ?? [])]);
  return svg(
    "svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": "The output's values" },
    valueLine(before.values, width, height, ...range, "before"),
    after ? valueLine(after.values, width, height, ...range, "after") : "",
  );
}

function valueTable(before, after, name) {
  const number = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(4)).toString());
  const line = (title, row) => html(
    "tr", {}, html("th", { scope: "row" }, title),
    ["min", "mean", "max"].map((key) => html("td", { class: "number" }, number(row[key]))),
    html("td", { class: "number" }, row.exact ? "∞ dB" : decibels(row.quality)),
  );
  const head = ["", "Minimum", "Mean", "Maximum", after?.metric ?? "SNR"].map((text) => html("th", { scope: "col" }, text));
  return html(
    "table", { class: "values" }, html("caption", {}, `Array of shape ${before.shape.join(" × ")}`),
    html("thead", {}, html("tr", {}, head)), html("tbody", {}, line(depthName("original", before.bits), before), after ? line(name, after) : null),
  );
}

function splitStage(redraw) {
  const canvas = html("canvas", { role: "img" });
  const handle = html("div", {
    class: "handle", tabindex: "0", role: "slider", "aria-label": "Split between the original and the quantized picture",
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-orientation": "horizontal",
  });
  const before = html("span", { class: "tag before" });
  const after = html("span", { class: "tag after" });
  const element = html("div", { class: "stage" }, canvas, handle, before, after);
  const state = { split: 0.5 };
  const move = (split) => {
    state.split = Math.min(1, Math.max(0, split));
    redraw();
  };
  const follow = (event) => {
    const box = canvas.getBoundingClientRect();
    move((event.clientX - box.left) / box.width);
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    follow(event);
    handle.focus({ preventScroll: true });
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) follow(event);
  });
  handle.addEventListener("keydown", (event) => {
    const step = STEP[event.key];
    if (step === undefined) return;
    event.preventDefault();
    move(state.split + step);
  });
  return { element, canvas, handle, before, after, state, move };
}

function filmstrip(choose, original) {
  const cells = new Map();
  const cell = (scheme, bits) => {
    const frame = html("span", { class: "frame" });
    const caption = html("span", { class: "quality" });
    const isOriginal = scheme === "original";
    const element = html(
      isOriginal ? "button" : "div",
      {
        class: `cell ${scheme}`, type: isOriginal ? "button" : null, role: isOriginal ? null : "radio", tabindex: "-1",
        onclick: isOriginal ? original : () => choose({ scheme, bits }),
      },
      frame, caption,
    );
    if (isOriginal) element.tabIndex = 0;
    cells.set(keyOf(scheme, bits), { element, frame, caption, scheme, bits, drawn: undefined });
    return element;
  };
  const first = html("div", { class: "first" }, html("span", { class: "head" }, "original"), cell("original", 0));
  const heads = html("div", { class: "heads", "aria-hidden": "true" }, BITS.map((bits) => html("span", {}, bits === 1 ? "1 bit" : String(bits))));
  const group = html(
    "div", { class: "depths", role: "radiogroup", "aria-label": "Output at every bit depth" },
    SCHEMES.map((scheme) => html("div", { class: `strip ${scheme}`, role: "presentation" }, BITS.map((bits) => cell(scheme, bits)))),
  );
  const invitation = html(
    "span", { class: "invitation", hidden: true, "aria-hidden": "true" },
    "Not computed: click a depth to start",
  );
  group.querySelector(`.${FEEDBACK}`).append(invitation);
  // the last space may break the line
  const label = (scheme) => SCHEME_NAMES[scheme].replace(" +", "\u00a0+");
  const names = html("div", { class: "names", "aria-hidden": "true" }, SCHEMES.map((scheme) => html("span", { class: scheme }, label(scheme))));
  return { element: html("div", { class: "film" }, first, names, html("div", { class: "sheet" }, heads, group)), cells, group, invitation };
}

function inputPicker(choose) {
  const group = html("div", { class: "inputs", role: "radiogroup", "aria-label": "Picture to run the model on", hidden: true });
  let buttons = [];
  const show = (inputs) => {
    buttons = inputs.names.map((name, image) => html(
      "div", { class: "input", role: "radio", title: name, "aria-label": name, onclick: () => choose({ image }) },
      html("img", { src: inputs.addresses[image], alt: "", draggable: "false" }),
    ));
    group.replaceChildren(...buttons);
    group.hidden = buttons.length < 2;
  };
  const mark = (image) => buttons.forEach((button, index) => {
    button.setAttribute("aria-checked", String(index === image));
    button.tabIndex = index === image ? 0 : -1;
  });
  arrowKeys(group, (key) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[key];
    const next = step && buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return false;
    next.click();
    next.focus();
    return true;
  });
  return { element: group, show, mark };
}

function mount({ model, root, data, choose }) {
  const about = html("small");
  const picker = inputPicker(choose);
  const stage = splitStage(() => drawStage());
  const other = html("div", { class: "other", hidden: true });
  const notice = html("p", { class: "note empty" });
  const film = filmstrip(choose, () => stage.move(stage.state.split === 1 ? 0.5 : 1));
  root.append(
    html("div", { class: "top" }, html("h3", {}, "Before and after", about), picker.element),
    html("div", { class: "place" }, stage.element, other, notice), film.element,
  );
  arrowKeys(film.group, (key) => {
    const changes = neighbour(key, model.get("scheme"), model.get("bits"));
    if (!changes) return false;
    choose(changes);
    film.cells.get(keyOf(model.get("scheme"), model.get("bits"))).element.focus();
    return true;
  });

  let width = 0;
  let shownInputs = null;
  const stopWatching = watchWidth(stage.element.parentElement, (next) => { width = next; repaint(null); });

  const outputs = () => data.outputs.get(model.get("image")) ?? new Map();
  const chosen = () => outputs().get(keyOf(model.get("scheme"), model.get("bits")));

  // What is to be said of a depth with error feedback as long as it has no output; null for all others.
  function waitingFor(scheme, bits) {
    if (scheme !== FEEDBACK || outputs().has(keyOf(scheme, bits)) || !outputs().size) return null;
    return data.working?.bits === bits ? data.working : NOT_ASKED;
  }

  function drawStage() {
    const before = outputs().get("original");
    const after = chosen();
    const largest = before ?? after;
    const waiting = waitingFor(model.get("scheme"), model.get("bits"));
    const { split } = stage.state;
    stage.handle.style.left = `${split * 100}%`;
    stage.handle.setAttribute("aria-valuenow", Math.round(split * 100));
    stage.handle.setAttribute("aria-valuetext", `${Math.round(split * 100)} % original`);
    stage.handle.hidden = !(before && after);
    stage.after.hidden = stage.handle.hidden && !waiting;
    stage.before.style.opacity = split < 0.12 && after ? 0 : 1;
    stage.after.style.opacity = split > 0.88 && after ? 0 : 1;
    if (!largest?.bitmap || !width) return;
    const ratio = largest.width / largest.height;
    const [w, h] = width / ratio > TALLEST ? [TALLEST * ratio, TALLEST] : [width, width / ratio];
    stage.element.style.width = `${w}px`;
    stage.element.style.height = `${h}px`;
    const context = fill(stage.canvas, w, h);
    const { width: pixels, height: lines } = stage.canvas;
    const seam = before && after ? Math.round(pixels * split) : before ? pixels : 0;
    if (seam < pixels && after) context.drawImage(after.bitmap, 0, 0, pixels, lines);
    if (seam > 0 && before) {
      context.save();
      context.beginPath();
      context.rect(0, 0, seam, lines);
      context.clip();
      context.drawImage(before.bitmap, 0, 0, pixels, lines);
      context.restore();
    }
  }

  function drawFilm() {
    const known = outputs();
    film.invitation.hidden = BITS.some((bits) => waitingFor(FEEDBACK, bits) !== NOT_ASKED);
    const scheme = model.get("scheme");
    const bits = model.get("bits");
    for (const [key, cell] of film.cells) {
      const output = known.get(key);
      const waiting = waitingFor(cell.scheme, cell.bits);
      const drawn = output ?? waiting ?? undefined;
      if (cell.scheme === "original") cell.element.setAttribute("aria-pressed", String(stage.state.split === 1));
      else {
        const on = cell.scheme === scheme && cell.bits === bits;
        cell.element.setAttribute("aria-checked", String(on));
        cell.element.tabIndex = on ? 0 : -1;
      }
      if (cell.drawn === drawn) continue;
      cell.drawn = drawn;
      const words = !output ? "" : output.scheme === "original" ? "" : decibels(output.exact ? Infinity : output.quality);
      cell.caption.textContent = output?.scheme === "original" ? output.metric : words.replace(" dB", "");
      cell.element.classList.toggle("coarse", output?.stage === "coarse");
      const said = waiting ? standing(waiting) : words;
      cell.element.setAttribute("aria-label", `${depthName(cell.scheme, output?.bits ?? cell.bits)}${said && `, ${said}`}`);
      cell.element.title = words ? `${output.metric} ${words}` : waiting ? "It is computed as soon as LUT + feedback is chosen" : "";
      cell.frame.replaceChildren(waiting ? emptyCell(waiting) : thumbnail(output));
      if (cell.scheme === "original" && output?.bitmap) film.element.style.setProperty("--mlx-ratio", `${output.width} / ${output.height}`);
    }
  }

  function drawOther(before, after, name) {
    other.dataset.shows = before.shows;
    const waiting = waitingFor(model.get("scheme"), model.get("bits"));
    const missing = waiting ? html("p", { class: "note" }, `${name}: ${standing(waiting)}`) : "";
    if (before.shows === "labels") {
      other.replaceChildren(labelTable(depthName("original", before.bits), before, null), after ? labelTable(name, after, before) : missing);
    } else {
      other.replaceChildren(valuePlot(before, after), valueTable(before, after, name), after ? "" : missing);
    }
  }

  function placeholder(before) {
    const thumbnail = data.inputs?.addresses[model.get("image")];
    notice.hidden = Boolean(before) && !data.notice;
    notice.textContent = data.notice || "The first pictures are being computed …";
    notice.style.backgroundImage = thumbnail && !before && !data.notice ? `url("${thumbnail}")` : "";
    notice.classList.toggle("wrong", Boolean(data.notice));
  }

  function repaint() {
    const before = outputs().get("original");
    const after = chosen();
    const name = depthName(model.get("scheme"), model.get("bits"));
    root.dataset.scheme = model.get("scheme");
    if (data.inputs && data.inputs !== shownInputs) {
      shownInputs = data.inputs;
      picker.show(data.inputs);
    }
    picker.mark(model.get("image"));
    placeholder(before);
    const picture = before?.shows === "picture";
    stage.element.hidden = !picture;
    other.hidden = !before || picture;
    film.element.hidden = outputs().size === 0;
    film.element.dataset.shows = before?.shows ?? "";
    const title = data.inputs?.names[model.get("image")];
    about.textContent = [title, picture ? `${before.width} × ${before.height} pixels` : null].filter(Boolean).join(", ");
    if (picture) {
      stage.before.textContent = depthName("original", before.bits);
      const waiting = waitingFor(model.get("scheme"), model.get("bits"));
      stage.after.textContent = waiting ? `${name}: ${standing(waiting)}` : name;
      stage.canvas.setAttribute("aria-label", `Left: ${depthName("original", before.bits)}, right: ${stage.after.textContent}`);
      drawStage();
    } else if (before) drawOther(before, after, name);
    drawFilm();
  }

  return { repaint, destroy: stopWatching };
}

export default defineView("preview", {
  initial: () => ({ outputs: new Map(), inputs: null, notice: "", working: null }),
  async receive(data, content, buffers) {
    if (content.type === "inputs") {
      const addresses = buffers.map((buffer) => URL.createObjectURL(new Blob([buffer], { type: "image/webp" })));
      data.inputs?.addresses.forEach((address) => URL.revokeObjectURL(address));
      data.inputs = { names: content.names, addresses };
    } else if (content.type === "notice") data.notice = content.text;
    else if (content.type === "working") data.working = content.bits ? content : null;
    else if (content.type === "row") {
      const decoded = await decode(content, buffers);
      if (!data.outputs.has(content.image)) data.outputs.set(content.image, new Map());
      const outputs = data.outputs.get(content.image);
      const key = keyOf(content.scheme, content.bits);
      const old = outputs.get(key);
      if (old?.stage === "full" && content.stage !== "full") return;
      old?.bitmap?.close();
      if (old?.address) URL.revokeObjectURL(old.address);
      outputs.set(key, { ...content, ...decoded });
    }
  },
  mount,
});
