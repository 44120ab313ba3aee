// Looking around in a drawing that is larger than its window: drag, zoom, fit, and bring a box into view.

const ZOOM_STEP = 1.25;
const SMALLEST_ZOOM = 0.04;
const LARGEST_ZOOM = 4;
const READABLE = 1.1;
const STILL_READABLE = 0.85;
const FIRST_LOOK = 1;
const PADDING = 16;

class Camera {
  constructor(pane, sheet) {
    this.pane = pane;
    this.sheet = sheet;
    this.size = { width: 1, height: 1 };
    this.at = { x: 0, y: 0, zoom: 1 };
    this.moved = false;
    this.dragged = false;
    pane.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    pane.addEventListener("pointerdown", (event) => this.#down(event));
    pane.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) pane.addEventListener(name, () => this.#up());
  }

  get window() {
    return { width: this.pane.clientWidth, height: this.pane.clientHeight };
  }

  get hidden() {
    return this.pane.clientWidth < 2 || this.pane.clientHeight < 2;
  }

  place(x, y, zoom, eased = false) {
    this.at = { x, y, zoom };
    this.sheet.classList.toggle("gliding", eased);
    this.sheet.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
  }

  // The first look: all of it where it stays readable, else the top at a readable size, around `focus` where given.
  start(top, focus) {
    this.moved = false;
    const { width, height } = this.window;
    const whole = Math.min((width - 2 * PADDING) / this.size.width, (height - 2 * PADDING) / this.size.height);
    if (whole >= STILL_READABLE) {
      this.#centre(Math.min(whole, READABLE));
      return;
    }
    const zoom = Math.min(READABLE, Math.max((width - 2 * PADDING) / this.size.width, FIRST_LOOK));
    const middle = (top.left + top.right) / 2;
    this.place(this.#inside(width / 2 - middle * zoom, width, this.size.width * zoom), PADDING, zoom);
    if (focus) this.reveal(focus, false);
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
    this.place(x - (x - this.at.x) * change, y - (y - this.at.y) * change, zoom, eased);
    this.moved = true;
  }

  // Moves just so far that a rectangle of the drawing is in the window, with room around it.
  reveal(box, eased = true) {
    const { width, height } = this.window;
    const zoom = Math.max(this.at.zoom, STILL_READABLE);
    const move = (from, to, at, length, drawn) => {
      const room = Math.min(80, length / 5);
      const [low, high] = [from * zoom + at, to * zoom + at];
      if (zoom !== this.at.zoom) return length / 2 - ((from + to) / 2) * zoom;
      if (low >= PADDING && high <= length - PADDING && (low >= room || at >= PADDING)) return at;
      if (low < room) return Math.min(at + room - low, Math.max(at, PADDING));
      return high > length - room ? Math.max(at + length - room - high, Math.min(at, length - drawn - PADDING)) : at;
    };
    this.place(
      move(box.left, box.right, this.at.x, width, this.size.width * zoom),
      move(box.top, box.bottom, this.at.y, height, this.size.height * zoom),
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
    this.drag = { id: event.pointerId, x: event.clientX, y: event.clientY, from: { ...this.at } };
  }

  #move(event) {
    if (!this.drag || event.pointerId !== this.drag.id) return;
    if (event.buttons === 0) {
      this.#up();
      return;
    }
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

  #up() {
    this.drag = null;
    this.pane.classList.remove("dragging");
  }
}
