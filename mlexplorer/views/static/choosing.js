// A target and the smallest file that reaches it; the bits of each layer as columns to drag.

const AS_IT_IS = 32;
const STEPS = [...BITS, AS_IT_IS];
const heightOf = (bits) => STEPS.indexOf(bits) + 1;
const bitsText = (bits) => (bits === AS_IT_IS ? "as it is" : `${bits} bit${bits === 1 ? "" : "s"}`);
const WAIT = 150;

// All models whose quality on the chosen picture is known, the mixed one and those of the frontier included.
function candidates(data, image) {
  const { results } = data;
  const uniform = SCHEMES.flatMap((scheme) => BITS.map((bits) => ({ scheme, bits })));
  const measured = [...uniform, { scheme: MIXED, bits: 0 }]
    .map((one) => ({ ...one, nbytes: results.size(one.scheme, one.bits), ...results.quality(image, one.scheme, one.bits) }));
  const mixed = (data.edits ? data.frontier : [])
    .filter(({ label }) => label === "mixed")
    .map((choice) => ({ scheme: MIXED, nbytes: choice.nbytes, ...results.judged(choice), plan: { bits: choice.bits, scheme: choice.scheme } }));
  return [...measured, ...mixed].filter(({ nbytes, value }) => nbytes && value !== undefined && value !== null && !Number.isNaN(value));
}

const smaller = (one, other) => (!one || other?.nbytes < one.nbytes ? other : one);

// The smallest file of each scheme that reaches the target. Shares of fewer pictures than the original's may still fall.
function smallestOfEach(known, counts, target) {
  const found = {};
  for (const one of known) {
    if (one.value >= target && !(counts && one.stage === "coarse")) found[one.scheme] = smaller(found[one.scheme], one);
  }
  return found;
}

// A scheme, its smallest file that reaches the target, and a button to take it.
function answerRow(scheme, take) {
  const [name, size, quality] = ["strong", "span", "span"].map((tag) => html(tag));
  const mark = html("span", { class: "unseen" }, "the smallest of all");
  const order = html("span", { class: "figure" });
  const button = html("button", { type: "button", class: "take", onclick: () => take(scheme) }, order);
  const element = html("li", { class: scheme, hidden: true }, name, size, quality, mark, button);
  return { element, name, size, quality, mark, button, order };
}

// What there was before a choice, to go back to. `before` is that of a search, whose plan comes from Python.
function remember(data, before) {
  data.past.push(before);
  data.future.length = 0;
  data.before = null;
}

