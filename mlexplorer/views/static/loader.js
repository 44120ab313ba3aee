// The module of every view's widget, of which the page keeps a copy for each: see page_code.py.

const IMPORTED = Symbol.for("mlexplorer.modules");
const REFERENCE = "IPY_MODEL_";

function imported(text) {
  const modules = (globalThis[IMPORTED] ??= new Map());
  if (!modules.has(text)) {
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    modules.set(text, import(address).finally(() => URL.revokeObjectURL(address)));
  }
  return modules.get(text);
}

function applyStyles(text) {
  const id = "mlexplorer-styles";
  const element = document.getElementById(id) ?? document.head.appendChild(Object.assign(document.createElement("style"), { id }));
  if (element.textContent !== text) element.textContent = text;
}

export default () => {
  let view = null;
  return {
    async initialize(context) {
      const { model } = context;
      const code = await model.widget_manager.get_model(model.get("_code").slice(REFERENCE.length));
      applyStyles(code.get("styles"));
      const { default: views } = await imported(code.get("module"));
      view = views[model.get("_name")]();
      return view.initialize(context);
    },
    render: (context) => view.render(context),
  };
};
