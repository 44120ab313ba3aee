// The drawing from afar, on a canvas: as a map in the corner, and in place of the boxes where too many are in view.

const MAP = { width: 104, height: 150, least: 0.012, inset: 4 };
const FAR_BOXES = 500;
const LEAST_MARK = 3;

// Paints what lies in `area` of a drawing at a place and zoom.
function paintFrom(brush, drawing, { x, y, zoom }, area, fg, arrows) {
  const { graph, folded, places, colouring, hits, active } = drawing;
  const inArea = (place) => place.y <= area.bottom && place.y + place.height >= area.top && place.x <= area.right && place.x + place.width >= area.left;
  brush.strokeStyle = fg;
  brush.lineWidth = 1;
  if (arrows) {
    brush.globalAlpha = 0.35;
    brush.beginPath();
    for (const arrow of drawing.arrows) {
      if (!inArea(arrow.area)) continue;
      arrow.points.forEach(([px, py], i) => brush[i ? "lineTo" : "moveTo"](px * zoom + x, py * zoom + y));
    }
    brush.stroke();
  }
  for (const frame of folded.frames.values()) {
    const place = places.get(frame.key);
    if (!inArea(place)) continue;
    brush.globalAlpha = 0.07;
    brush.fillStyle = fg;
    brush.fillRect(place.x * zoom + x, place.y * zoom + y, place.width * zoom, place.height * zoom);
  }
  for (const box of folded.boxes.values()) {
    const place = places.get(box.key);
    if (!inArea(place)) continue;
    const shade = colouring?.of(box) ?? null;
    brush.globalAlpha = hits && !hits.has(box.key) ? 0.2 : shade && !shade.fill ? 0.3 : 1;
    brush.fillStyle = shade?.fill ?? graph.colours[box.family];
    // never too thin to be seen: a long chain from afar stays a band
    const [width, height] = [Math.max(LEAST_MARK, place.width * zoom), Math.max(1.2, place.height * zoom)];
    brush.fillRect((place.x + place.width / 2) * zoom + x - width / 2, place.y * zoom + y, width, height);
    if (box.family === "custom" || box.key === active) {
      brush.globalAlpha = 1;
      brush.strokeStyle = fg;
      brush.lineWidth = box.key === active ? 2 : 1;
      brush.strokeRect(place.x * zoom + x - 1, place.y * zoom + y - 1, width + 2, height + 2);
    }
  }
  brush.globalAlpha = 1;
}

function fitCanvas(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const brush = canvas.getContext("2d");
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  brush.clearRect(0, 0, width, height);
  return brush;
}

// The map in the corner: the part of the drawing around the window, as far as the map has room. Dragging moves the window.
class Minimap {
  constructor(camera) {
    this.camera = camera;
    this.canvas = html("canvas", { class: "minimap", "aria-hidden": "true", hidden: true, title: "Drag to move" });
    this.picture = html("canvas");
    this.pictured = null;
    const go = (event) => {
      const frame = this.canvas.getBoundingClientRect();
      const { zoom } = camera.at;
      const { width, height } = camera.window;
      const [x, y] = [(event.clientX - frame.left - this.left) / this.zoom, (event.clientY - frame.top - this.top) / this.zoom];
      camera.place(width / 2 - x * zoom, height / 2 - y * zoom, zoom);
      camera.moved = true;
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      event.preventDefault();
      this.canvas.setPointerCapture(event.pointerId);
      go(event);
    });
    this.canvas.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
  }

  // Forgets the picture: colours, hits or the drawing changed.
  forget() {
    this.pictured = null;
  }

  paint(drawing) {
    const { camera, canvas } = this;
    const { width, height } = camera.window;
    const { size } = drawing;
    const { x, y, zoom } = camera.at;
    const overflow = Math.max((size.width * zoom) / width, (size.height * zoom) / height);
    canvas.hidden = overflow < 1.25 || width < 150 || drawing.folded.boxes.size < 8;
    if (canvas.hidden) return;
    const room = {
      width: Math.min(MAP.width, width * (width < 420 ? 0.14 : 0.22)) - 2 * MAP.inset,
      height: Math.min(MAP.height, height * 0.4) - 2 * MAP.inset,
    };
    this.zoom = Math.max(Math.min(room.width / size.width, room.height / size.height, 0.2), Math.min(0.045, room.width / size.width));
    const drawn = { width: Math.max(20, size.width * this.zoom), height: size.height * this.zoom };
    const shown = { width: drawn.width + 2 * MAP.inset, height: Math.min(room.height, drawn.height) + 2 * MAP.inset };
    const brush = fitCanvas(canvas, shown.width, shown.height);
    // where the map is shorter than the drawing, it moves along with the window
    const hidden = Math.max(0, drawn.height - room.height);
    const way = Math.max(1, size.height * zoom - height);
    this.left = MAP.inset + (drawn.width - size.width * this.zoom) / 2;
    this.top = MAP.inset - hidden * Math.min(1, Math.max(0, -y / way));
    const fg = getComputedStyle(camera.pane).color;
    const area = { left: 0, right: size.width, top: -this.top / this.zoom, bottom: (shown.height - this.top) / this.zoom };
    const name = `${this.left} ${this.top} ${this.zoom} ${fg}`;
    if (this.pictured !== name) {
      this.pictured = name;
      paintFrom(fitCanvas(this.picture, shown.width, shown.height), drawing, { x: this.left, y: this.top, zoom: this.zoom }, area, fg, false);
    }
    brush.drawImage(this.picture, 0, 0, shown.width, shown.height);
    brush.strokeStyle = getComputedStyle(canvas).color;
    brush.lineWidth = 1.5;
    const view = {
      left: Math.max(1, (-x / zoom) * this.zoom + this.left), top: Math.max(1, (-y / zoom) * this.zoom + this.top),
      right: Math.min(shown.width - 1, ((width - x) / zoom) * this.zoom + this.left), bottom: Math.min(shown.height - 1, ((height - y) / zoom) * this.zoom + this.top),
    };
    brush.globalAlpha = 0.12;
    brush.fillStyle = brush.strokeStyle;
    brush.fillRect(view.left, view.top, view.right - view.left, view.bottom - view.top);
    brush.globalAlpha = 1;
    brush.strokeRect(view.left, view.top, Math.max(2, view.right - view.left), Math.max(2, view.bottom - view.top));
  }
}
