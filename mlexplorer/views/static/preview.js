// Before and after: what the model gives for a picture at the chosen depth, in the panel that fits its outputs.

const NOT_ASKED = { layers: 0 };

const webp = (buffer) => new Blob([buffer], { type: "image/webp" });
const bitmapOf = (file) => createImageBitmap(file, { colorSpaceConversion: "none" });

async function decode(output, buffers) {
  if (output.shows === "picture") {
    const file = webp(buffers[0]);
    const levels = buffers[1] && (await bitmapOf(webp(buffers[1])));
    return { ...output, difference: null, sent: output.difference, levels, bitmap: await bitmapOf(file), address: URL.createObjectURL(file) };
  }
  return output.shows === "array" ? { ...output, values: new Float32Array(copyBytes(buffers[0])) } : output;
}

// A row with its outputs, each of which takes its own of the message's buffers.
async function decodeRow(content, buffers) {
  let first = 0;
  const outputs = await Promise.all(content.outputs.map((output) => {
    const own = buffers.slice(first, first + output.buffers);
    first += output.buffers;
    return decode({ ...output, scale: content.scale }, own);
  }));
  return { ...content, outputs: new Map(outputs.map((output) => [output.name, output])) };
}

function forget(row) {
  for (const output of row.outputs.values()) {
    output.bitmap?.close();
    output.levels?.close();
    if (output.address) URL.revokeObjectURL(output.address);
  }
}

function outputPicker(repaint) {
  const select = html("select", { onchange: () => repaint() });
  const element = html("label", { class: "outputs", hidden: true }, "Output", select);
  let shown = "";
  const offer = (names) => {
    const key = names.join("\n");
    if (key === shown) return;
    shown = key;
    const chosen = select.value;
    select.replaceChildren(...names.map((name) => html("option", { value: name, selected: name === chosen }, name)));
    element.hidden = names.length < 2;
  };
  return { element, offer, chosen: () => select.value };
}

function mount({ model, root, data, choose }) {
  const about = html("small");
  const picker = inputPicker(choose);
  const outputs = outputPicker(() => repaint());
  const words = html("span");
  const notice = html("p", { class: "note empty" }, words);
  const panels = { picture: pictureStage(), classes: classesPanel(), array: arrayPanel(), table: tablePanel() };
  const sheet = contactSheet(choose);
  const film = filmstrip(choose, () => { if (!panels.picture.element.hidden) panels.picture.toggleOriginal(); repaint(); });
  const pictures = picturesPanel({ model, root, data });
  root.append(
    html("div", { class: "top" }, html("h3", {}, "Before and after", about), outputs.element, html("div", { class: "feeds" }, picker.element, pictures.button)),
    pictures.panel,
    html("div", { class: "place" }, Object.values(panels).map((panel) => panel.element), notice), film.element, sheet.element,
  );
  arrowKeys(film.group, (key) => {
    const changes = neighbour(key, model.get("scheme"), model.get("bits"), film.schemes());
    if (!changes) return false;
    choose(changes);
    film.focus(keyOf(model.get("scheme"), model.get("bits")));
    return true;
  });

  let shownInputs = null;
  let frame = 0;
  const rowsOf = (image) => data.rows.get(image) ?? new Map();

  // What is to be said of a depth with error feedback as long as it has no output; null for all others.
  function waitingFor(scheme, bits) {
    const rows = rowsOf(model.get("image"));
    if (!hasFeedback(scheme) || rows.has(keyOf(scheme, bits)) || !rows.size) return null;
    const { working } = data;
    return working?.scheme === scheme && working.bits === bits ? working : NOT_ASKED;
  }

  function placeholder(before) {
    const thumbnail = data.inputs?.addresses[model.get("image")];
    notice.hidden = Boolean(before) && !data.notice;
    write(words, data.notice || "The first outputs are being computed …");
    notice.style.backgroundImage = thumbnail && !before && !data.notice ? `url("${thumbnail}")` : "";
    notice.classList.toggle("wrong", Boolean(data.notice));
  }

  function showSheet(key, depth) {
    if (data.inputs) sheet.offer(data.inputs);
    const find = (image) => {
      const rows = rowsOf(image);
      return { before: rows.get("original")?.outputs.get(outputs.chosen()), after: rows.get(key)?.outputs.get(outputs.chosen()) };
    };
    sheet.show({ image: model.get("image"), find, agreement: data.agreements.get(key), depth });
  }

  function repaint() {
    const [scheme, bits, image] = ["scheme", "bits", "image"].map((trait) => model.get(trait));
    const rows = rowsOf(image);
    const original = rows.get("original");
    const chosen = rows.get(keyOf(scheme, bits));
    outputs.offer([...(original?.outputs.keys() ?? [])]);
    const before = original?.outputs.get(outputs.chosen());
    const after = chosen?.outputs.get(outputs.chosen());
    const waiting = waitingFor(scheme, bits);
    const name = depthName(scheme, bits);
    root.dataset.scheme = scheme;
    if (data.inputs && data.inputs !== shownInputs) {
      shownInputs = data.inputs;
      picker.show(data.inputs);
    }
    // stays while another picture is waited for
    data.classifies = before ? before.shows === "classes" : data.classifies;
    const { classifies } = data;
    picker.mark(image, classifies);
    placeholder(before);
    const address = data.inputs?.addresses[image];
    const size = before?.shows === "picture" ? `${before.width * before.scale} × ${before.height * before.scale} pixels` : null;
    write(about, [data.inputs?.names[image], size].filter(Boolean).join(", "));
    const missing = waiting ? `${name}: ${standing(waiting)}` : `${name}: not computed yet`;
    const names = { before: depthName("original", original?.bits), after: after ? name : missing };
    for (const [shows, panel] of Object.entries(panels)) {
      panel.element.hidden = before?.shows !== shows;
      if (!panel.element.hidden) panel.show({ before, after, names, address, missing, waiting });
    }
    if (before && !data.isDrawn) {
      data.isDrawn = true;
      requestAnimationFrame(() => model.send({ type: "drawn" })); // the kernel computes the rest from here on
    }
    film.element.hidden = rows.size === 0;
    const find = (key) => {
      const row = rows.get(key);
      const output = row?.outputs.get(outputs.chosen());
      return output && { row: { ...row, agreement: data.agreements.get(key) }, output };
    };
    film.show({ scheme, bits, shows: before?.shows, find, waitingFor, pressed: panels.picture.showsOriginalOnly() });
    if (classifies) showSheet(keyOf(scheme, bits), name);
    else sheet.hide();
  }

  // Rows come in by the hundred, choices one by one: the former wait for the next frame.
  const repaintSoon = (content) => {
    if (content === null) repaint();
    else if (FIELD_RECEIVERS[content.type]) pictures.repaint();
    else frame ||= requestAnimationFrame(() => { frame = 0; repaint(); });
  };
  const destroy = () => {
    cancelAnimationFrame(frame);
    panels.picture.destroy();
  };
  return { repaint: repaintSoon, destroy };
}

