// The filmstrip of every bit depth of every scheme, and the row of pictures to choose one of.

// The values of an array as a line within a box.
function valueLine(values, width, height, low, high, className) {
  const x = (index) => (values.length > 1 ? (index / (values.length - 1)) * width : width / 2);
  const y = (value) => height - 2 - ((value - low) / (high - low || 1)) * (height - 4);
  let path = "";
  let pen = "M";
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) pen = "M";
    else {
      path += `${pen}${x(index).toFixed(1)},${y(value).toFixed(1)}`;
      pen = "L";
    }
  });
  return svg("path", { d: path, class: className, "vector-effect": "non-scaling-stroke" });
}

// The smallest and the largest finite value; arrays may be long, so no spreading.
function extent(...arrays) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of arrays) {
    for (const value of values ?? []) {
      if (value < low && value > -Infinity) low = value;
      if (value > high && value < Infinity) high = value;
    }
  }
  return low <= high ? [low, high] : [0, 1];
}

// How far a depth is that has no output because nobody asked for it yet, in words.
const standing = ({ layer, layers }) => (layers ? `layer ${layer} of ${layers}` : "not computed");

function emptyFrame({ layer, layers }) {
  const done = layers ? (100 * (layer - 1)) / layers : 0;
  if (layers) return html("span", { class: "missing busy", style: `--mlx-done:${done.toFixed(1)}%` }, `${layer}/${layers}`);
  return html("span", { class: "missing" }, html("span", { class: "wide" }, "not computed"), html("span", { class: "narrow" }, "–"));
}

// What a cell shows. Pictures are images and not canvases, each of which would be a layer to compose.
const FRAMES = {
  picture: (output) => html("img", { src: output.address, alt: "", draggable: "false" }),
  classes: (output, reference) => {
    const [label] = best(output) ?? [""];
    if (!reference || reference === output) return html("span", { class: "face" }, label);
    const changed = label !== best(reference)?.[0];
    return html("span", { class: `face ${changed ? "changed" : "agrees"}` }, changed ? "✗" : "✓");
  },
  array: (output) => {
    if (isPlanes(output)) return html("img", { src: planePicture(output), alt: "", draggable: "false", class: "plane" });
    const step = Math.ceil(output.values.length / 240);
    const values = output.values.filter((_, index) => index % step === 0);
    return svg("svg", { viewBox: "0 0 60 22", preserveAspectRatio: "none" }, valueLine(values, 60, 22, ...extent(values), "line"));
  },
  table: (output) => html("span", { class: "face" }, output.entries.length ? shortNumber(output.entries[0][1]) : "empty"),
};

// Under a cell: how often the label stays the same over several pictures, else the quality of the output.
function cellWords(row, output) {
  const { agreement } = row;
  if (output.shows === "classes" && agreement) {
    const { count, total } = agreement;
    return { short: total < 100 ? `${count}/${total}` : percents(shareOf(agreement)), long: `Top-1 agreement ${count} of ${total}` };
  }
  if (!output.metric) return { short: "", long: "" };
  const words = decibels(output.exact ? Infinity : output.quality);
  return { short: words.replace(" dB", ""), long: `${output.metric} ${words}` };
}

