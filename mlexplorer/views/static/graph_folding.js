// What is drawn of a graph, from its outline and the names of the open folds. The counterpart of `folding.py`.

const UNFOLDED = "*";

const countLayers = (count) => `${count.toLocaleString("en")} layer${count === 1 ? "" : "s"}`;

// Boxes and frames in a tree, the same by key, and arrows between boxes. A box stands for `copies` of layers (ids), one
// of each closed repeat around it; `lines` are its title and caption, `frames` the keys of the frames around it.
class Folded {
  constructor(graph, opened) {
    this.graph = graph;
    this.opened = new Set(opened);
    this.unfolded = this.opened.has(UNFOLDED);
    this.boxes = new Map();
    this.frames = new Map();
    this.boxOf = new Map();
    this.place = new Array(graph.nodes.length);
    const root = graph.outline.root;
    this.children = [
      ...this.#features("input", graph.inputs),
      ...this.#inside(root),
      ...this.#features("output", graph.outputs),
    ];
    this.#adopt(this.children, []);
    this.edges = [...this.#edges()];
    for (const { source, target } of this.edges) {
      this.boxes.get(source).after.push(target);
      this.boxes.get(target).before.push(source);
    }
  }

  get foldable() {
    return [...this.boxes.values(), ...this.frames.values()].some((item) => item.fold);
  }

  #adopt(items, frames) {
    for (const item of items) {
      item.frames = frames;
      if (item.children) {
        this.frames.set(item.key, item);
        this.#adopt(item.children, [item.key, ...frames]);
      } else {
        item.before = [];
        item.after = [];
        this.boxes.set(item.key, item);
        if (!item.isFeature) for (const id of item.copies.flat()) this.boxOf.set(id, item);
      }
    }
  }

