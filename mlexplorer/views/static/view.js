// What every view shares. Python puts this text around the views' own modules, each of which is a function's body.

const BITS = [1, 2, 3, 4, 5, 6, 7, 8];
const MIXED = "mixed";
const PLAIN_SCHEMES = ["linear", "lookup_table"];
const FEEDBACK_SUFFIX = "_feedback";
const hasFeedback = (scheme) => scheme.endsWith(FEEDBACK_SUFFIX);
const plainOf = (scheme) => (hasFeedback(scheme) ? scheme.slice(0, -FEEDBACK_SUFFIX.length) : scheme);
const withFeedback = (scheme) => plainOf(scheme) + FEEDBACK_SUFFIX;
const SCHEMES = PLAIN_SCHEMES.flatMap((scheme) => [scheme, withFeedback(scheme)]);
const SCHEME_NAMES = {
  linear: "linear", linear_feedback: "linear + feedback", lookup_table: "LUT", lookup_table_feedback: "LUT + feedback",
  [MIXED]: "mixed plan", original: "original",
};
const DEFAULT_BITS = 4;

// There is one original and one mixed plan, whatever the slider says.
const keyOf = (scheme, bits) => (scheme === "original" || scheme === MIXED ? scheme : `${scheme}-${bits}`);

function depthName(scheme, bits) {
  if (scheme === MIXED) return SCHEME_NAMES[scheme];
  return scheme === "original" ? `${bits}-bit original` : `${bits} bit ${SCHEME_NAMES[scheme]}`;
}

function megabytes(bytes) {
  const size = bytes / 1e6;
  return size >= 100 ? size.toFixed(0) : size >= 10 ? size.toFixed(1) : size >= 0.1 ? size.toFixed(2) : size.toFixed(3);
}

// The size of a file with its unit: in MB, but for those so small that their depths would all have the same.
const fileSize = (bytes) => (bytes < 1e4 ? `${(bytes / 1e3).toFixed(2)} kB` : `${megabytes(bytes)} MB`);

