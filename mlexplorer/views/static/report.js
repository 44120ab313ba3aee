// Runs the views of a report: models without a kernel that take the recorded messages.

const packed = new Blob([bytes(document.getElementById("mlx-data").textContent)]).stream();
const data = await new Response(packed.pipeThrough(new DecompressionStream("deflate"))).json();

// What a view's module sees of a widget's model.
class Recorded {
  constructor(traits) {
    this.traits = traits;
    this.listeners = new Map();
  }

  get(name) {
    return this.traits[name];
  }

  set(name, value) {
    if (this.traits[name] === value) return;
    this.traits[name] = value;
    this.emit(`change:${name}`);
  }

  on(name, listener) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }

  off(name, listener) {
    this.listeners.set(name, (this.listeners.get(name) ?? []).filter((other) => other !== listener));
  }

  emit(name, ...values) {
    for (const listener of this.listeners.get(name) ?? []) listener(...values);
  }

  // There is no kernel that could answer.
  save_changes() {}

  send() {}
}

function bytes(text) {
  const binary = atob(text);
  const array = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) array[index] = binary.charCodeAt(index);
  return new DataView(array.buffer);
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const paintTheme = () => document.documentElement.setAttribute("theme", dark.matches ? "dark" : "light");
dark.addEventListener("change", paintTheme);
paintTheme();

const models = Object.fromEntries(
  Object.entries(data.views).map(([name, { traits }]) => [name, new Recorded(traits)]),
);
for (const [name, model] of Object.entries(models)) {
  const view = modules[name]();
  await view.initialize?.({ model });
  await view.render({ model, el: document.querySelector(`[data-view="${name}"]`) });
  for (const [content, buffers] of data.views[name].messages) model.emit("msg:custom", content, buffers.map(bytes));
}
document.documentElement.dataset.ready = "true";
