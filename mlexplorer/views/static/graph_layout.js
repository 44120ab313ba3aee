// Where boxes, frames and arrows lie: each frame is laid out by itself, from the innermost out, and is one box in the frame
// around it; arrows that cross its border have ports there.

const FRAME = { side: 16, top: 32, bottom: 16, pile: 8 };
const CORNER = 14;

// The places of all boxes and frames as {x, y, width, height} by key, the arrows as points, and the size of it all.
function layOut(folded, sizeOf) {
  const links = new Map();
  const link = (group, from, to, value, nested) => {
    if (!links.has(group)) links.set(group, new Map());
    const name = `${from} ${to} ${value}`;
    if (!links.get(group).has(name)) links.get(group).set(name, { name, from, to, value, nested });
    return links.get(group).get(name);
  };
  const wayTo = (key) => [...[...folded.boxes.get(key).frames].reverse(), key];
  const routes = folded.edges.map((edge) => {
    const [before, after] = [wayTo(edge.source), wayTo(edge.target)];
    let depth = 0;
    while (before[depth] === after[depth]) depth += 1;
    const { source: value, nested } = edge;
    const route = [];
    for (let k = before.length - 2; k >= depth; k -= 1) {
      route.push([before[k], link(before[k], before[k + 1], "out", value, nested)]);
    }
    const around = depth ? before[depth - 1] : "";
    route.push([around, link(around, before[depth], after[depth], value, nested)]);
    for (let k = depth; k < after.length - 1; k += 1) {
      route.push([after[k], link(after[k], "in", after[k + 1], value, nested)]);
    }
    return { edge, route };
  });

  const groups = new Map();
  const arrange = (key, children) => {
    const sizes = new Map(
      children.map((item) => {
        if (!item.children) return [item.key, sizeOf(item)];
        const inner = arrange(item.key, item.children);
        const pile = item.kind === "repeat" && !item.opened ? FRAME.pile : 0;
        const width = Math.max(inner.width + 2 * FRAME.side, sizeOf(item).width);
        inner.shift = (width - inner.width) / 2;
        inner.outer = { width, height: inner.height + FRAME.top + FRAME.bottom };
        return [item.key, { ...inner.outer, pile, inner }];
      }),
    );
    const group = new Group(children.map((item) => item.key), sizes, [...(links.get(key)?.values() ?? [])]);
    groups.set(key, group);
    return group;
  };
  const top = arrange("", folded.children);

  const places = new Map();
  const origins = new Map([["", { x: 0, y: 0 }]]);
  const descend = (key, children) => {
    const [group, origin] = [groups.get(key), origins.get(key)];
    for (const item of children) {
      const { x, y, width, height } = group.place(item.key);
      const place = { x: origin.x + x - width / 2, y: origin.y + y, width, height };
      places.set(item.key, place);
      if (!item.children) continue;
      origins.set(item.key, { x: place.x + groups.get(item.key).shift, y: place.y + FRAME.top });
      descend(item.key, item.children);
    }
  };
  descend("", folded.children);
  const arrows = routes.map(({ edge, route }) => {
    const points = route.flatMap(([key, { name }]) =>
      groups.get(key).points(name).map(([x, y]) => [x + origins.get(key).x, y + origins.get(key).y]),
    );
    return { ...edge, points: tidy(points, places.get(edge.source), places.get(edge.target)) };
  });
  return { places, arrows, width: top.width, height: top.height };
}

// The points of one arrow, from border to border: it leaves and enters a box below or above the next point, or as near
// to that as the box is wide. The first and the last two points are those of the boxes' own rows.
function tidy(points, source, target) {
  const attach = (box, towards) => {
    const middle = box.x + box.width / 2;
    const room = box.width / 2 - CORNER;
    return middle + Math.max(-room, Math.min(room, towards - middle));
  };
  const way = points.slice(2, -2);
  const from = attach(source, way.length ? way[0][0] : target.x + target.width / 2);
  const to = attach(target, way.length ? way[way.length - 1][0] : from);
  const rows = points.map(([, y]) => y);
  return [[from, rows[0]], [from, rows[1]], ...way, [to, rows[rows.length - 2]], [to, rows[rows.length - 1]]]
    .filter(([x, y], i, all) => !i || x !== all[i - 1][0] || y !== all[i - 1][1]);
}

// A path through points: straight where one stands below the other, else an S.
function curve(points) {
  let path = `M${round(points[0][0])} ${round(points[0][1])}`;
  for (let k = 1; k < points.length; k += 1) {
    const [[x0, y0], [x1, y1]] = [points[k - 1], points[k]];
    const middle = (y0 + y1) / 2;
    path += x0 === x1
      ? `V${round(y1)}`
      : `C${round(x0)} ${round(middle)} ${round(x1)} ${round(middle)} ${round(x1)} ${round(y1)}`;
  }
  return path;
}

const round = (value) => Math.round(value * 10) / 10;