function decibels(value) {
  if (value === null || value === undefined) return "–";
  if (value === Infinity) return "∞ dB";
  if (!Number.isFinite(value)) return "not finite";
  const rounded = Math.round(value * 10) / 10 || 0;
  return `${rounded.toFixed(1).replace("-", "−")} dB`;
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const html = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const ORPHANED = "The kernel that computed this is gone. What is shown stays; to compute and to save, run the cell again.";
const UNREACHED = "The kernel cannot be reached. What is chosen here reaches it once it can be again; until then nothing new comes.";
const LOST_AFTER = 1000;

// A line that says that the kernel is gone, or that the connection to it has been lost for a while.
function kernelLine({ root, model }) {
  const line = html("p", { class: "orphaned", role: "status" });
  const { statusChanged, connectionStatusChanged, disposed } = model.widget_manager?.kernel ?? {};
  let waiting = 0;
  let gone = false;
  const lose = () => {
    gone = true;
    root.classList.add("is-orphaned");
    write(line, ORPHANED);
  };
  const listen = (_, status) => { if (["restarting", "autorestarting", "terminating", "dead"].includes(status)) lose(); };
  const watch = (_, status) => {
    clearTimeout(waiting);
    if (status === "connected" && !gone) write(line);
    else waiting = setTimeout(() => { if (!gone) write(line, UNREACHED); }, LOST_AFTER);
  };
  statusChanged?.connect(listen);
  connectionStatusChanged?.connect(watch);
  disposed?.connect(lose); // by VS Code when the kernel restarts, without a word of its status
  const stop = () => {
    clearTimeout(waiting);
    statusChanged?.disconnect(listen);
    connectionStatusChanged?.disconnect(watch);
    disposed?.disconnect(lose);
  };
  return { line, stop };
}

// Words are written where they differ: the page lays out anew whatever is written, even the same.
function write(node, words = "") {
  if (node.textContent === words) return;
  if (node.firstChild?.nodeType === Node.TEXT_NODE && !node.firstChild.nextSibling) node.firstChild.data = words;
  else node.textContent = words;
}

let serial = 0;
const uniqueId = (prefix) => `mlx-${prefix}-${(serial += 1)}-${Math.random().toString(36).slice(2, 8)}`;

const percents = (value) => (Number.isFinite(value) ? `${value.toFixed(1)} %` : "–");
const shareOf = ({ count, total }) => (100 * count) / total;
const agreementText = (agreement) => `${agreement.count} of ${agreement.total} pictures keep their label (95 % interval ${intervalWords(agreement)})`;
const intervalWords = ({ low, high }) => `${(low * 100).toFixed(0)}–${(high * 100).toFixed(0)} %`;

// Sizes by depth, and qualities by picture and depth, as rows come in. The quality of a classifier that is run on several
// pictures is the share of them that keeps its label, whichever picture is looked at.
class Results {
  constructor() {
    this.sizes = new Map();
    this.qualities = new Map();
    this.agreements = new Map();
    this.original = null;
    this.ratio = "PSNR";
  }

  get counts() {
    return this.agreements.size > 0;
  }

  get metric() {
    return this.counts ? "Top-1 agreement" : this.ratio;
  }

  get unit() {
    return this.counts ? "%" : "dB";
  }

  // A quality in words; of a share, how far it is to be trusted.
  words({ value, agreement }) {
    return agreement ? `${percents(value)} (${intervalWords(agreement)})` : this.number(value);
  }

  number(value) {
    return this.counts ? percents(value) : decibels(value);
  }

  // Sizes need no picture.
  forgetPictures() {
    this.qualities.clear();
    this.agreements.clear();
  }

  receive(row) {
    const key = keyOf(row.scheme, row.bits);
    this.sizes.set(key, row.nbytes);
    if (row.scheme === "original") this.original = row;
    if (row.stage === "size") {
      // another mixed plan takes the place of the one before
      if (row.scheme === MIXED) for (const known of [this.agreements, ...this.qualities.values()]) known.delete(key);
      return;
    }
    this.ratio = row.metric || this.ratio;
    if (row.agreement && row.agreement.total >= (this.agreements.get(key)?.total ?? 0)) this.agreements.set(key, row.agreement);
    if (!this.qualities.has(row.image)) this.qualities.set(row.image, new Map());
    const qualities = this.qualities.get(row.image);
    if (qualities.get(key)?.stage === "full" && row.stage !== "full") return;
    qualities.set(key, { stage: row.stage, value: row.exact ? Infinity : row.quality });
  }

  // A table, or a grid, takes the same bytes whatever stands in it.
  size(scheme, bits) {
    return this.sizes.get(keyOf(scheme, bits)) ?? this.sizes.get(keyOf(plainOf(scheme), bits));
  }

  // Whether there is such a model: those with error feedback take their time, and are made when they are asked for.
  made(scheme, bits) {
    return PLAIN_SCHEMES.includes(scheme) || this.sizes.has(keyOf(scheme, bits));
  }

  // How many pictures a share is to be of, as the original has been run on so many.
  get pictures() {
    return this.agreements.get("original")?.total ?? 0;
  }

  // The quality of a choice on a frontier, as `quality` gives it.
  judged({ quality, agreement }) {
    return this.counts && agreement ? { value: shareOf(agreement), agreement } : { value: quality, agreement: null };
  }

  // The stage is "coarse" as long as a better value is on its way.
  quality(image, scheme, bits) {
    const key = keyOf(scheme, bits);
    if (!this.counts) return this.qualities.get(image)?.get(key);
    const agreement = this.agreements.get(key);
    return agreement && { stage: agreement.total < this.pictures ? "coarse" : "full", value: shareOf(agreement), agreement };
  }
}

// Other pictures take the place of those that were there: what was measured on them goes.
function forgetPictures(data) {
  data.results?.forgetPictures();
  if (data.frontier) data.frontier = [];
  if (data.search) data.search = null;
}

// Views of one group follow each other in the page. Python hears of a choice at once, but of bits once they have rested:
// every message makes the notebook show that the kernel is busy, which would cost more than a move of the slider itself.
const SHARED = ["bits", "scheme", "layer", "image", "teach"];
const CHOICE = "mlexplorer-choice";
const REST = 150;

// A view: `initial` makes its data, `receive` takes a message into them, `mount` draws into `root` and returns the
// function `repaint`, and perhaps `move`: it draws what one watches while the bits move, all else waits until they rest.
// The data outlive a view's element: the same view can be shown twice. `teach` says in a sentence
// or two why one sees what one sees; it stands below the view while that is wanted. `follows` are the traits that it shows.
// `dispose` lets go of what the data hold outside of JavaScript's memory, once the widget is closed.
function defineView(name, { initial, receive, mount, teach, dispose, follows = SHARED }) {
  return () => {
    const data = initial();
    const repaints = new Set();
    const seen = new Set();
    let asked = false;
    let heard = false;
    let rest = 0;
    // Chosen here and not saved yet: Python's echo of an older choice must not undo it.
    let chosen = {};
    const take = (model, changes) => {
      const save = () => {
        clearTimeout(rest);
        chosen = {};
        model.save_changes();
      };
      Object.assign(chosen, changes);
      for (const [trait, value] of Object.entries(changes)) model.set(trait, value);
      clearTimeout(rest);
      if ("bits" in chosen) rest = setTimeout(save, REST);
      else save();
    };
    return {
      initialize({ model }) {
        const tell = Object.fromEntries(follows.map((trait) => [
          `change:${trait}`,
          () => {
            if (trait in chosen && chosen[trait] !== model.get(trait)) model.set(trait, chosen[trait]);
            else if (!heard) document.dispatchEvent(new CustomEvent(CHOICE, { detail: { group: model.get("group"), trait, value: model.get(trait) } }));
          },
        ]));
        const hear = ({ detail: { group, trait, value } }) => {
          if (!group || group !== model.get("group") || !follows.includes(trait) || model.get(trait) === value) return;
          heard = true;
          take(model, { [trait]: value });
          heard = false;
        };
        for (const [event, listener] of Object.entries(tell)) model.on(event, listener);
        document.addEventListener(CHOICE, hear);
        const listen = async (content, buffers) => {
          if (seen.has(content.serial)) return;
          if (content.serial) seen.add(content.serial);
          if (content.type === "forget_pictures") forgetPictures(data);
          await receive(data, content, buffers ?? []);
          for (const repaint of repaints) repaint(content);
        };
        model.on("msg:custom", listen);
        return () => {
          clearTimeout(rest);
          document.removeEventListener(CHOICE, hear);
          for (const [event, listener] of Object.entries(tell)) model.off(event, listener);
          model.off("msg:custom", listen);
          dispose?.(data);
        };
      },
      render({ model, el }) {
        const root = html("div", { class: `mlx mlx-${name}` });
        root.addEventListener("keydown", (event) => event.stopPropagation());
        // Notebook 7 takes keys before they get here, unless the focused element itself, not one around it, says no.
        root.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
        el.classList.add("mlx-widget");
        el.append(root);
        const choose = (changes) => take(model, changes);
        const kernel = kernelLine({ root, model });
        root.append(kernel.line);
        const view = mount({ model, root, data, choose });
        const lesson = html("p", { class: "lesson", hidden: true });
        root.append(lesson);
        const repaint = (content) => {
          view.repaint(content);
          lesson.hidden = !(teach && model.get("teach"));
          if (!lesson.hidden) write(lesson, teach({ model, data }));
        };
        let waiting = 0;
        const change = () => repaint(null);
        const move = () => {
          view.move();
          clearTimeout(waiting);
          waiting = setTimeout(change, REST);
        };
        const changes = Object.fromEntries(follows.map((trait) => [`change:${trait}`, view.move && trait === "bits" ? move : change]));
        for (const [event, listener] of Object.entries(changes)) model.on(event, listener);
        repaints.add(repaint);
        repaint(null);
        if (!asked) {
          asked = true;
          model.send({ type: "ready", seen: [...seen] });
        }
        return () => {
          clearTimeout(waiting);
          for (const [event, listener] of Object.entries(changes)) model.off(event, listener);
          kernel.stop();
          repaints.delete(repaint);
          view.destroy?.();
          root.remove(); // Jupyter's list of comms keeps a closed widget's element
        };
      },
    };
  };
}

// One stop of the Tab key for a group of choices; arrow keys move within it. `step` maps a key to a choice or null.
function arrowKeys(group, step) {
  group.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (step(event.key)) event.preventDefault();
  });
}