function filmstrip(choose, original) {
  const cells = new Map();
  const makeCell = (scheme, bits) => {
    const frame = html("span", { class: "frame" });
    const caption = html("span", { class: "quality figure" });
    const isOriginal = scheme === "original";
    const element = html(
      isOriginal ? "button" : "div",
      {
        class: `cell ${scheme}`, type: isOriginal ? "button" : null, role: isOriginal ? null : "radio", tabindex: isOriginal ? "0" : "-1",
        onclick: isOriginal ? original : () => choose({ scheme, bits }),
      },
      frame, caption,
    );
    cells.set(keyOf(scheme, bits), { element, frame, caption, scheme, bits, drawn: undefined, words: null });
    return element;
  };
  const first = html("div", { class: "first" }, html("span", { class: "head" }, "original"), makeCell("original", 0));
  const heads = html("div", { class: "heads", "aria-hidden": "true" }, BITS.map((bits) => html("span", {}, bits === 1 ? "1 bit" : String(bits))));
  const strips = new Map(SCHEMES.map((scheme) => {
    const strip = html("div", { class: `strip ${scheme}`, role: "presentation", hidden: hasFeedback(scheme) }, BITS.map((bits) => makeCell(scheme, bits)));
    const name = html("span", { class: scheme, hidden: hasFeedback(scheme) }, hasFeedback(scheme) ? "+ feedback" : SCHEME_NAMES[scheme]);
    return [scheme, { strip, name }];
  }));
  const parts = (part) => [...strips.values()].map((one) => one[part]);
  const group = html("div", { class: "depths", role: "radiogroup", "aria-label": "Output at every bit depth" }, parts("strip"));
  const names = html("div", { class: "names", "aria-hidden": "true" }, parts("name"));
  const invitation = html("button", { type: "button", class: "invitation", hidden: true, onclick: () => choose({ scheme: offered }) });
  let offered = null;
  const element = html("div", { class: "film" }, first, names, html("div", { class: "sheet" }, heads, group), invitation);
  const shown = () => SCHEMES.filter((scheme) => !strips.get(scheme).strip.hidden);

  // Strips with error feedback come when they are asked for, and stay.
  function unfold(scheme, find, ready) {
    for (const [name, { strip, name: label }] of strips) {
      if (strip.hidden && (name === scheme || BITS.some((bits) => find(keyOf(name, bits))))) strip.hidden = label.hidden = false;
    }
    const plain = scheme === MIXED ? "lookup_table" : plainOf(scheme);
    offered = withFeedback(plain);
    invitation.hidden = !ready || !strips.get(offered).strip.hidden;
    write(invitation, `Error feedback for ${SCHEME_NAMES[plain]}: better at the same size`);
  }

  function fillCell(cell, row, output, reference, waiting) {
    write(cell.caption, cell.scheme !== "original" ? cell.words.short : cell.words.long.startsWith("Top-1") ? "Top-1" : output?.metric ?? "");
    cell.element.classList.toggle("coarse", row?.stage === "coarse");
    const said = waiting ? standing(waiting) : cell.scheme === "original" ? "" : cell.words.long.replace(/^(PSNR|SNR) /, "");
    cell.element.setAttribute("aria-label", `${depthName(cell.scheme, row?.bits ?? cell.bits)}${said && `, ${said}`}`);
    const label = output?.shows === "classes" ? best(output)?.[0] : "";
    cell.element.title = waiting ? `It is computed as soon as ${SCHEME_NAMES[cell.scheme]} is chosen` : [label, cell.words.long].filter(Boolean).join(", ");
    cell.frame.replaceChildren(...(waiting ? [emptyFrame(waiting)] : output ? [FRAMES[output.shows](output, reference)] : []));
    if (cell.scheme === "original" && output?.shows === "picture") element.style.setProperty("--mlx-ratio", `${output.width} / ${output.height}`);
  }

  // `find` gives the row and the output of a key, `waitingFor` what is to be said where there is none.
  function show({ scheme, bits, shows, find, waitingFor, pressed }) {
    element.dataset.shows = shows ?? "";
    const reference = find("original")?.output;
    unfold(scheme, find, Boolean(reference));
    for (const [key, cell] of cells) {
      const { row, output } = find(key) ?? {};
      const waiting = waitingFor(cell.scheme, cell.bits);
      const on = cell.scheme === scheme && cell.bits === bits;
      if (cell.scheme === "original") cell.element.setAttribute("aria-pressed", String(pressed));
      else if (cell.element.getAttribute("aria-checked") !== String(on)) {
        cell.element.setAttribute("aria-checked", String(on));
        cell.element.tabIndex = on ? 0 : -1;
      }
      const words = output ? cellWords(row, output) : { short: "", long: "" };
      const drawn = output ?? waiting ?? undefined;
      if (cell.drawn === drawn && cell.reference === reference && cell.words?.short === words.short) continue;
      Object.assign(cell, { drawn, reference, words });
      fillCell(cell, row, output, reference, waiting);
    }
  }
  return { element, group, show, schemes: shown, focus: (key) => cells.get(key).element.focus() };
}

function inputPicker(choose) {
  const group = html("div", { class: "inputs", role: "radiogroup", "aria-label": "Picture to run the model on", hidden: true });
  let buttons = [];
  const show = (inputs) => {
    buttons = inputs.names.map((name, image) => html(
      "div", { class: "input", role: "radio", title: name, "aria-label": name, onclick: () => choose({ image }) },
      html("img", { src: inputs.addresses[image], alt: "", draggable: "false" }),
    ));
    group.replaceChildren(...buttons);
  };
  const mark = (image, hidden) => {
    group.hidden = hidden || buttons.length < 2;
    buttons.forEach((button, index) => {
      button.setAttribute("aria-checked", String(index === image));
      button.tabIndex = index === image ? 0 : -1;
    });
  };
  arrowKeys(group, (key) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[key];
    const next = step && buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return false;
    next.click();
    next.focus();
    return true;
  });
  return { element: group, show, mark };
}
