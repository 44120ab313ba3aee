// Finding layers by name and type. Every layer that matches is a hit, in a folded box or not; Enter walks through them.

class Finder {
  // `found(words)` is called after each search, `select(box, id)` with the hit that is walked to, `look(boxes)` with the
  // boxes of all hits while one types, `leave()` when the arrow key leads from the field into the drawing.
  constructor({ say, found, select, leave, look }) {
    Object.assign(this, { say, found, select, show: look });
    this.hits = [];
    this.at = -1;
    this.field = html("input", { type: "search", placeholder: "Find a layer…", "aria-label": "Find a layer by name or type", spellcheck: "false" });
    this.count = html("span", { class: "found", "aria-hidden": "true" });
    this.steps = html(
      "div", { class: "group steps", role: "toolbar", "aria-label": "Matches", hidden: true },
      button("Previous match (Shift+Enter)", icon("M4 10l4-4 4 4"), () => this.walk(-1)),
      button("Next match (Enter)", icon("M4 6l4 4 4-4"), () => this.walk(1)),
    );
    oneStop(this.steps);
    const lens = icon("M11 11l3 3M12 7A5 5 0 1 1 2 7a5 5 0 0 1 10 0Z");
    this.element = html("div", { class: "search" }, html("div", { class: "query" }, lens, this.field, this.count), this.steps);
    this.field.addEventListener("input", () => this.#begin());
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.walk(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") this.toggle("");
      else if (event.key === "ArrowDown") {
        if (this.at < 0) this.walk(1);
        leave();
      } else return;
      event.preventDefault();
    });
  }

  get words() {
    return this.field.value.trim().toLowerCase();
  }

  // The keys of the boxes that hold hits; null where nothing is searched.
  get keys() {
    return this.words ? new Set(this.hits.map(({ box }) => box.key)) : null;
  }

  focus() {
    this.field.focus();
    this.field.select();
  }

  // Searches for these words, or for nothing where it did.
  toggle(words) {
    this.field.value = this.words === words ? "" : words;
    this.#begin();
  }

  // Searches a new drawing for the same; the place in the walk stays.
  look(graph, drawing) {
    this.graph = graph;
    this.drawing = drawing;
    this.#find();
  }

  walk(step) {
    const { length } = this.hits;
    if (!length) return;
    this.at = this.at < 0 ? (step > 0 ? 0 : length - 1) : (this.at + step + length) % length;
    const { box, id } = this.hits[this.at];
    this.select(box, id);
    this.#tell();
    this.say(`${this.at + 1} of ${length}: ${id === undefined ? this.drawing.words(box) : this.graph.byId.get(id).name}`);
  }

  #begin() {
    this.at = -1;
    if (!this.drawing) return;
    this.#find();
    const { length } = this.hits;
    this.say(!this.words ? "" : length ? `${length} found; Enter walks through them` : "nothing found");
    if (length) this.show(this.hits.map(({ box }) => box));
  }

  #find() {
    const { words } = this;
    const { boxes, boxOf } = this.drawing.folded;
    const features = [...boxes.values()].filter((box) => box.isFeature && box.copies[0].some((name) => `${name}\n${box.kind}`.toLowerCase().includes(words)));
    const nodes = this.graph.nodes.filter((node) => node.words.includes(words));
    this.hits = !words ? [] : [...features.map((box) => ({ box })), ...nodes.map(({ id }) => ({ box: boxOf.get(id), id }))];
    this.#tell();
    this.found(words);
  }

  #tell() {
    const { length } = this.hits;
    this.count.textContent = !this.words ? "" : !length ? "nothing" : this.at < 0 ? `${length}` : `${this.at + 1}/${length}`;
    this.count.classList.toggle("none", Boolean(this.words) && !length);
    this.steps.hidden = length < 2;
  }
}
