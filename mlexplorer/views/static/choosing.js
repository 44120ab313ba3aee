// A target and the smallest file that reaches it; the bits of each layer as columns to drag.

const AS_IT_IS = 32;
const STEPS = [...BITS, AS_IT_IS];
const heightOf = (bits) => STEPS.indexOf(bits) + 1;
const bitsText = (bits) => (bits === AS_IT_IS ? "as it is" : `${bits} bit${bits === 1 ? "" : "s"}`);
const WAIT = 150;

// All models whose quality on the chosen picture is known, the mixed one and those of the frontier included.
function candidates(data, image) {
  const { results } = data;
  const uniform = SCHEMES.flatMap((scheme) => BITS.map((bits) => ({ scheme, bits, label: depthName(scheme, bits) })));
  const measured = [...uniform, { scheme: MIXED, bits: 0, label: SCHEME_NAMES[MIXED] }]
    .map((one) => ({ ...one, nbytes: results.size(one.scheme, one.bits), quality: results.quality(image, one.scheme, one.bits)?.value }));
  const mixed = (data.edits ? data.frontier : [])
    .filter(({ label }) => label === "mixed")
    .map((choice) => ({ scheme: MIXED, label: "mixed plan", nbytes: choice.nbytes, quality: choice.quality, plan: choice.bits }));
  return [...measured, ...mixed].filter(({ nbytes, quality }) => nbytes && quality !== undefined && quality !== null && !Number.isNaN(quality));
}

function smallest(data, image, target) {
  return candidates(data, image)
    .filter(({ quality }) => quality >= target)
    .reduce((best, one) => (!best || one.nbytes < best.nbytes ? one : best), null);
}

