// The fields for a model and for pictures, beside each other.

function mount({ model, root, data }) {
  const fields = Object.keys(FIELDS).map((field) => fieldOf({ model, data, field }));
  root.append(html("div", { class: "fields" }, fields.map(({ element }) => element)));
  return { repaint: () => fields.forEach((field) => field.repaint()) };
}

export default defineView("opening", {
  initial: () => ({ fields: fieldData() }),
  receive: (data, content) => FIELD_RECEIVERS[content.type]?.(data, content),
  mount,
});
