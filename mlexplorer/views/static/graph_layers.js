// The inside of one frame: layers from top to bottom, after Sugiyama, Tagawa and Toda (1981); columns after Brandes and
// Köpf (2001), with the ports of frames as in Rüegg and others (2015).

const LAYER_GAP = 26;
const PORT_GAP = 8;
const BOX_GAP = 22;
const LINE_GAP = 12;
const SWEEPS = 12;
const PATIENT_SWEEPS = 4;

// One frame's inside: items and the ends of arrows that cross its border, on layers.
class Group {
  constructor(keys, sizes, links) {
    this.nodes = [];
    this.number = new Map();
    this.sizes = sizes;
    for (const name of new Set(links.filter((link) => link.from === "in").map((link) => link.value))) this.#add(`in ${name}`, 0, 0, "in");
    this.entries = this.nodes.length;
    for (const key of keys) this.#add(key, sizes.get(key).width + (sizes.get(key).pile ?? 0), sizes.get(key).height, "item");
    for (const name of new Set(links.filter((link) => link.to === "out").map((link) => link.value))) this.#add(`out ${name}`, 0, 0, "out");
    this.links = links.map((link) => ({
      ...link,
      source: this.number.get(link.from === "in" ? `in ${link.value}` : link.from),
      target: this.number.get(link.to === "out" ? `out ${link.value}` : link.to),
    }));
    this.byName = new Map(this.links.map((link) => [link.name, link]));
    this.#rank();
    this.#thread();
    this.#order();
    this.#columns();
    this.#rows();
  }