function mount({ model, root, data, choose }) {
  const id = uniqueId("target");
  const range = html("input", { id, type: "range", min: 10, max: 60, step: 0.5, value: 35, oninput: () => { data.target = range.valueAsNumber; data.aimed = true; paintTarget(); } });
  const aim = html("output", { for: id });
  const found = html("p", { class: "found", role: "status" });
  const take = html("button", { type: "button", class: "take", onclick: () => takeSmallest() }, "Take it");
  const find = html("button", { type: "button", onclick: () => model.send({ type: "find", target: data.target }) }, "Find a mixed plan");
  const undo = html("button", { type: "button", title: "Undo", "aria-label": "Undo", onclick: () => travel(-1) }, "↶");
  const redo = html("button", { type: "button", title: "Redo", "aria-label": "Redo", onclick: () => travel(1) }, "↷");
  const state = html("span", { class: "state", role: "status" });
  const columns = html("div", { class: "columns", role: "group", "aria-label": "Bits of each layer" });
  const about = html("p", { class: "note" });
  const target = html("div", { class: "target" }, html("label", { for: id, class: "caption" }, "Good enough is"), html("div", { class: "aim" }, range, aim), html("div", { class: "answer" }, found, take));
  const plan = html("div", { class: "plan" }, html("div", { class: "bar" }, html("span", { class: "caption" }, "Bits per layer"), find, undo, redo, state), columns, about);
  root.append(html("h3", {}, "Choose", html("small", {}, "the smallest file that is good enough")), html("div", { class: "both" }, target, plan));
  const bars = new Map();
  let answer = null;
  let waiting = null;

  const current = () => {
    if (model.get("scheme") === MIXED && data.plan) return data.plan;
    const bits = Object.fromEntries(data.layers.map((layer) => [layer.id, model.get("bits")]));
    return { bits, scheme: model.get("scheme") === "linear" ? "linear" : "lookup_table" };
  };

  function send(next) {
    data.plan = next;
    choose({ scheme: MIXED });
    paintColumns();
    clearTimeout(waiting);
    waiting = setTimeout(() => model.send({ type: "plan", bits: next.bits, scheme: next.scheme }), WAIT);
  }

  function remember(before) {
    data.past.push(before);
    data.future.length = 0;
  }

  function travel(direction) {
    const [from, to] = direction < 0 ? [data.past, data.future] : [data.future, data.past];
    if (!from.length) return;
    to.push(snapshot());
    restore(from.pop());
  }

  const snapshot = () => ({ scheme: model.get("scheme"), bits: model.get("bits"), plan: data.plan });

  function restore(before) {
    if (before.scheme === MIXED && before.plan) send(before.plan);
    else choose({ scheme: before.scheme, bits: before.bits });
    paintColumns();
  }

  function set(layer, bits, keep = true) {
    const now = current();
    if (!data.edits || now.bits[layer] === bits) return;
    if (keep) remember(snapshot());
    send({ ...now, bits: { ...now.bits, [layer]: bits } });
  }

  function takeSmallest() {
    if (!answer) return;
    remember(snapshot());
    if (answer.plan) send({ bits: answer.plan, scheme: "lookup_table" });
    else choose({ scheme: answer.scheme, ...(answer.scheme === MIXED ? {} : { bits: answer.bits }) });
  }

  function column(layer) {
    const fill = html("i");
    const number = html("b");
    const bar = html("div", {
      class: "column", role: "slider", tabindex: "-1", "aria-orientation": "vertical",
      "aria-readonly": String(!data.edits), "aria-valuemin": 1, "aria-valuemax": STEPS.length, "aria-label": `Bits of ${layer.name}`,
    }, html("span", { class: "well" }, fill), number);
    const at = (event) => {
      const box = bar.firstChild.getBoundingClientRect();
      const step = Math.ceil(((box.bottom - event.clientY) / box.height) * STEPS.length);
      return STEPS[Math.min(STEPS.length, Math.max(1, step)) - 1];
    };
    bar.addEventListener("pointerdown", (event) => {
      choose({ layer: layer.id });
      bar.focus({ preventScroll: true });
      bar.setPointerCapture(event.pointerId);
      set(layer.id, at(event));
    });
    bar.addEventListener("pointermove", (event) => {
      if (bar.hasPointerCapture(event.pointerId)) set(layer.id, at(event), false);
    });
    bar.addEventListener("focus", () => choose({ layer: layer.id }));
    bar.addEventListener("keydown", (event) => {
      const now = heightOf(current().bits[layer.id]);
      const step = { ArrowUp: now + 1, ArrowDown: now - 1, Home: 1, End: STEPS.length }[event.key];
      const index = data.layers.indexOf(layer) + ({ ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0);
      if (step !== undefined) set(layer.id, STEPS[Math.min(STEPS.length, Math.max(1, step)) - 1]);
      else if (event.key === "ArrowLeft" || event.key === "ArrowRight") bars.get(data.layers[index]?.id)?.bar.focus();
      else return;
      event.preventDefault();
    });
    return { bar, fill, number };
  }

  function buildColumns() {
    bars.clear();
    for (const layer of data.layers) bars.set(layer.id, column(layer));
    columns.replaceChildren(...[...bars.values()].map(({ bar }) => bar));
    plan.hidden = !data.layers.length;
    find.hidden = !data.finds;
  }

  function paintColumns() {
    const { bits } = current();
    const chosen = bars.has(model.get("layer")) ? model.get("layer") : data.layers[0]?.id;
    for (const layer of data.layers) {
      const { bar, fill, number } = bars.get(layer.id);
      const depth = bits[layer.id] ?? AS_IT_IS;
      fill.style.height = `${(heightOf(depth) / STEPS.length) * 100}%`;
      number.textContent = depth === AS_IT_IS ? "–" : String(depth);
      bar.classList.toggle("chosen", layer.id === model.get("layer"));
      bar.classList.toggle("whole", depth === AS_IT_IS);
      bar.setAttribute("tabindex", layer.id === chosen ? "0" : "-1");
      bar.setAttribute("aria-valuenow", heightOf(depth));
      bar.setAttribute("aria-valuetext", bitsText(depth));
      const count = layer.counts.reduce((sum, one) => sum + one, 0);
      bar.title = `${layer.name} (${layer.type}): ${bitsText(depth)}, ${count.toLocaleString("en")} weights`;
    }
    root.dataset.scheme = model.get("scheme");
    undo.disabled = !data.past.length;
    redo.disabled = !data.future.length;
    const mixed = model.get("scheme") === MIXED;
    const size = mixed ? data.results.size(MIXED, 0) : null;
    const layer = data.layers.find((one) => one.id === model.get("layer"));
    const words = layer ? `${layer.name}: ${bitsText(bits[layer.id])}. ` : "";
    about.textContent = mixed
      ? `${words}${size ? `All in all ${megabytes(size)} MB.` : ""}`
      : `${words}${data.edits ? "Drag a column, or press the arrow keys on it, to give a layer its own bits." : ""}`;
  }

  function paintTarget() {
    const image = model.get("image");
    const known = candidates(data, image).map(({ quality }) => quality).filter(Number.isFinite);
    target.hidden = !known.length;
    if (!known.length) return;
    range.max = Math.floor(2 * Math.max(...known)) / 2;
    range.min = Math.min(Math.floor(Math.min(...known)), Number(range.max));
    if (!data.aimed) data.target = Math.min(35, Number(range.max));
    range.value = data.target;
    data.target = range.valueAsNumber;
    range.style.setProperty("--mlx-filled", `${((data.target - range.min) / (range.max - range.min || 1)) * 100}%`);
    const words = `${data.results.metric} ${decibels(data.target)}`;
    aim.textContent = words;
    range.setAttribute("aria-valuetext", `at least ${words}`);
    answer = smallest(data, image, data.target);
    found.replaceChildren(...(answer
      ? [html("strong", {}, answer.label), ` ${megabytes(answer.nbytes)} MB, ${decibels(answer.quality)}`]
      : ["Nothing that was computed reaches it."]));
    const taken = answer && !answer.plan && keyOf(answer.scheme, answer.bits) === keyOf(model.get("scheme"), model.get("bits"));
    take.hidden = !answer;
    take.disabled = Boolean(taken);
    take.textContent = taken ? "Taken" : "Take it";
  }

  function paintSearch() {
    const running = data.search?.state === "running";
    find.disabled = running;
    state.textContent = data.search?.text ?? "";
    state.classList.toggle("failed", data.search?.state === "failed");
  }

  buildColumns();
  return {
    repaint(content) {
      if (content?.type === "layers") buildColumns();
      paintColumns();
      paintTarget();
      paintSearch();
    },
  };
}

export default defineView("choosing", {
  teach: () => "Not every layer matters as much: errors of the first layers pass through all that follow, those of a last layer are seen at once, and small layers cost hardly any bytes. Giving each its own bits keeps the quality with a smaller file.",
  initial: () => ({ results: new Results(), layers: [], finds: false, edits: false, plan: null, frontier: [], search: null, past: [], future: [], target: 35, aimed: false }),
  receive(data, content) {
    if (content.type === "row") data.results.receive(content);
    else if (content.type === "layers") Object.assign(data, { layers: content.layers, finds: content.finds, edits: content.edits });
    else if (content.type === "plan") data.plan = { bits: content.bits, scheme: content.scheme };
    else if (content.type === "frontier") data.frontier = content.choices;
    else if (content.type === "search") data.search = content;
  },
  mount,
});