function mount({ model, root, data, choose }) {
  const id = uniqueId("target");
  const range = html("input", { id, type: "range", step: 0.5, oninput: () => { data.target = range.valueAsNumber; data.aimed = true; paintTarget(); } });
  const aim = html("output", { for: id });
  const rows = Object.fromEntries([...SCHEMES, MIXED].map((scheme) => [scheme, answerRow(scheme, take)]));
  const answers = html("ul", { class: "answers", "aria-label": "The smallest file of each scheme that is good enough" }, Object.values(rows).map(({ element }) => element));
  const remark = html("p", { class: "note", role: "status", hidden: true });
  const find = html("button", { type: "button", onclick: () => model.send({ type: "find", target: data.results.counts ? data.target / 100 : data.target }) }, "Find a mixed plan");
  const undo = html("button", { type: "button", title: "Undo", "aria-label": "Undo", onclick: () => travel(-1) }, "↶");
  const redo = html("button", { type: "button", title: "Redo", "aria-label": "Redo", onclick: () => travel(1) }, "↷");
  const state = html("span", { class: "state", role: "status" });
  const columns = html("div", { class: "columns", role: "group", "aria-label": "Bits of each layer" });
  const about = html("p", { class: "note" });
  const target = html("div", { class: "target" }, html("label", { for: id, class: "caption" }, "Good enough is"), html("div", { class: "aim" }, range, aim), answers, remark);
  const plan = html("div", { class: "plan" }, html("div", { class: "bar" }, html("span", { class: "caption" }, "Bits per layer"), find, undo, redo, state), columns, about);
  root.append(html("h3", {}, "Choose", html("small", {}, "the smallest file that is good enough")), html("div", { class: "both" }, target, plan));
  const bars = new Map();
  let found = {};
  let waiting = null;

  const current = () => {
    if (model.get("scheme") === MIXED && data.plan) return data.plan;
    const bits = Object.fromEntries(data.layers.map((layer) => [layer.id, model.get("bits")]));
    return { bits, scheme: plainOf(model.get("scheme")) === "linear" ? "linear" : "lookup_table" };
  };

  function send(next) {
    data.plan = next;
    data.before = null;
    choose({ scheme: MIXED });
    paintColumns();
    clearTimeout(waiting);
    waiting = setTimeout(() => model.send({ type: "plan", bits: next.bits, scheme: next.scheme }), WAIT);
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
    paintChoice();
  }

  function set(layer, bits, keep = true) {
    const now = current();
    if (!data.edits || now.bits[layer] === bits) return;
    if (keep) remember(data, snapshot());
    send({ ...now, bits: { ...now.bits, [layer]: bits } });
  }

  function take(scheme) {
    const answer = found[scheme];
    if (!answer || rows[scheme].button.getAttribute("aria-disabled") === "true") return;
    remember(data, snapshot());
    if (answer.plan) send(answer.plan);
    else choose({ scheme, ...(scheme === MIXED ? {} : { bits: answer.bits }) });
    paintChoice();
  }

  function column(layer) {
    const well = html("span", { class: "well" });
    const number = html("b");
    const count = layer.counts.reduce((sum, one) => sum + one, 0).toLocaleString("en");
    const bar = html("div", {
      class: "column", role: "slider", tabindex: "-1", "aria-orientation": "vertical",
      "aria-readonly": String(!data.edits), "aria-valuemin": 1, "aria-valuemax": STEPS.length, "aria-label": `Bits of ${layer.name}`,
      title: `${layer.name} (${layer.type}): ${count} weights`,
    }, well, number);
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
    return { bar, well, number, depth: null };
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
      const one = bars.get(layer.id);
      const { bar, well, number } = one;
      const depth = bits[layer.id] ?? AS_IT_IS;
      bar.classList.toggle("chosen", layer.id === model.get("layer"));
      bar.tabIndex = layer.id === chosen ? 0 : -1;
      if (depth === one.depth) continue;
      one.depth = depth;
      well.style.backgroundSize = `100% ${(heightOf(depth) / STEPS.length) * 100}%`;
      write(number, depth === AS_IT_IS ? "–" : String(depth));
      bar.classList.toggle("whole", depth === AS_IT_IS);
      bar.setAttribute("aria-valuenow", heightOf(depth));
      bar.setAttribute("aria-valuetext", bitsText(depth));
    }
    root.dataset.scheme = model.get("scheme");
    undo.disabled = !data.past.length;
    redo.disabled = !data.future.length;
    const mixed = model.get("scheme") === MIXED;
    const size = mixed ? data.results.size(MIXED, 0) : null;
    const layer = data.layers.find((one) => one.id === model.get("layer"));
    const words = layer ? `${layer.name}: ${mixed ? bitsText(bits[layer.id]) : "as all"}. ` : "";
    write(about, mixed
      ? `${words}${size ? `All in all ${fileSize(size)}.` : ""}`
      : `${words}${data.edits ? "Drag a column, or press the arrow keys on it, to give a layer its own bits." : ""}`);
  }

  function paintTarget() {
    const { results } = data;
    const known = candidates(data, model.get("image"));
    const values = known.map(({ value }) => value).filter(Number.isFinite);
    target.hidden = !values.length;
    if (!values.length) return;
    aimAt(values);
    const words = `${results.metric} ${results.number(data.target)}`;
    write(aim, words);
    found = smallestOfEach(known, results.counts, data.target);
    const best = Object.values(found).reduce(smaller, null);
    for (const scheme of Object.keys(rows)) paintAnswer(scheme, known.some((one) => one.scheme === scheme), best);
    range.setAttribute("aria-valuetext", `at least ${words}: ${best ? `${nameOf(best)}, ${fileSize(best.nbytes)}` : "nothing reaches it"}`);
    write(remark, remarkOn(known));
    remark.hidden = !remark.textContent;
  }

  // The slider's ends, and where it stands as long as nobody has moved it.
  function aimAt(values) {
    const { counts } = data.results;
    const most = counts ? 100 : Math.floor(2 * Math.max(...values)) / 2;
    const ends = { step: counts ? 1 : 0.5, max: most, min: Math.min(Math.floor(Math.min(...values)), most) };
    // a range is laid out anew even where its ends stay
    for (const [end, value] of Object.entries(ends)) if (Number(range[end]) !== value) range[end] = value;
    if (!data.aimed) data.target = Math.min(counts ? 95 : 35, Number(range.max));
    range.value = data.target;
    data.target = range.valueAsNumber;
    range.style.setProperty("--mlx-filled", `${((data.target - range.min) / (range.max - range.min || 1)) * 100}%`);
  }

  const nameOf = ({ scheme, bits }) => (scheme === MIXED ? SCHEME_NAMES[MIXED] : depthName(scheme, bits));

  function paintAnswer(scheme, isKnown, best) {
    const { element, name, size, quality, mark, button, order } = rows[scheme];
    const answer = found[scheme];
    element.hidden = !isKnown;
    element.classList.toggle("best", Boolean(answer) && answer === best);
    write(name, answer ? nameOf(answer) : SCHEME_NAMES[scheme]);
    write(size, answer ? fileSize(answer.nbytes) : "does not reach it");
    write(quality, answer ? data.results.words(answer) : "");
    element.classList.toggle("out", !answer);
    mark.hidden = !answer || answer !== best;
    quality.hidden = button.hidden = !answer;
    if (!answer) return;
    const taken = !answer.plan && keyOf(scheme, answer.bits) === keyOf(model.get("scheme"), model.get("bits"));
    button.setAttribute("aria-disabled", String(taken));
    write(order, taken ? "Taken" : "Take");
    button.setAttribute("aria-label", `${button.textContent} ${nameOf(answer)}`);
    button.title = answer === best ? "The smallest of all" : "";
  }

  // How far these numbers are to be trusted.
  function remarkOn(known) {
    const { results } = data;
    if (!results.counts) return data.classifies ? "One picture says little about a classifier: with several, good enough is the share of them that keeps its label." : "";
    const counting = known.filter(({ stage }) => stage === "coarse");
    if (counting.length) return `Still counting: ${counting.length} depths have not seen all ${results.pictures} pictures.`;
    return `Of ${results.pictures} picture${results.pictures === 1 ? "" : "s"}; in brackets where the share of all such pictures lies, with 95 % confidence.`;
  }

  function paintSearch() {
    const running = data.search?.state === "running";
    find.disabled = running;
    write(state, data.search?.text ?? "");
    state.classList.toggle("failed", data.search?.state === "failed");
  }

  function paintChoice() {
    paintColumns();
    paintTarget();
  }

  buildColumns();
  return {
    move() {},
    repaint(content) {
      if (content?.type === "layers") buildColumns();
      if (content?.type === "search" && content.state === "running") data.before = snapshot();
      paintChoice();
      paintSearch();
      root.classList.toggle("nothing", target.hidden && plan.hidden);
    },
  };
}

export default defineView("choosing", {
  teach: () => "Not every layer matters as much: errors of the first layers pass through all that follow, those of a last layer are seen at once, and small layers cost hardly any bytes. Giving each its own bits keeps the quality with a smaller file.",
  initial: () => ({ results: new Results(), layers: [], classifies: false, finds: false, edits: false, plan: null, frontier: [], search: null, past: [], future: [], before: null, target: 35, aimed: false }),
  receive(data, content) {
    if (content.type === "row") data.results.receive(content);
    else if (content.type === "layers") Object.assign(data, content);
    else if (content.type === "plan") {
      if (data.before) remember(data, data.before);
      data.plan = { bits: content.bits, scheme: content.scheme };
    }
    else if (content.type === "frontier") data.frontier = content.choices;
    else if (content.type === "search") {
      data.search = content;
      if (content.state === "failed") data.before = null;
    }
  },
  mount,
});
