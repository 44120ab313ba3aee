// Bits, scheme, what they cost and give, progress, a line of Python, Save.

const CLASSES = { linear: "Linear", lookup_table: "LookupTable" };
const SHORT = { linear: "linear", lookup_table: "lut", [MIXED]: "mixed" };
// Of a mixed plan the plan says whether it is rounded with error feedback, of all else the scheme does.
const isRounded = (scheme, plan) => (scheme === MIXED ? Boolean(plan?.feedback) : hasFeedback(scheme));
const shortName = (scheme, plan) => SHORT[plainOf(scheme)] + (isRounded(scheme, plan) ? "-feedback" : "");
const UNIFORM = { [MIXED]: "lookup_table" };

function bitsSlider(id, choose) {
  const range = html("input", {
    id, type: "range", min: 1, max: 8, step: 1, list: `${id}-ticks`,
    oninput: () => choose(range.valueAsNumber),
  });
  const ticks = BITS.map((bits) => {
    const tick = html("span", { "aria-hidden": "true", onclick: () => choose(bits) }, String(bits));
    return tick;
  });
  const element = html(
    "div", { class: "depth" },
    html("label", { for: id, class: "caption" }, "Bits per weight"),
    html("div", { class: "track" }, range, html("div", { class: "ticks figure" }, ticks)),
  );
  return { element, range, ticks };
}

// The scheme, and for linear and tables whether they are rounded with error feedback: together the trait `scheme`.
function schemeSwitch(choose, roundMixed, more) {
  const name = uniqueId("scheme");
  const radios = {};
  const labels = { linear: "Linear", lookup_table: "LUT", [MIXED]: "Mixed" };
  const titles = {
    linear: "Evenly spaced levels, one scale and offset per output channel",
    lookup_table: "A look-up table per weight, its levels found by k-means",
    [MIXED]: "Bits of its own for each layer, as they stand under Choose",
  };
  let chosen = "";
  let able = () => false;
  const joined = (scheme) => (feedback.checked && able(scheme) ? withFeedback(scheme) : plainOf(scheme));
  const options = [...PLAIN_SCHEMES, MIXED].map((scheme) => {
    radios[scheme] = html("input", { type: "radio", name, value: scheme, onchange: () => choose({ scheme: joined(scheme) }) });
    return html("label", { class: scheme, title: titles[scheme] }, radios[scheme], html("span", {}, labels[scheme]));
  });
  const feedback = html("input", { type: "checkbox", onchange: () => (chosen === MIXED ? roundMixed(feedback.checked) : choose({ scheme: joined(chosen) })) });
  const feedbackLabel = html("label", { class: "feedback" }, feedback, "Error feedback");
  const element = html(
    "div", { class: "scheme" },
    html("span", { class: "caption", id: `${name}-label` }, "Scheme"),
    html("div", { class: "pair" }, html("div", { class: "segments mlx-segmented", role: "radiogroup", "aria-labelledby": `${name}-label` }, options), feedbackLabel, more),
  );

  // `can` says of a scheme whether there is error feedback for it, or a kernel that computes it.
  function show(scheme, { hasPlan, rounded, canRoundMixed, can, dataless }) {
    chosen = scheme;
    able = (one) => one !== MIXED && can(one);
    for (const [one, radio] of Object.entries(radios)) radio.checked = one === plainOf(scheme);
    radios[MIXED].parentElement.hidden = scheme !== MIXED && !hasPlan;
    feedback.checked = rounded;
    feedback.disabled = scheme === MIXED ? !canRoundMixed : !able(scheme);
    feedbackLabel.title = `Each layer makes up for what the layers before it lost: better outputs at the same size, ${dataless ? "calibrated on noise, without any data" : "calibrated on what you gave for it"}`;
  }
  return { element, show };
}

function statistic(caption, className) {
  const value = html("strong", {}, "–");
  const unit = html("span", { class: "unit" });
  const label = html("span", { class: "caption" }, caption);
  return { element: html("div", { class: `statistic ${className}` }, label, html("span", { class: "figure" }, value, unit)), value, unit, label };
}

// What makes the mixed plan of these bits by layer: each depth with the weights that have it.
function planLines(plan) {
  const depths = new Map();
  for (const [key, bits] of Object.entries(plan.weights)) depths.set(bits, [...(depths.get(bits) ?? []), key]);
  const groups = [...depths].sort(([a], [b]) => a - b).map(([bits, keys]) => `${bits}: ${JSON.stringify(keys)}`);
  return `plan = mle.Plan({key: mle.${CLASSES[plan.scheme]}(bits=bits) for bits, keys in {${groups.join(", ")}}.items() for key in keys})`;
}

function pythonLine(scheme, bits, options, file, plan) {
  const calibrated = isRounded(scheme, plan) ? `, ${options}` : "";
  if (scheme === MIXED) return plan ? `${planLines(plan)}\nmle.save(mle.quantize(model, plan${calibrated}), ${JSON.stringify(file)})` : "";
  return `mle.save(mle.quantize(model, mle.${CLASSES[plainOf(scheme)]}(bits=${bits})${calibrated}), ${JSON.stringify(file)})`;
}