  #add(key, width, height, kind) {
    const port = (side, value) => {
      const inner = this.sizes.get(key)?.inner;
      if (!inner) return 0;
      return inner.port(side, value) + inner.shift - (inner.outer.width + (this.sizes.get(key).pile ?? 0)) / 2;
    };
    this.number.set(key, this.nodes.length);
    this.nodes.push({ key, width, height, kind, layer: 0, before: [], after: [], port });
  }

  port(side, value) {
    const node = this.nodes[this.number.get(`${side} ${value}`)];
    return node ? node.x : this.width / 2;
  }

  place(key) {
    const node = this.nodes[this.number.get(key)];
    const pile = this.sizes.get(key).pile ?? 0;
    return { x: node.x - pile / 2, y: node.y, width: node.width - pile, height: node.height };
  }

  // Layers: the longest way from the top, except what only gives, which comes down to its readers.
  #rank() {
    const { nodes } = this;
    const waiting = nodes.map(() => 0);
    const [before, after] = [nodes.map(() => []), nodes.map(() => [])];
    for (const link of this.links) {
      after[link.source].push(link.target);
      before[link.target].push(link.source);
      waiting[link.target] += 1;
    }
    const order = [];
    const placed = nodes.map(() => false);
    const ready = nodes.map((_, i) => i).filter((i) => !waiting[i]).reverse();
    let next = 0;
    while (order.length < nodes.length) {
      let at = ready.pop();
      if (at === undefined) {
        while (placed[next]) next += 1; // a circle: its first goes on top
        at = next;
      }
      if (placed[at]) continue;
      placed[at] = true;
      order.push(at);
      for (const to of after[at]) if ((waiting[to] -= 1) === 0) ready.push(to);
    }
    const place = nodes.map(() => 0);
    order.forEach((at, i) => { place[at] = i; });
    for (const link of this.links) {
      link.back = place[link.source] > place[link.target];
      if (link.back) [link.source, link.target] = [link.target, link.source];
    }
    const first = this.entries ? 1 : 0;
    for (const node of nodes) node.layer = node.kind === "in" ? 0 : first;
    const [down, up] = [nodes.map(() => []), nodes.map(() => [])];
    for (const { source, target } of this.links) {
      down[source].push(target);
      up[target].push(source);
    }
    for (const at of order) for (const to of down[at]) nodes[to].layer = Math.max(nodes[to].layer, nodes[at].layer + 1);
    for (const at of [...order].reverse()) {
      const node = nodes[at];
      if (node.kind === "item" && down[at].length > up[at].length) {
        node.layer = Math.max(node.layer, Math.min(...down[at].map((to) => nodes[to].layer)) - 1);
      }
    }
    const last = Math.max(0, ...nodes.filter((node) => node.kind !== "out").map((node) => node.layer));
    for (const node of nodes) if (node.kind === "out") node.layer = last + 1;
  }

  // Links between neighbouring layers; a value that goes further is one thread, which all that read it leave from.
  #thread() {
    const threads = new Map();
    for (const link of this.links) {
      const [source, target] = [this.nodes[link.source], this.nodes[link.target]];
      const leaving = link.back ? source.port("in", link.value) : source.port("out", link.value);
      const arriving = link.back ? target.port("out", link.value) : target.port("in", link.value);
      const name = `${link.source} ${link.value} ${link.back ? link.target : ""}`;
      if (!threads.has(name)) threads.set(name, [link.source]);
      const thread = threads.get(name);
      while (source.layer + thread.length < target.layer) {
        const number = this.nodes.length;
        this.nodes.push({ kind: "line", width: 0, height: 0, layer: source.layer + thread.length, before: [], after: [] });
        this.#join(thread[thread.length - 1], number, thread.length === 1 ? leaving : 0, 0);
        thread.push(number);
      }
      const way = thread.slice(0, target.layer - source.layer);
      this.#join(way[way.length - 1], link.target, way.length === 1 ? leaving : 0, arriving);
      link.way = [...way, link.target];
      link.ends = [leaving, arriving];
    }
  }

  #join(source, target, leaving, arriving) {
    this.nodes[source].after.push({ to: target, own: leaving, other: arriving });
    this.nodes[target].before.push({ to: source, own: arriving, other: leaving });
  }

  #order() {
    const { nodes } = this;
    this.layers = Array.from({ length: Math.max(-1, ...nodes.map((node) => node.layer)) + 1 }, () => []);
    nodes.forEach((node, i) => {
      node.at = this.layers[node.layer].length;
      this.layers[node.layer].push(i);
    });
    const wide = Math.max(1, ...nodes.map((node) => node.width));
    const settle = (layer, side) => {
      if (layer.length < 2) return;
      for (const i of layer) {
        let sum = 0;
        for (const { to, other } of nodes[i][side]) sum += nodes[to].at + other / wide;
        nodes[i].mean = nodes[i][side].length ? sum / nodes[i][side].length : nodes[i].at;
      }
      layer.sort((a, b) => nodes[a].mean - nodes[b].mean || nodes[a].at - nodes[b].at);
      layer.forEach((i, at) => { nodes[i].at = at; });
    };
    let best = { crossings: Infinity, layers: this.layers, sweep: 0 };
    for (let sweep = 0; sweep < SWEEPS && best.crossings && sweep - best.sweep < PATIENT_SWEEPS; sweep += 1) {
      if (sweep % 2) for (let k = this.layers.length - 2; k >= 0; k -= 1) settle(this.layers[k], "after");
      else for (let k = 1; k < this.layers.length; k += 1) settle(this.layers[k], "before");
      this.#swap();
      const crossings = this.#crossings();
      if (crossings < best.crossings) best = { crossings, layers: this.layers.map((layer) => [...layer]), sweep };
    }
    this.layers = best.layers;
    for (const layer of this.layers) layer.forEach((i, at) => { nodes[i].at = at; });
    for (const node of nodes) {
      for (const side of ["before", "after"]) {
        if (node[side].length > 1) node[side].sort((a, b) => nodes[a.to].at - nodes[b.to].at || a.other - b.other);
      }
    }
  }

  // Neighbours change places where that has fewer crossings.
  #swap() {
    const { nodes } = this;
    const crossed = (a, b, side) => {
      let count = 0;
      for (const one of nodes[a][side]) for (const two of nodes[b][side]) {
        const [left, right] = [nodes[one.to].at, nodes[two.to].at];
        if (left > right || (left === right && one.other > two.other)) count += 1;
      }
      return count;
    };
    for (const layer of this.layers) {
      if (layer.length > 60) continue;
      for (let at = 0; at + 1 < layer.length; at += 1) {
        const [a, b] = [layer[at], layer[at + 1]];
        const now = crossed(a, b, "before") + crossed(a, b, "after");
        if (now && crossed(b, a, "before") + crossed(b, a, "after") < now) {
          [layer[at], layer[at + 1]] = [b, a];
          nodes[b].at = at;
          nodes[a].at = at + 1;
        }
      }
    }
  }

  #crossings() {
    let count = 0;
    for (let k = 1; k < this.layers.length; k += 1) {
      const width = this.layers[k - 1].length;
      if (width < 2 || this.layers[k].length < 2) continue;
      const tree = new Int32Array(width + 1);
      let seen = 0;
      for (const i of this.layers[k]) {
        const ends = this.nodes[i].before.map(({ to }) => this.nodes[to].at);
        for (const end of ends) {
          let below = 0;
          for (let at = end + 1; at > 0; at -= at & -at) below += tree[at];
          count += seen - below;
        }
        for (const end of ends) {
          seen += 1;
          for (let at = end + 1; at <= width; at += at & -at) tree[at] += 1;
        }
      }
    }
    return count;
  }

  #columns() {
    const { nodes } = this;
    const clashes = this.#clashes();
    const found = [];
    for (const side of ["before", "after"]) {
      for (const sign of [1, -1]) found.push({ sign, xs: this.#aligned(side, sign, clashes) });
    }
    const extent = (xs) => nodes.reduce(
      ([low, high], node, i) => [Math.min(low, xs[i] - node.width / 2), Math.max(high, xs[i] + node.width / 2)],
      [Infinity, -Infinity],
    );
    const extents = found.map(({ xs }) => extent(xs));
    const narrow = extents.reduce((best, [low, high], i) => (high - low < extents[best][1] - extents[best][0] ? i : best), 0);
    found.forEach(({ sign, xs }, k) => {
      const shift = sign > 0 ? extents[narrow][0] - extents[k][0] : extents[narrow][1] - extents[k][1];
      for (let i = 0; i < xs.length; i += 1) xs[i] += shift;
    });
    nodes.forEach((node, i) => {
      const four = found.map(({ xs }) => xs[i]).sort((a, b) => a - b);
      node.x = (four[1] + four[2]) / 2;
    });
    const [low, high] = nodes.length ? extent(nodes.map((node) => node.x)) : [0, 0];
    for (const node of nodes) node.x -= low;
    this.width = high - low;
  }

  // Links that cross a thread: the thread stays straight.
  #clashes() {
    const { nodes } = this;
    const clashes = new Set();
    for (let k = 1; k < this.layers.length; k += 1) {
      const [above, layer] = [this.layers[k - 1], this.layers[k]];
      let [low, done] = [0, 0];
      layer.forEach((i, at) => {
        const over = nodes[i].kind === "line" ? nodes[i].before.find(({ to }) => nodes[to].kind === "line") : null;
        if (!over && at !== layer.length - 1) return;
        const high = over ? nodes[over.to].at : above.length;
        for (; done <= at; done += 1) {
          const number = layer[done];
          for (const { to } of nodes[number].before) {
            const thread = nodes[to].kind === "line" && nodes[number].kind === "line";
            if (!thread && (nodes[to].at < low || nodes[to].at > high)) clashes.add(to * nodes.length + number);
          }
        }
        low = high;
      });
    }
    return clashes;
  }

  // One of the four layouts: aligned with the upper or lower neighbours, packed to the left or to the right.
  #aligned(side, sign, clashes) {
    const { nodes } = this;
    const count = nodes.length;
    const [root, align, shift] = [new Int32Array(count), new Int32Array(count), new Float64Array(count)];
    for (let i = 0; i < count; i += 1) root[i] = align[i] = i;
    const layers = this.layers.map((layer) => (sign > 0 ? layer : [...layer].reverse()));
    const place = (i) => (sign > 0 ? nodes[i].at : this.layers[nodes[i].layer].length - 1 - nodes[i].at);
    for (const layer of side === "before" ? layers : [...layers].reverse()) {
      let last = -1;
      for (const i of layer) {
        const others = nodes[i][side];
        if (!others.length) continue;
        const middle = (others.length - 1) / 2;
        for (let k = Math.floor(middle); k <= Math.ceil(middle); k += 1) {
          const { to, own, other } = others[sign > 0 ? k : others.length - 1 - k];
          const at = place(to);
          const clash = side === "before" ? clashes.has(to * count + i) : clashes.has(i * count + to);
          if (align[i] !== i || last >= at || clash) continue;
          align[to] = i;
          root[i] = align[i] = root[to];
          shift[i] = shift[to] + sign * (other - own);
          last = at;
        }
      }
    }
    const blocks = new Map();
    for (let i = 0; i < count; i += 1) if (!blocks.has(root[i])) blocks.set(root[i], { right: new Map(), waiting: 0, x: 0 });
    for (const layer of layers) {
      for (let k = 1; k < layer.length; k += 1) {
        const [a, b] = [layer[k - 1], layer[k]];
        const gap = nodes[a].width && nodes[b].width ? BOX_GAP : LINE_GAP;
        const apart = shift[a] + nodes[a].width / 2 + gap + nodes[b].width / 2 - shift[b];
        const { right } = blocks.get(root[a]);
        if (!right.has(root[b])) blocks.get(root[b]).waiting += 1;
        right.set(root[b], Math.max(apart, right.get(root[b]) ?? -Infinity));
      }
    }
    const order = [...blocks.keys()].filter((key) => !blocks.get(key).waiting);
    for (let k = 0; k < order.length; k += 1) {
      const block = blocks.get(order[k]);
      for (const [to, apart] of block.right) {
        const other = blocks.get(to);
        other.x = Math.max(other.x, block.x + apart);
        if ((other.waiting -= 1) === 0) order.push(to);
      }
    }
    for (const key of order.reverse()) {
      const block = blocks.get(key);
      const room = Math.min(...[...block.right].map(([to, apart]) => blocks.get(to).x - apart));
      if (Number.isFinite(room)) block.x = Math.max(block.x, room);
    }
    const xs = new Float64Array(count);
    for (let i = 0; i < count; i += 1) xs[i] = sign * (blocks.get(root[i]).x + shift[i]);
    return xs;
  }

  #rows() {
    const { nodes } = this;
    let y = 0;
    this.rows = this.layers.map((layer, k) => {
      const height = Math.max(0, ...layer.map((i) => nodes[i].height));
      const reach = Math.max(0, ...layer.flatMap((i) => nodes[i].before.map(({ to, own, other }) => Math.abs(nodes[to].x + other - nodes[i].x - own))));
      const isPorts = (layer2) => layer2?.length && layer2.every((i) => nodes[i].kind === "in" || nodes[i].kind === "out");
      if (k) y += (isPorts(layer) || isPorts(this.layers[k - 1]) ? PORT_GAP : LAYER_GAP) + Math.min(44, reach * 0.14);
      const row = { top: y, bottom: y + height };
      for (const i of layer) nodes[i].y = y + (height - nodes[i].height) / 2;
      y += height;
      return row;
    });
    this.height = y;
  }

  // The points of a link, from the edge of the first item's row to that of the last; at ports, from the frame's border.
  points(name) {
    const link = this.byName.get(name);
    const points = link.way.flatMap((i, k) => {
      const node = this.nodes[i];
      const { top, bottom } = this.rows[node.layer];
      if (node.kind === "in") return [[node.x, -FRAME.top], [node.x, bottom]];
      if (node.kind === "out") return [[node.x, top], [node.x, this.height + FRAME.bottom]];
      if (k === 0) return [[node.x + link.ends[0], node.y + node.height], [node.x + link.ends[0], bottom]];
      if (k === link.way.length - 1) return [[node.x + link.ends[1], top], [node.x + link.ends[1], node.y]];
      return [[node.x, top], [node.x, bottom]];
    });
    return link.back ? points.reverse() : points;
  }
}
