// Fields for a model and for pictures: a path with completion, files dropped or picked and sent in chunks, samples.

const CHUNK = 1 << 20;
const IN_FLIGHT = 4;
const FIELDS = [
  { field: "model", caption: "Model", hint: "path/to/model.mlmodel, .mlpackage, .onnx, .keras, .h5", accept: ".mlmodel,.zip,.h5,.hdf5,.keras,.onnx", sample: "Bundled network" },
  { field: "pictures", caption: "Pictures", hint: "path/to/folder or picture", accept: "image/*", sample: "Sample photographs" },
];

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
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  for (const entry of entries) await walk(entry, "");
  return files;
}

function fieldOf({ model, data, describe }) {
  const { field, caption, hint, accept, sample } = describe;
  const id = uniqueId(field);
  const input = html("input", {
    id, type: "text", placeholder: hint, spellcheck: "false", autocomplete: "off", list: `${id}-paths`,
    oninput: () => model.send({ type: "complete", field, text: input.value }),
    onfocus: () => model.send({ type: "complete", field, text: input.value }),
    onkeydown: (event) => { if (event.key === "Enter") open(); },
  });
  const paths = html("datalist", { id: `${id}-paths` });
  const picker = html("input", {
    type: "file", accept, multiple: field === "pictures", hidden: true, tabindex: "-1", "aria-hidden": "true",
    onchange: () => { upload([...picker.files].map((file) => ({ name: file.name, file }))); picker.value = ""; },
  });
  const bar = html("progress", { hidden: true, "aria-label": `Upload of the ${caption.toLowerCase()}` });
  const said = html("p", { class: "said", role: "status" });
  const element = html(
    "div", { class: "field" },
    html("label", { for: id, class: "caption" }, caption),
    html("div", { class: "row" }, input, paths,
      html("button", { type: "button", class: "open", onclick: () => open() }, "Open"),
      html("button", { type: "button", onclick: () => picker.click() }, "Upload …"),
      html("button", { type: "button", onclick: () => model.send({ type: "sample", field }) }, sample), picker),
    bar, said,
  );
  const open = () => model.send({ type: "open", field, path: input.value });

  element.addEventListener("dragover", (event) => { event.preventDefault(); element.classList.add("over"); });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("over");
    upload(await droppedFiles(event.dataTransfer.items));
  });

  // A few chunks are on their way at any time: each that is taken lets the next one go.
  async function upload(files) {
    const total = files.reduce((sum, { file }) => sum + file.size, 0);
    if (!total) return;
    const sent = { id: uniqueId("upload"), field, total, taken: 0, waiting: 0, refused: false, wake: () => {} };
    data.uploads.set(sent.id, sent);
    bar.hidden = false;
    bar.max = total;
    for (const { name, file } of files) {
      for (let offset = 0; offset < file.size; offset += CHUNK) {
        while (sent.waiting >= IN_FLIGHT && !sent.refused) await new Promise((wake) => { sent.wake = wake; });
        if (sent.refused) return;
        const chunk = await file.slice(offset, offset + CHUNK).arrayBuffer();
        sent.waiting += 1;
        model.send({ type: "chunk", field, upload: sent.id, name, offset, total }, undefined, [chunk]);
      }
    }
  }

  function repaint(content) {
    if (content?.type === "completions" && content.field === field) {
      const recent = field === "model" && !input.value ? data.recent : [];
      paths.replaceChildren(...[...recent, ...content.paths].map((path) => html("option", { value: path })));
    }
    const latest = [...data.uploads.values()].filter((one) => one.field === field).at(-1);
    if (latest) {
      bar.value = latest.taken;
      bar.hidden = latest.refused || latest.taken >= latest.total;
    }
    const { state, text } = data.said.get(field) ?? {};
    said.textContent = text ?? "";
    said.dataset.state = state ?? "";
  }
  return { element, repaint };
}

function mount({ model, root, data }) {
  const fields = FIELDS.map((describe) => fieldOf({ model, data, describe }));
  const recent = html("div", { class: "recent", hidden: true });
  root.append(html("div", { class: "fields" }, fields.map(({ element }) => element)), recent);
  return {
    repaint(content) {
      for (const field of fields) field.repaint(content);
      recent.hidden = !data.recent.length;
      recent.replaceChildren(
        html("span", { class: "caption" }, "Recent"),
        ...data.recent.map((path) => html(
          "button", { type: "button", title: path, onclick: () => model.send({ type: "open", field: "model", path }) },
          path.split(/[\\/]/).at(-1),
        )),
      );
    },
  };
}

export default defineView("opening", {
  initial: () => ({ recent: [], said: new Map(), uploads: new Map() }),
  receive(data, content) {
    const upload = data.uploads.get(content.upload);
    if (content.type === "offer") data.recent = content.recent;
    else if (content.type === "said") data.said.set(content.field, content);
    else if (upload && (content.type === "taken" || content.type === "refused")) {
      upload.waiting -= 1;
      upload.taken += content.bytes ?? 0;
      upload.refused ||= content.type === "refused";
      upload.wake();
    }
  },
  mount,
});