// What is wrong, in a line of words, and the Python to begin with below, where a message has any.
function splitMessage(text) {
  const [words, ...rest] = text.split("\n\n");
  return { words, python: rest.join("\n\n").trim() };
}

function pythonBlock() {
  const code = html("code");
  const text = html("pre", { tabindex: "0", role: "textbox", "aria-readonly": "true", "aria-multiline": "true", "aria-label": "Python to begin with" }, code);
  const element = html("div", { class: "stub", hidden: true }, text, copyButton(() => `${code.textContent}\n`));
  const show = (python) => {
    element.hidden = !python;
    if (code.textContent !== python) write(code, python);
  };
  return { element, show };
}

function mount({ model, root, data, choose }) {
  const id = uniqueId("bits");
  const slider = bitsSlider(id, (bits) => choose({ bits, scheme: UNIFORM[model.get("scheme")] ?? model.get("scheme") }));
  const size = statistic("File size", "size");
  const ratio = statistic("Smaller", "ratio");
  const quality = statistic("PSNR", "quality");
  const live = html("div", { class: "live", role: "group", "aria-label": "What is chosen" }, size.element, ratio.element, quality.element);

  const bar = html("progress", { "aria-label": "Progress of the computation" });
  const text = html("span", { class: "words", role: "status" });
  const stop = html("button", {
    type: "button", class: "stop",
    onclick: () => model.send({ type: data.progress?.state === "running" ? "cancel" : "resume" }),
  });
  const notice = html("p", { class: "notice", role: "alert", hidden: true });
  const stub = pythonBlock();
  const progress = html("div", { class: "work" }, bar, text, stop);

  let edited = false;
  let saves = false;
  const file = html("input", {
    type: "text", "aria-label": "Name of the file to save", spellcheck: "false",
    oninput: () => { edited = file.value !== ""; repaint(null); },
    onkeydown: (event) => { if (event.key === "Enter") save.click(); },
  });
  const saveWords = html("span", { class: "figure" }, "Save");
  const save = html("button", {
    type: "button", class: "save",
    onclick: () => {
      order("save");
      saves = true;
      data.saved = { text: "Saving …", failed: false };
      repaint(null);
    },
  }, saveWords);
  const code = html("code", { tabindex: "0", role: "textbox", "aria-readonly": "true", "aria-label": "The same in Python" });
  const copy = copyButton(() => {
    repaint(null);
    return `import mlexplorer as mle\n\nmodel = ${data.names.source}\n${code.textContent}\n`;
  });
  const saved = html("p", { class: "saved", role: "status", hidden: true });
  const download = html("button", {
    type: "button", class: "download", title: "Send the file to this computer",
    onclick: () => order("download"),
  }, "Download");
  const lessons = html("button", { type: "button", class: "lessons", "aria-pressed": "false", onclick: () => choose({ teach: !model.get("teach") }) }, "Explain");
  const toggle = schemeSwitch(choose, roundMixed, lessons);
  const title = html("h2");
  const about = html("span", { class: "about" });
  const python = html("div", { class: "python" }, html("div", { class: "line" }, code), copy);
  const saving = html("div", { class: "saving" }, html("div", { class: "name" }, file), save, download);
  root.append(
    html("div", { class: "head" }, title, about, progress), stub.element, notice,
    html("div", { class: "choices" }, slider.element, toggle.element, live),
    html("div", { class: "actions" }, python, saving), saved,
  );

  // The name of the file waits for the bits to rest, an order does not.
  function order(type) {
    repaint(null);
    model.send({ type, name: file.value, scheme: model.get("scheme"), bits: model.get("bits") });
  }

  // Python answers with the plan; until it does the switch stays as it was set, whatever is painted meanwhile.
  function roundMixed(on) {
    data.asked = on;
    model.send({ type: "feedback", on });
  }

  function paintChoice(scheme, bits) {
    const bytes = data.results.size(scheme, bits);
    const original = data.results.original?.nbytes;
    const measured = data.results.quality(model.get("image"), scheme, bits);
    root.dataset.scheme = scheme;
    slider.range.value = bits;
    slider.range.style.setProperty("--mlx-filled", `${((bits - 1) / 7) * 100}%`);
    slider.ticks.forEach((tick, index) => tick.classList.toggle("on", index + 1 === bits));
    toggle.show(scheme, {
      hasPlan: data.results.made(MIXED, bits),
      rounded: scheme === MIXED && data.asked !== null ? data.asked : isRounded(scheme, data.plan),
      canRoundMixed: Boolean(data.plan && data.names?.calibrates),
      can: (one) => data.names?.calibrates || BITS.some((depth) => data.results.made(withFeedback(one), depth)),
      dataless: data.names?.calibration.startsWith('calibration="noise"'),
    });
    slider.element.classList.toggle("idle", scheme === MIXED);
    const times = bytes && original ? original / bytes : null;
    const [weight, measure] = bytes ? fileSize(bytes).split(" ") : ["–", ""];
    write(size.value, weight);
    write(size.unit, measure && ` ${measure}`);
    write(ratio.value, times ? (times >= 10 ? times.toFixed(0) : times.toFixed(1)) : "–");
    write(ratio.unit, times ? "× smaller" : "");
    write(ratio.label, original ? `Of ${fileSize(original)}` : "Smaller");
    const [number, unit] = data.results.number(measured?.value).split(" ");
    const { agreement } = measured ?? {};
    write(quality.label, agreement ? `${data.results.metric}, ${intervalWords(agreement)}` : data.results.metric);
    quality.element.title = agreement ? agreementText(agreement) : "";
    write(quality.value, measured?.stage === "coarse" ? `≈ ${number}` : number);
    const made = data.results.made(scheme, bits);
    write(quality.unit, unit ? ` ${unit}` : made ? "" : " not computed");
    const words = [depthName(scheme, bits)];
    if (bytes) words.push(fileSize(bytes));
    if (times) words.push(`${times.toFixed(1)} times smaller`);
    if (measured) words.push(agreement ? agreementText(agreement) : `${data.results.metric} ${decibels(measured.value)}`);
    else if (!made) words.push("not computed");
    slider.range.setAttribute("aria-valuetext", words.join(", "));
  }

  function paintActions(scheme, bits) {
    const names = data.names;
    python.parentElement.hidden = !names;
    if (!names) return;
    write(title, names.title);
    write(about, names.about);
    saving.hidden = !names.saves;
    const depth = scheme === MIXED ? "" : `${bits}bit-`;
    if (!edited) file.value = `${names.stem}-${depth}${shortName(scheme, data.plan)}${names.suffix}`;
    write(saveWords, `Save ${depthName(scheme, bits)}`);
    const made = data.results.made(scheme, bits);
    save.disabled = saves || !made;
    download.disabled = save.disabled;
    save.title = made ? "" : "It can be saved as soon as it is computed";
    write(code, pythonLine(scheme, bits, names.calibration, file.value, data.plan));
  }

  function paintReport() {
    const { state, text: message, done, total } = data.progress ?? {};
    const { words, python: stubbed } = splitMessage(message ?? "");
    progress.hidden = !state;
    progress.dataset.state = state ?? "";
    bar.hidden = state !== "running";
    if (total) {
      bar.max = total;
      bar.value = done;
    }
    write(text, words);
    stub.show(stubbed);
    stop.hidden = state !== "running" && state !== "cancelled";
    // of a model without weights to quantize no depth has a size
    python.hidden = state === "failed" && !data.results.size(model.get("scheme"), model.get("bits"));
    if (python.hidden) save.disabled = download.disabled = true;
    write(stop, state === "running" ? "Cancel" : "Resume");
    notice.hidden = !data.notice;
    write(notice, data.notice);
    saved.hidden = !data.saved;
    write(saved, data.saved?.text ?? "");
    saved.classList.toggle("failed", Boolean(data.saved?.failed));
  }

  function repaint(content) {
    const scheme = model.get("scheme");
    const bits = model.get("bits");
    if (content?.type === "saved") saves = false;
    if (content?.type === "file") giveFile(content.name, data.file);
    lessons.setAttribute("aria-pressed", String(model.get("teach")));
    if (content?.type !== "progress") {
      paintChoice(scheme, bits);
      paintActions(scheme, bits);
    }
    paintReport();
  }

  paintReport();
  return { repaint, move: () => paintChoice(model.get("scheme"), model.get("bits")) };
}

export default defineView("controls", {
  initial: () => ({ results: new Results(), names: null, plan: null, asked: null, progress: null, notice: "", saved: null }),
  teach({ model, data }) {
    const bits = model.get("bits");
    const levels = 2 ** bits;
    if (model.get("scheme") === MIXED) return "Each layer has as many bits as it needs: those that the output hardly notices get fewer, those that it does notice get more.";
    const size = data.results.size(model.get("scheme"), bits);
    const share = size && data.results.original ? ` The file holds ${bits} bits instead of ${data.results.original.bits} for each weight; what it is made of besides stays, and so do tables, scales and offsets.` : "";
    return `With ${bits} bit${bits === 1 ? "" : "s"} each weight is one of ${levels} values: the file only says which of them.${share}`;
  },
  receive(data, content, buffers) {
    if (content.type === "row") data.results.receive(content);
    else if (content.type === "file") data.file = copyBytes(buffers[0]);
    else if (content.type === "model") data.names = content;
    else if (content.type === "plan") Object.assign(data, { plan: content, asked: null });
    else if (content.type === "progress") data.progress = content;
    else if (content.type === "notice") data.notice = content.text;
    else if (content.type === "saved") data.saved = content;
  },
  mount,
});
