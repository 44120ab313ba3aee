// Looking around in a drawing that is larger than its window: drag, zoom, fit, and bring a box into view.

const ZOOM_STEP = 1.25;
const SMALLEST_ZOOM = 0.004;
const LARGEST_ZOOM = 4;
const READABLE = 1.1;
const STILL_READABLE = 0.8;
const JUST_READABLE = 0.68;
const PADDING = 14;
const LONGEST_GLIDE = 3;
const BUTTONS = 40; // at the lower edge, which what is revealed should not lie under

class Camera {
  // `changed` is called once a frame while the window moves over the drawing.
  constructor(pane, sheet, changed) {
    this.pane = pane;
    this.sheet = sheet;
    this.changed = changed;
    this.asked = false;
    this.pointers = new Map();
    this.size = { width: 1, height: 1 };
    this.at = { x: 0, y: 0, zoom: 1 };
    this.moved = false;
    this.dragged = false;
    pane.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    pane.addEventListener("pointerdown", (event) => this.#down(event));
    pane.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) pane.addEventListener(name, (event) => this.#up(event));
  }

  get window() {
    return { width: this.pane.clientWidth, height: this.pane.clientHeight };
  }

  get hidden() {
    return this.pane.clientWidth < 2 || this.pane.clientHeight < 2;
  }

  // The part of the drawing that is in the window.
  get area() {
    const { x, y, zoom } = this.at;
    const { width, height } = this.window;
    return { left: -x / zoom, top: -y / zoom, right: (width - x) / zoom, bottom: (height - y) / zoom };
  }

  place(x, y, zoom, eased = false) {
    // over a long way there would be nothing to see but a blur
    const far = Math.hypot(x - this.at.x, y - this.at.y) > LONGEST_GLIDE * this.window.height;
    this.at = { x, y, zoom };
    this.sheet.classList.toggle("gliding", eased && !far);
    this.sheet.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.changed();
    });
  }

  // The first look: all of it where it stays readable, else the top, as wide as fits, moved to `focus` where given.
  start(boxes, focus) {
    this.moved = false;
    const { width, height } = this.window;
    const room = width - 2 * PADDING;
    const whole = Math.min(room / this.size.width, (height - 2 * PADDING) / this.size.height);
    if (whole >= STILL_READABLE) {
      this.#centre(Math.min(whole, READABLE));
      return;
    }
    const top = boxes.filter((box) => box.top * STILL_READABLE < height);
    const [left, right] = [Math.min(...top.map((box) => box.left)), Math.max(...top.map((box) => box.right))];
    const zoom = Math.min(1, Math.max(room / (right - left), JUST_READABLE));
    const fits = (right - left) * zoom <= room + 1;
    const middle = fits ? (left + right) / 2 : (boxes[0].left + boxes[0].right) / 2;
    const x = width / 2 - middle * zoom;
    this.place(fits ? x : this.#inside(x, width, this.size.width * zoom), PADDING, zoom);
    if (focus) this.reveal(focus, false, { least: JUST_READABLE, around: 0 });
    this.moved = false;
  }

  fit() {
    const { width, height } = this.window;
    const whole = Math.min((width - 2 * PADDING) / this.size.width, (height - 2 * PADDING) / this.size.height);
    this.#centre(Math.min(whole, READABLE), true);
    this.moved = false;
  }

  zoomBy(factor, x = this.window.width / 2, y = this.window.height / 2, eased = true) {
    const zoom = Math.min(LARGEST_ZOOM, Math.max(SMALLEST_ZOOM, this.at.zoom * factor));
    const change = zoom / this.at.zoom;
    const [left, top] = [x - (x - this.at.x) * change, y - (y - this.at.y) * change];
    const { width, height } = this.window;
    // steps by buttons and keys leave no empty border where there is more to see
    if (eased) this.place(this.#inside(left, width, this.size.width * zoom), this.#inside(top, height, this.size.height * zoom), zoom, true);
    else this.place(left, top, zoom);
    this.moved = true;
  }

  // Moves just so far that a rectangle of the drawing is in the window, with room around it.
  reveal(box, eased = true, { least = STILL_READABLE, around = 80 } = {}) {
    const { width, height } = this.window;
    const zoom = this.at.zoom < least * 0.75 ? least : this.at.zoom;
    const move = (from, to, at, length, drawn, room, end) => {
      const [low, high] = [from * zoom + at, to * zoom + at];
      if (zoom !== this.at.zoom) return length / 2 - ((from + to) / 2) * zoom;
      if (low >= PADDING && high <= length - end && (low >= room || at >= PADDING)) return at;
      if (low < room) return Math.min(at + room - low, Math.max(at, PADDING));
      const below = Math.max(room, end);
      return high > length - below ? Math.max(at + length - below - high, Math.min(at, length - drawn - below)) : at;
    };
    const room = Math.max(PADDING, Math.min(around, height / 5));
    this.place(
      move(box.left, box.right, this.at.x, width, this.size.width * zoom, PADDING, PADDING),
      move(box.top, box.bottom, this.at.y, height, this.size.height * zoom, room, BUTTONS),
      zoom, eased,
    );
    this.moved = true;
  }

  // Keeps a point of a new drawing where that of the old one was.
  keep(before, after) {
    const { x, y, zoom } = this.at;
    const shift = (from, to) => (from.left - to.left) * zoom;
    this.place(x + shift(before, after), y + (before.top - after.top) * zoom, zoom);
  }

  #centre(zoom, eased = false) {
    const { width, height } = this.window;
    this.place((width - this.size.width * zoom) / 2, Math.max(PADDING, (height - this.size.height * zoom) / 2), zoom, eased);
  }

  #inside(at, length, drawn) {
    return drawn + 2 * PADDING <= length ? (length - drawn) / 2 : Math.min(PADDING, Math.max(at, length - drawn - PADDING));
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const frame = this.pane.getBoundingClientRect();
    const pixels = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    const factor = Math.exp(-Math.max(-60, Math.min(60, pixels)) * 0.004);
    this.zoomBy(factor, event.clientX - frame.left, event.clientY - frame.top, false);
  }

  #down(event) {
    this.dragged = false;
    if (event.button !== 0) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.drag = { id: event.pointerId, x: event.clientX, y: event.clientY, from: { ...this.at } };
  }

  #move(event) {
    if (!this.pointers.has(event.pointerId)) return;
    if (event.buttons === 0) {
      this.#up(event);
      return;
    }
    if (this.pointers.size === 2) {
      this.#pinch(event);
      return;
    }
    if (event.pointerId !== this.drag?.id) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const [dx, dy] = [event.clientX - this.drag.x, event.clientY - this.drag.y];
    if (!this.dragged && Math.hypot(dx, dy) < 5) return;
    if (!this.dragged) {
      this.dragged = true;
      this.pane.setPointerCapture(event.pointerId);
      this.pane.classList.add("dragging");
    }
    this.moved = true;
    this.place(this.drag.from.x + dx, this.drag.from.y + dy, this.drag.from.zoom);
  }

  // Two fingers zoom around the point between them.
  #pinch(event) {
    const apart = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);
    const before = apart([...this.pointers.values()]);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const fingers = [...this.pointers.values()];
    const frame = this.pane.getBoundingClientRect();
    const [x, y] = [(fingers[0].x + fingers[1].x) / 2 - frame.left, (fingers[0].y + fingers[1].y) / 2 - frame.top];
    this.dragged = true;
    if (before > 0) this.zoomBy(apart(fingers) / before, x, y, false);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    this.drag = null;
    this.pane.classList.remove("dragging");
  }
}