// One stop of the Tab key for a row of buttons, the pressed one or the first; arrow keys, Home and End walk along it.
// Returns what is to be called where the buttons have changed.
function oneStop(group, selector = "button") {
  const all = () => [...group.querySelectorAll(selector)].filter((button) => !button.disabled);
  const settle = (wanted = null) => {
    const buttons = all();
    const stop = buttons.includes(wanted) ? wanted : buttons.find((one) => one.getAttribute("aria-pressed") === "true") ?? buttons[0];
    for (const button of buttons) button.tabIndex = button === stop ? 0 : -1;
  };
  group.addEventListener("focusin", (event) => { if (event.target.matches(selector)) settle(event.target); });
  arrowKeys(group, (key) => {
    const buttons = all();
    const at = buttons.indexOf(document.activeElement);
    if (at < 0) return false;
    const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: buttons.length - 1 }[key];
    if (to === undefined) return false;
    buttons[(to + buttons.length) % buttons.length].focus();
    return true;
  });
  settle();
  return () => settle(document.activeElement);
}

// The choice that an arrow key leads to, from a scheme and bits, among `schemes`. A mixed plan has no bits of its own.
function neighbour(key, scheme, bits, schemes = PLAIN_SCHEMES) {
  if (scheme === MIXED) return neighbour(key, "lookup_table", bits) && { scheme: "lookup_table", bits };
  switch (key) {
    case "ArrowLeft":
      return { bits: Math.max(1, bits - 1) };
    case "ArrowRight":
      return { bits: Math.min(8, bits + 1) };
    case "ArrowUp":
      return { scheme: schemes[Math.max(0, schemes.indexOf(scheme) - 1)] };
    case "ArrowDown":
      return { scheme: schemes[Math.min(schemes.length - 1, schemes.indexOf(scheme) + 1)] };
    case "Home":
      return { bits: 1 };
    case "End":
      return { bits: 8 };
    default:
      return null;
  }
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = html("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

// Hands a file to the browser, which puts it where it puts downloads; in VS Code, which saves only what it sees clicked
// in the document, to its dialog.
function giveFile(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = html("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// A button that copies the text which `give` returns, and says so.
function copyButton(give) {
  const button = html("button", {
    type: "button", class: "copy",
    onclick: async () => {
      await copyText(give());
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    },
  }, "Copy");
  return button;
}

// The bytes of a message's buffer, as typed arrays need them: at an offset of their own.
const copyBytes = (view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);

// Calls `resized` with the element's width in CSS pixels, now and whenever it changes.
function watchWidth(element, resized) {
  const observer = new ResizeObserver(([entry]) => resized(entry.contentRect.width));
  observer.observe(element);
  return () => observer.disconnect();
}