  #isFolded(kind, count) {
    const [many, most] = this.graph.featureLimits;
    return count > most || (count > many && !this.unfolded && !this.opened.has(kind));
  }

  #features(kind, names) {
    const box = { kind, isFeature: true, family: "feature", fold: "" };
    if (!this.#isFolded(kind, names.length)) {
      return names.map((name, i) => ({ ...box, key: `${kind}${i}`, copies: [[name]], lines: [name, this.graph.features[name] || kind] }));
    }
    const fold = names.length <= this.graph.featureLimits[1] ? kind : "";
    return [{ ...box, key: `${kind}0`, copies: [[...names]], fold, lines: [`${names.length} ${kind}s`, "select to list them"] }];
  }

  #featureKey(kind, i) {
    const names = kind === "input" ? this.graph.inputs : this.graph.outputs;
    return `${kind}${this.#isFolded(kind, names.length) ? 0 : i}`;
  }

  #inside(network) {
    const items = this.unfolded
      ? network.chains.flat().sort((a, b) => a - b).map((i) => this.#drawn("layer", [[i]], [{}]))
      : this.#items(network, network.items, [{ chains: 0, path: {} }]);
    const own = items.length;
    for (const inner of [...network.inner].reverse()) {
      const after = items.findIndex((item) => item.key === `n${inner.owner}` && !item.children);
      items.splice(after < 0 ? own : after + 1, 0, this.#network(inner));
    }
    return items;
  }

  #network(network) {
    const { key, title } = network;
    if (this.unfolded || this.opened.has(key)) {
      return { key, kind: "scope", children: this.#inside(network), fold: key, opened: true, title };
    }
    const numbers = Folded.numbers(network);
    for (const i of numbers) this.place[i] = { key, path: {} };
    const nodes = numbers.map((i) => this.graph.nodes[i]);
    const customs = nodes.filter((node) => node.family === "custom").length;
    const caption = countLayers(nodes.length) + (customs ? `, ★ ${customs} custom` : "");
    const family = customs ? "custom" : "network";
    return { key, kind: "network", copies: [nodes.map((node) => node.id)], fold: key, title, family, lines: [title, caption] };
  }

  static numbers(network) {
    return [...network.chains.flat(), ...network.inner.flatMap((inner) => Folded.numbers(inner))].sort((a, b) => a - b);
  }

  #items(network, items, offsets) {
    return items.map((item) => typeof item === "number" ? this.#chain(network, item, offsets) : this.#block(network, item, offsets));
  }

  #block(network, block, offsets) {
    const { key, copies, period, parallel } = block;
    const count = copies.length;
    const frame = { key, kind: "repeat", fold: key, opened: this.opened.has(key), count, parallel };
    if (frame.opened) {
      frame.children = copies.map((items, k) => (
        { key: `${key}k${k}`, kind: "copy", children: this.#items(network, items, offsets), fold: "", count, index: k }
      ));
    } else {
      const inner = offsets.flatMap(({ chains, path }) =>
        copies.map((_, k) => ({ chains: chains + k * period, path: { ...path, [key]: k } })),
      );
      frame.children = this.#items(network, copies[0], inner);
    }
    return frame;
  }

  #chain(network, at, offsets) {
    const copies = offsets.map(({ chains }) => network.chains[at + chains]);
    const first = copies[0];
    if (first.length === 1) return this.#drawn("layer", copies, offsets);
    const key = `c${first[0]}`;
    const lines = network.captions[first[0]];
    if (!this.opened.has(key)) return { ...this.#drawn("chain", copies, offsets, key), lines };
    const children = first.map((_, k) => this.#drawn("layer", copies.map((chain) => [chain[k]]), offsets));
    return { key, kind: "chain", children, fold: key, opened: true, count: 1, title: lines[0] };
  }

  #drawn(kind, copies, offsets, fold = "") {
    const key = `n${copies[0][0]}`;
    copies.forEach((chain, k) => {
      for (const i of chain) this.place[i] = { key, path: offsets[k].path ?? {} };
    });
    const { nodes } = this.graph;
    const first = copies[0].map((i) => nodes[i]);
    const size = (node) => node.weights.reduce((sum, weight) => sum + weight.count, 0);
    const main = first.reduce((best, node) => (size(node) > size(best) ? node : best));
    return { key, kind, copies: copies.map((chain) => chain.map((i) => nodes[i].id)), fold, family: main.family, lines: main.lines };
  }

  *#edges() {
    const seen = new Set();
    const fresh = (source, target) => {
      const name = `${source} ${target}`;
      if (source === target || seen.has(name)) return false;
      seen.add(name);
      return true;
    };
    const { producers, outputProducers, root } = this.graph.outline;
    for (let target = 0; target < producers.length; target += 1) {
      const { key, path } = this.place[target];
      for (const number of producers[target]) {
        const from = number < 0 ? { key: this.#featureKey("input", -1 - number), path: {} } : this.place[number];
        const betweenCopies = Object.entries(from.path).some(([name, copy]) => name in path && path[name] !== copy);
        if (!betweenCopies && fresh(from.key, key)) yield { source: from.key, target: key, nested: false };
      }
    }
    for (const [i, numbers] of outputProducers.entries()) {
      const target = this.#featureKey("output", i);
      for (const number of numbers) {
        const source = number < 0 ? this.#featureKey("input", -1 - number) : this.place[number].key;
        if (fresh(source, target)) yield { source, target, nested: false };
      }
    }
    yield* this.#owned(root, fresh);
  }

  *#owned(network, fresh) {
    if (network.owner >= 0) {
      const source = this.place[network.owner].key;
      const target = this.place[Folded.numbers(network)[0]].key;
      if (fresh(source, target)) yield { source, target, nested: true };
    }
    for (const inner of network.inner) yield* this.#owned(inner, fresh);
  }
}

function frameTitle(frame) {
  if (frame.kind === "repeat") return `× ${frame.count}${frame.parallel ? " side by side" : ""}`;
  if (frame.kind === "copy") return `${frame.index + 1} of ${frame.count}`;
  return frame.title;
}