const RECEIVERS = {
  inputs(data, content, buffers) {
    const addresses = buffers.map((buffer) => URL.createObjectURL(webp(buffer)));
    data.inputs?.addresses.forEach((address) => URL.revokeObjectURL(address));
    data.inputs = { names: content.names, addresses };
  },
  notice(data, content) {
    data.notice = content.text;
  },
  working(data, content) {
    data.working = content.bits ? content : null;
  },
  // another plan by the same name is there
  forget(data, { scheme }) {
    const isOld = (key) => key === scheme || key.startsWith(`${scheme}-`);
    for (const key of [...data.agreements.keys()].filter(isOld)) data.agreements.delete(key);
    for (const rows of data.rows.values()) {
      for (const key of [...rows.keys()].filter(isOld)) {
        forget(rows.get(key));
        rows.delete(key);
      }
    }
  },
  forget_pictures(data) {
    data.epoch += 1;
    for (const rows of data.rows.values()) rows.forEach(forget);
    data.rows.clear();
    data.agreements.clear();
  },
  async row(data, content, buffers) {
    const { epoch } = data;
    const row = await decodeRow(content, buffers);
    if (epoch !== data.epoch) return forget(row);
    const key = keyOf(row.scheme, row.bits);
    if (row.agreement && row.agreement.total >= (data.agreements.get(key)?.total ?? 0)) data.agreements.set(key, row.agreement);
    if (!data.rows.has(row.image)) data.rows.set(row.image, new Map());
    const rows = data.rows.get(row.image);
    const old = rows.get(key);
    if (old?.stage === "full" && row.stage !== "full") return forget(row);
    if (old) forget(old);
    rows.set(key, row);
  },
};

export default defineView("preview", {
  follows: ["bits", "scheme", "image", "teach"],
  teach({ model }) {
    if (hasFeedback(model.get("scheme"))) return "Error feedback rounds each weight so that it makes up for what the rounding of others before it did to the layer's results. Each error is as large as before, but they cancel out where it counts.";
    if (model.get("bits") <= 2) return "With so few levels every layer's results are off, and each layer adds its own errors to those that it gets from the layers before. Small networks fall apart here; error feedback keeps them together longer.";
    return "Every weight is off by a little, in any direction. A layer sums up thousands of products, where such errors mostly cancel out: that is why a picture can survive the loss of most of its network's bits.";
  },
  initial: () => ({ rows: new Map(), agreements: new Map(), inputs: null, notice: "", working: null, classifies: false, isDrawn: false, epoch: 0, fields: fieldData() }),
  receive: (data, content, buffers) => (RECEIVERS[content.type] ?? FIELD_RECEIVERS[content.type])?.(data, content, buffers),
  mount,
  dispose(data) {
    data.epoch += 1;
    for (const rows of data.rows.values()) for (const row of rows.values()) forget(row);
    data.rows.clear();
    data.inputs?.addresses.forEach((address) => URL.revokeObjectURL(address));
    data.inputs = null;
  },
});
