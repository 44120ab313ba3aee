// Fields to open files in: a path or address with completion, files dropped or picked and sent in pieces, the samples.

const PIECE = 1 << 20;
const IN_FLIGHT = 4;
const FIELDS = {
  model: { caption: "Model", hint: "Path or web address: .mlmodel, .mlpackage, .onnx, .keras, .h5", accept: ".mlmodel,.zip,.h5,.hdf5,.keras,.onnx", sample: "Bundled network" },
  pictures: { caption: "Pictures", hint: "Path of a picture or folder, or a picture's web address", accept: "image/*", sample: "Sample photographs" },
};

// What is known of a view's fields, by their names; uploads by their ids.
const fieldData = () => ({ recent: new Map(), said: new Map(), paths: new Map(), uploads: new Map() });

// Takes a message of Python about fields.
const FIELD_RECEIVERS = {
  offer: ({ fields }, { field, recent }) => fields.recent.set(field, recent),
  said: ({ fields }, content) => fields.said.set(content.field, content),
  completions: ({ fields }, { field, paths }) => fields.paths.set(field, paths),
  taken: ({ fields }, content) => settle(fields, content),
  refused: ({ fields }, content) => settle(fields, content),
};

function settle(fields, { type, upload, bytes }) {
  const sent = fields.uploads.get(upload);
  if (!sent) return;
  sent.waiting -= 1;
  sent.taken += bytes ?? 0;
  sent.over ||= type === "refused" || sent.taken >= sent.total;
  sent.wake();
}

// All files below what was dropped, folders (a .mlpackage is one) included, with their paths.
async function droppedFiles(items) {
  const files = [];
  async function walk(entry, path) {
    if (entry.isFile) {
      files.push({ name: path + entry.name, file: await new Promise((give, fail) => entry.file(give, fail)) });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const entries = await new Promise((give, fail) => reader.readEntries(give, fail));
      if (!entries.length) return;
      for (const inner of entries) await walk(inner, `${path}${entry.name}/`);
    }
  }
  // both at once: what was dropped is gone after the first wait
  const dropped = [...items].map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  for (const { entry, file } of dropped) {
    if (entry) await walk(entry, "");
    else if (file) files.push({ name: file.name, file });
  }
  return files;
}

// The names of paths: of two that are the same with the folder before them.
function shortNames(paths) {
  const ends = (count) => paths.map((path) => path.split(/[\\/]/).filter(Boolean).slice(-count).join("/"));
  const [names, longer] = [ends(1), ends(2)];
  return names.map((name, i) => (names.indexOf(name) === names.lastIndexOf(name) ? name : longer[i]));
}

// One field. `options` gives what else Python is to know of what is opened; files may be dropped on all of `target`.
function fieldOf({ model, data, field, options = () => ({}), target = null, more = [] }) {
  const { caption, hint, accept, sample } = FIELDS[field];
  const { fields } = data;
  const id = uniqueId(field);
  const send = (content, buffers) => model.send({ field, ...options(), ...content }, undefined, buffers);
  const complete = () => send({ type: "complete", text: input.value });
  const open = (path) => send({ type: "open", path });
  const input = html("input", {
    id, type: "text", placeholder: hint, spellcheck: "false", autocomplete: "off", list: `${id}-paths`,
    oninput: complete, onfocus: complete,
    onkeydown: (event) => { if (event.key === "Enter") open(input.value); },
  });
  const paths = html("datalist", { id: `${id}-paths` });
  const picker = html("input", {
    type: "file", accept, multiple: field === "pictures", hidden: true, tabindex: "-1", "aria-hidden": "true",
    onchange: () => { upload([...picker.files].map((file) => ({ name: file.name, file }))); picker.value = ""; },
  });
  const bar = html("progress", { hidden: true, "aria-label": `How much of the ${caption.toLowerCase()} is there` });
  const said = html("span", { role: "status" });
  const cancel = html("button", { type: "button", class: "cancel", hidden: true, onclick: () => stop() }, "Cancel");
  const recent = html("div", { class: "recent", hidden: true });
  const element = html(
    "div", { class: "field" },
    html("label", { for: id, class: "caption" }, caption),
    html("div", { class: "row" }, input, paths, html("button", { type: "button", class: "open", onclick: () => open(input.value) }, "Open")),
    html("div", { class: "row" },
      html("button", { type: "button", onclick: () => picker.click() }, "Upload …"),
      html("button", { type: "button", onclick: () => send({ type: "sample" }) }, sample), picker, more, recent),
    bar, html("p", { class: "said" }, said, cancel),
  );

  const zone = target ?? element;
  zone.addEventListener("dragover", (event) => {
    if (!fields.recent.has(field) || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", (event) => { if (!zone.contains(event.relatedTarget)) zone.classList.remove("over"); });
  zone.addEventListener("drop", async (event) => {
    if (!fields.recent.has(field)) return;
    event.preventDefault();
    event.stopPropagation();
    zone.classList.remove("over");
    upload(await droppedFiles(event.dataTransfer.items));
  });

  const uploading = () => [...fields.uploads.values()].filter((one) => one.field === field && !one.over).at(-1);

  function stop() {
    const sent = uploading();
    if (sent) {
      sent.over = true;
      sent.wake();
    }
    send({ type: "cancel" });
  }

  // A few pieces are on their way at any time: each that is taken lets the next one go.
  async function upload(files) {
    const total = files.reduce((sum, { file }) => sum + file.size, 0);
    if (!total) return;
    const sent = { id: uniqueId("upload"), field, total, taken: 0, waiting: 0, over: false, wake: () => {} };
    fields.uploads.set(sent.id, sent);
    repaint();
    for (const { name, file } of files) {
      for (let offset = 0; offset < file.size; offset += PIECE) {
        while (sent.waiting >= IN_FLIGHT && !sent.over) await new Promise((wake) => { sent.wake = wake; });
        if (sent.over) return;
        const piece = await file.slice(offset, offset + PIECE).arrayBuffer();
        sent.waiting += 1;
        send({ type: "chunk", upload: sent.id, name, offset, total }, [piece]);
      }
    }
  }

  function repaint() {
    const known = fields.recent.get(field) ?? [];
    const offered = [...(input.value ? [] : known), ...(fields.paths.get(field) ?? [])];
    paths.replaceChildren(...offered.map((path) => html("option", { value: path })));
    recent.hidden = !known.length;
    recent.replaceChildren(html("span", { class: "caption" }, "Recent"), ...shortNames(known).map((name, i) => html(
      "button", { type: "button", title: known[i], onclick: () => open(known[i]) }, name,
    )));
    const sent = uploading();
    const { state, text, done, total, cancels } = fields.said.get(field) ?? {};
    const share = sent ? [sent.taken, sent.total] : state === "running" && total ? [done, total] : null;
    bar.hidden = !share;
    if (share) [bar.value, bar.max] = share;
    said.textContent = sent ? `Uploading: ${megabytes(sent.taken)} of ${megabytes(sent.total)} MB` : text ?? "Files can be dropped here, too.";
    said.parentElement.dataset.state = sent ? "running" : state ?? "";
    cancel.hidden = !sent && !(state === "running" && cancels);
  }
  return { element, input, repaint };
}
