// Two pictures under one camera: split, side by side, or their difference; zoom, pan, and a key that flips them.

const TALLEST = 520;
const LOWEST = 96;
const SIDE_HEIGHT = 0.7;
const ZOOMS = [0.125, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const SPLIT_STEPS = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
const PAN_STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MODES = { split: "Split", side: "Side by side", difference: "Difference" };
const GRIP = 18;

// Whole screen pixels for each pixel of a picture, where that wastes little room.
const wholePixels = (zoom) => (Math.floor(zoom) >= zoom * 0.75 ? Math.floor(zoom) : zoom);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Makes a canvas as large as its element is in device pixels.
function fill(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  return canvas.getContext("2d");
}

const scratch = (width, height) => new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
let probe = null;

// The red, green and blue of one pixel.
function pixelAt(bitmap, x, y) {
  probe ??= scratch(1, 1);
  probe.drawImage(bitmap, -x, -y);
  return [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

function pixelsOf(bitmap) {
  const context = scratch(bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

function coloured(width, height, colours, numbers, from) {
  const context = scratch(width, height);
  context.putImageData(new ImageData(new Uint8ClampedArray(colours.buffer), width, height), 0, 0);
  return { ...numbers, from, bitmap: context.canvas };
}

// The difference as a report brings it, in levels, as its pictures are not exact.
function sentDifference(after, before) {
  const { levels: top, ...numbers } = after.sent;
  const levels = pixelsOf(after.levels);
  const colours = new Uint32Array(after.width * after.height).map((_, pixel) => RAMP[Math.round((levels[pixel * 4] / top) * 255)]);
  return coloured(after.width, after.height, colours, numbers, before);
}

function pixelDifference(before, after) {
  before.pixels ??= pixelsOf(before.bitmap);
  const [a, b] = [before.pixels, before === after ? before.pixels : pixelsOf(after.bitmap)];
  const colours = new Uint32Array(before.width * before.height);
  let [sum, largest, changed] = [0, 0, 0];
  for (let pixel = 0, at = 0; pixel < colours.length; pixel += 1, at += 4) {
    const value = Math.max(Math.abs(a[at] - b[at]), Math.abs(a[at + 1] - b[at + 1]), Math.abs(a[at + 2] - b[at + 2]));
    colours[pixel] = DIFFERENCE_COLOURS[value];
    sum += value;
    if (value > largest) largest = value;
    if (value) changed += 1;
  }
  const numbers = { mean: sum / colours.length, largest, share: changed / colours.length };
  return coloured(before.width, before.height, colours, numbers, before);
}

// The largest difference of the three channels for each pixel as a picture, and its mean and maximum; null for
// pictures of different sizes. Kept with the picture, as the slider comes by again.
function difference(before, after) {
  if (before.width !== after.width || before.height !== after.height) return null;
  if (after.difference?.from !== before) after.difference = after.levels ? sentDifference(after, before) : pixelDifference(before, after);
  return after.difference;
}

function differenceLegend() {
  const marks = { mean: html("span", { class: "mark mean" }), largest: html("span", { class: "mark largest" }) };
  const words = html("p", { class: "note" });
  const ticks = [0, 1, 2, 4, 8, 16, 32, 64, 128, 255].map((value) =>
    html("span", { class: "tick", style: `left:${(differencePlace(value) * 100).toFixed(2)}%` }, String(value)));
  const element = html(
    "div", { class: "legend", hidden: true },
    html("div", { class: "bar", "aria-hidden": "true" }, rampPicture(), Object.values(marks)),
    html("div", { class: "ticks", "aria-hidden": "true" }, ticks), words,
  );
  const show = (found) => {
    for (const [name, mark] of Object.entries(marks)) {
      mark.hidden = !found;
      if (found) mark.style.left = `${(differencePlace(found[name]) * 100).toFixed(2)}%`;
    }
    write(words, found
      ? `Pixel values apart, the largest of three channels: mean ${found.mean.toFixed(found.mean < 10 ? 2 : 1)} (○), at most ${found.largest} (◆); ${(found.share * 100).toFixed(found.share > 0.1 ? 0 : 1)} % of the pixels differ. The same scale for all depths.`
      : "The difference comes with the full picture.");
  };
  return { element, show };
}

function pictureStage() {
  const canvas = html("canvas", { role: "img", "aria-label": "No picture yet" });
  const handle = html("div", {
    class: "handle", tabindex: "0", role: "slider", "aria-label": "Split between the original and the quantized picture",
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-orientation": "horizontal",
  });
  const tags = { before: html("span", { class: "tag before" }), after: html("span", { class: "tag after" }) };
  const viewport = html("div", {
    class: "stage", tabindex: "0", role: "application", "aria-roledescription": "picture viewer",
    "aria-label": "Pictures: arrow keys pan, plus and minus zoom, 0 fits, 1 shows pixel for pixel, hold F to flip, D shows the difference",
  }, canvas, handle, tags.before, tags.after);
  const name = uniqueId("mode");
  const radios = Object.entries(MODES).map(([mode, label]) => html(
    "label", {}, html("input", { type: "radio", name, value: mode, checked: mode === "split", onchange: () => setMode(mode) }), html("span", {}, label),
  ));
  const flip = html("button", { type: "button", class: "flip", "aria-pressed": "false", title: "Hold, or hold the key F, to swap the original and the quantized picture" }, "Hold to flip ", html("kbd", {}, "F"));
  const zoomText = html("output", { class: "zoom", "aria-label": "Zoom" });
  const tool = (text, label, onclick) => html("button", { type: "button", "aria-label": label, title: label, onclick }, text);
  const out = tool("−", "Zoom out", () => step(-1));
  const into = tool("+", "Zoom in", () => step(1));
  const fit = tool("Fit", "Fit the whole picture", () => zoomTo(null));
  const exact = tool("1:1", "One pixel of the picture for one of the screen", () => zoomTo(1));
  const readout = html("span", { class: "readout", "aria-hidden": "true" });
  const legend = differenceLegend();
  const element = html(
    "div", { class: "compared" },
    html("div", { class: "tools" }, html("div", { class: "modes mlx-segmented", role: "radiogroup", "aria-label": "How the two pictures are shown" }, radios), flip),
    viewport, legend.element,
    html("div", { class: "tools below" }, readout, html("div", { class: "zooms", role: "group", "aria-label": "Zoom" }, out, zoomText, into, fit, exact)),
  );

  const state = { mode: "split", split: 0.5, zoom: null, x: 0.5, y: 0.5, flipped: false };
  let scene = null; // { before, after, names: { before, after } }
  let [width, height] = [0, 0];
  let frame = 0;
  const later = () => { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); };

  // All lengths in device pixels from here on.
  const device = () => window.devicePixelRatio || 1;
  const size = () => {
    const picture = scene.before ?? scene.after;
    return [picture.width * picture.scale, picture.height * picture.scale];
  };
  const pane = () => {
    const gap = Math.round(2 * device());
    const [w, h] = [Math.round(width * device()), Math.round(height * device())];
    return state.mode === "side" ? [(w - gap) / 2, h, gap] : [w, h, 0];
  };
  // The zoom that shows the whole picture.
  const fitting = () => {
    const [w, h] = size();
    const [paneWidth, paneHeight] = pane();
    return wholePixels(Math.min(paneWidth / w, paneHeight / h));
  };
  // As high as the whole picture in the viewport's width, whichever way the pictures are shown.
  const viewportHeight = (w, h) => {
    const zoom = wholePixels(Math.min(width / w, TALLEST / h) * device()) / device();
    return Math.max(LOWEST, Math.round(h * zoom)) * (state.mode === "side" ? SIDE_HEIGHT : 1);
  };
  const zoomNow = () => state.zoom ?? fitting();
  const larger = () => {
    const [w, h] = size();
    const [paneWidth, paneHeight] = pane();
    return w * zoomNow() > paneWidth + 1 || h * zoomNow() > paneHeight + 1;
  };
  const settle = () => {
    const sides = size();
    const room = pane();
    for (const [axis, index] of [["x", 0], ["y", 1]]) {
      const half = room[index] / 2 / (sides[index] * zoomNow());
      state[axis] = half >= 0.5 ? 0.5 : clamp(state[axis], half, 1 - half);
    }
  };
  const paneOf = (clientX) => {
    const box = canvas.getBoundingClientRect();
    const [paneWidth, , gap] = pane();
    const x = (clientX - box.left) * device();
    return state.mode === "side" && x > paneWidth + gap / 2 ? paneWidth + gap : 0;
  };
  // The place in the picture, as shares of its sides, under a point of the page.
  const placeAt = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    const [paneWidth, paneHeight] = pane();
    const [w, h] = size();
    const x = (clientX - box.left) * device() - paneOf(clientX) - paneWidth / 2;
    const y = (clientY - box.top) * device() - paneHeight / 2;
    return [state.x + x / (w * zoomNow()), state.y + y / (h * zoomNow())];
  };

  function zoomTo(zoom, at = null) {
    if (!scene) return;
    const place = at && placeAt(at);
    state.zoom = zoom === null ? null : clamp(zoom, Math.min(fitting(), ZOOMS[0]), ZOOMS.at(-1));
    if (place) {
      const now = placeAt(at);
      state.x += place[0] - now[0];
      state.y += place[1] - now[1];
    }
    later();
  }
  function step(direction) {
    const now = zoomNow();
    const next = direction > 0 ? ZOOMS.find((zoom) => zoom > now * 1.01) : ZOOMS.findLast((zoom) => zoom < now * 0.99);
    if (next) zoomTo(next);
  }
  function pan(x, y) {
    const [w, h] = size();
    state.x += x / (w * zoomNow());
    state.y += y / (h * zoomNow());
    later();
  }
  function moveSplit(split) {
    state.split = clamp(split, 0, 1);
    draw();
  }
  function setMode(mode) {
    state.mode = mode;
    for (const radio of radios) radio.firstChild.checked = radio.firstChild.value === mode;
    draw();
  }
  function setFlipped(flipped) {
    if (state.flipped === flipped) return;
    state.flipped = flipped;
    draw();
  }

  // One picture in a pane, under the camera, between two of the pane's columns.
  function paint(context, picture, left, from, to) {
    if (!picture?.bitmap || to <= from) return;
    const [w, h] = size();
    const [paneWidth, paneHeight] = pane();
    const zoom = zoomNow();
    const across = zoom * (w / picture.bitmap.width);
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, paneHeight);
    context.clip();
    context.imageSmoothingEnabled = across < 1 || picture.scale > 1;
    context.imageSmoothingQuality = "high";
    const x = Math.round(left + paneWidth / 2 - state.x * w * zoom);
    const y = Math.round(paneHeight / 2 - state.y * h * zoom);
    context.drawImage(picture.bitmap, x, y, w * zoom, h * zoom);
    context.restore();
  }

  function draw() {
    if (!scene?.before?.bitmap && !scene?.after?.bitmap) return;
    if (!width) return;
    const [w, h] = size();
    height = viewportHeight(w, h);
    viewport.style.height = `${height}px`;
    settle();
    const { before, after, names } = scene;
    const [first, second] = state.flipped ? [after ?? before, before] : [before, after];
    const context = fill(canvas, width, height);
    const [paneWidth, , gap] = pane();
    const whole = canvas.width;
    context.clearRect(0, 0, whole, canvas.height);
    const differs = state.mode === "difference";
    const found = differs && before && after ? difference(before, after) : null;
    if (differs) {
      const shown = state.flipped ? after ?? before : found ? { ...after, bitmap: found.bitmap } : before;
      paint(context, shown, 0, 0, whole);
    } else if (state.mode === "side") {
      paint(context, first, 0, 0, paneWidth);
      paint(context, second, paneWidth + gap, paneWidth + gap, whole);
    } else {
      const seam = before && after ? Math.round(whole * state.split) : before ? whole : 0;
      paint(context, first, 0, 0, seam);
      paint(context, second, 0, seam, whole);
    }
    const isSplit = state.mode === "split" && Boolean(before && after);
    handle.hidden = !isSplit;
    handle.style.left = `${state.split * 100}%`;
    handle.setAttribute("aria-valuenow", Math.round(state.split * 100));
    handle.setAttribute("aria-valuetext", `${Math.round(state.split * 100)} % ${names.before}`);
    const [left, right] = state.flipped ? [names.after, names.before] : [names.before, names.after];
    write(tags.before, !differs ? left : state.flipped ? names.after : found ? `Difference: ${names.after}` : names.before);
    tags.before.style.opacity = isSplit && state.split < 0.12 ? 0 : 1;
    tags.after.hidden = differs || (state.mode === "split" && !after && !scene.waiting);
    write(tags.after, right);
    tags.after.style.opacity = isSplit && state.split > 0.88 ? 0 : 1;
    viewport.dataset.mode = state.mode;
    viewport.classList.toggle("large", larger());
    const said = { split: `Left: ${left}, right: ${right}`, side: `Left: ${left}, right: ${right}`, difference: tags.before.textContent };
    canvas.setAttribute("aria-label", said[state.mode]);
    legend.element.hidden = !differs;
    if (differs) legend.show(found);
    flip.setAttribute("aria-pressed", String(state.flipped));
    const zoom = zoomNow();
    write(zoomText, `${zoom < 1 ? (zoom * 100).toFixed(0) : Math.round(zoom * 100)} %`);
    fit.setAttribute("aria-pressed", String(state.zoom === null));
    exact.setAttribute("aria-pressed", String(zoom === 1));
    into.disabled = zoom >= ZOOMS.at(-1);
    out.disabled = zoom <= Math.min(ZOOMS[0], fitting());
  }

  function read(event) {
    const { before, after } = scene ?? {};
    const picture = after ?? before;
    if (!picture?.bitmap || picture.lossy) return;
    const [x, y] = placeAt(event);
    const [column, row] = [Math.floor(x * picture.width), Math.floor(y * picture.height)];
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return void (readout.textContent = "");
    const values = [before, after].filter((one) => one?.width === picture.width).map((one) => pixelAt(one.bitmap, column, row).join(" "));
    write(readout, `(${column}, ${row})  ${values.join("  →  ")}`);
  }

  // Pointers: near the seam they move it, over a picture that is larger than its pane they pan, two of them pinch.
  const pointers = new Map();
  let drag = null;
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return { distance: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
  };
  const splitAt = (event) => {
    const box = canvas.getBoundingClientRect();
    moveSplit((event.clientX - box.left) / box.width);
  };
  viewport.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !scene) return;
    viewport.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) {
      // the first finger was not meant for the seam
      if (drag?.kind === "split") moveSplit(drag.split);
      drag = { kind: "pinch", from: spread() };
    } else {
      const box = canvas.getBoundingClientRect();
      const atSeam = !handle.hidden && Math.abs(event.clientX - box.left - box.width * state.split) <= GRIP;
      drag = { kind: !handle.hidden && (atSeam || !larger()) ? "split" : "pan", from: event, split: state.split };
      if (drag.kind === "split") splitAt(event);
      (drag.kind === "split" ? handle : viewport).focus({ preventScroll: true });
    }
    viewport.classList.toggle("panning", drag.kind === "pan");
    event.preventDefault();
  });
  viewport.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") read(event);
    if (!pointers.has(event.pointerId) || !drag) return;
    pointers.set(event.pointerId, event);
    if (drag.kind === "split") return splitAt(event);
    const to = drag.kind === "pinch" && pointers.size === 2 ? spread() : event;
    if (drag.kind === "pinch" && to.distance) zoomTo(zoomNow() * (to.distance / drag.from.distance), drag.from);
    pan((drag.from.clientX - to.clientX) * device(), (drag.from.clientY - to.clientY) * device());
    drag.from = to;
  });
  const release = (event) => {
    pointers.delete(event.pointerId);
    drag = null;
    viewport.classList.remove("panning");
  };
  viewport.addEventListener("pointerup", release);
  viewport.addEventListener("pointercancel", (event) => {
    // the finger scrolls the page and was not meant for the seam
    if (drag?.kind === "split") moveSplit(drag.split);
    release(event);
  });
  viewport.addEventListener("pointerleave", () => { readout.textContent = ""; });
  // A pinch on a trackpad comes as a wheel with the control key; the plain wheel scrolls the page.
  viewport.addEventListener("wheel", (event) => {
    if (!(event.ctrlKey || event.metaKey) || !scene) return;
    event.preventDefault();
    zoomTo(zoomNow() * 2 ** (-event.deltaY / (event.deltaMode ? 5 : 160)), event);
  }, { passive: false });

  const KEYS = {
    "+": () => step(1), "=": () => step(1), "-": () => step(-1), 0: () => zoomTo(null), 1: () => zoomTo(1),
    f: () => setFlipped(true), d: () => setMode(state.mode === "difference" ? "split" : "difference"),
  };
  element.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !scene) return;
    const onHandle = event.target === handle && !event.shiftKey;
    const onRadio = event.target.type === "radio";
    const direction = PAN_STEPS[event.key];
    if (onHandle && SPLIT_STEPS[event.key] !== undefined) moveSplit(state.split + SPLIT_STEPS[event.key]);
    else if (direction && !onRadio) pan(direction[0] * 40 * device(), direction[1] * 40 * device());
    else if (KEYS[event.key.toLowerCase()]) KEYS[event.key.toLowerCase()]();
    else return;
    event.preventDefault();
  });
  element.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "f") setFlipped(false); });
  // the key may be let go elsewhere
  element.addEventListener("focusout", (event) => { if (!element.contains(event.relatedTarget)) setFlipped(false); });
  for (const type of ["pointerdown", "pointerup", "pointerleave", "pointercancel"]) {
    flip.addEventListener(type, (event) => {
      if (type === "pointerdown") event.preventDefault();
      setFlipped(type === "pointerdown");
    });
  }
  for (const type of ["keydown", "keyup"]) {
    flip.addEventListener(type, (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      setFlipped(type === "keydown");
      event.preventDefault();
    });
  }

  const stopWatching = watchWidth(element, (next) => { width = next; draw(); });
  return {
    element,
    show(next) { scene = next; draw(); },
    hide() { scene = null; },
    toggleOriginal() { moveSplit(state.split === 1 ? 0.5 : 1); },
    showsOriginalOnly: () => state.mode === "split" && state.split === 1,
    destroy() { stopWatching(); cancelAnimationFrame(frame); },
  };
}
