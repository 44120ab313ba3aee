// Other pictures to run the model on: a button, and the field that it opens; files may be dropped anywhere on the view.

function picturesPanel({ model, root, data }) {
  const id = uniqueId("pictures");
  const adds = html("input", { type: "checkbox" });
  const field = fieldOf({
    model, data, field: "pictures", options: () => ({ add: adds.checked }), target: root,
    more: [html("label", { class: "adds" }, adds, "Add to those that are there")],
  });
  const button = html("button", { type: "button", class: "change", "aria-controls": id, onclick: () => show(panel.hidden) }, "Pictures …");
  const panel = html("div", { class: "pictures", id, hidden: true }, field.element);

  function show(shown) {
    panel.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
    if (shown) field.input.focus();
  }
  function repaint() {
    button.hidden = !data.fields.recent.has("pictures");
    field.repaint();
  }
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    show(false);
    button.focus();
  });
  root.addEventListener("drop", () => { if (!button.hidden) show(true); });
  button.setAttribute("aria-expanded", "false");
  repaint();
  return { button, panel, repaint };
}
