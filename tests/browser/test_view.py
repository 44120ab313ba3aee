"""What all views have in common on the page: choices that rest before Python hears of them, groups that follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlexplorer.views.page_code import static

MODELS = """
class Model {
  constructor(traits) { Object.assign(this, { traits, saved: [], listeners: {} }); }
  get(name) { return this.traits[name]; }
  set(name, value) {
    if (this.traits[name] === value) return;
    this.traits[name] = value;
    for (const listener of this.listeners[`change:${name}`] ?? []) listener();
  }
  on(name, listener) { (this.listeners[name] ??= []).push(listener); }
  off() {}
  send() {}
  save_changes() { this.saved.push({ ...this.traits }); }
}
const views = [];
for (const group of ["one", "one", "two"]) {
  const model = new Model({ group, bits: 4, scheme: "linear", layer: "", image: 0, teach: false });
  const mount = ({ choose }) => { views.push({ model, choose }); return { repaint() {} }; };
  const view = defineView("test", { initial: () => ({}), receive() {}, mount })();
  view.initialize({ model });
  view.render({ model, el: document.body });
}
const [first, second, other] = views;
const bits = () => views.map(({ model }) => model.get("bits"));
const rests = (time) => new Promise((resolve) => setTimeout(resolve, time));
"""
RACE = """async () => {
  const seen = [];
  first.choose({ bits: 1 });
  await rests(2 * REST);
  seen.push(bits());
  second.choose({ bits: 2 });
  first.model.set("bits", 1);  // Python's echo of the choice before
  seen.push(bits());
  await rests(2 * REST);
  seen.push(bits());
  first.model.set("bits", 8);  // what Python sets while nothing rests counts
  seen.push(bits());
  return [seen, first.model.saved.map(({ bits }) => bits), second.model.saved.map(({ bits }) => bits)];
}"""
AT_ONCE = """async () => {
  first.choose({ layer: "a" });
  second.choose({ layer: "b" });
  return views.map(({ model }) => model.saved.map(({ layer }) => layer));
}"""


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page()
    page.add_script_tag(content=static("view.js") + MODELS)
    yield page
    page.close()


VERSIONS = """async (loader) => {
  const address = URL.createObjectURL(new Blob([loader], { type: "text/javascript" }));
  const { default: define } = await import(address);
  window.imports = 0;
  const text = (version) => `
    window.imports += 1;
    export default { view: () => ({ initialize() {}, render: ({ el }) => { el.append("${version}"); } }) };`;
  const code = (version) => {
    const traits = { module: text(version), styles: `body { --version: ${version}; }` };
    return { get: (name) => traits[name] };
  };
  const codes = { old: code(1), same: code(1), young: code(2) };
  const widget_manager = { get_model: async (id) => codes[id] };
  const shown = {};
  await Promise.all(Object.keys(codes).flatMap((id) => [id, id]).map(async (id) => {
    const traits = { _code: `IPY_MODEL_${id}`, _name: "view" };
    const model = { widget_manager, get: (name) => traits[name] };
    const widget = define();
    const el = document.createElement("div");
    await widget.initialize({ model });
    widget.render({ model, el });
    (shown[id] ??= []).push(el.textContent);
  }));
  const sheets = [...document.querySelectorAll("style")].map((style) => style.textContent);
  return [shown, window.imports, sheets.length];
}"""


def test_the_views_are_imported_once_for_each_version(page: Any) -> None:
    shown, imports, sheets = page.evaluate(VERSIONS, static("loader.js"))
    assert shown == {"old": ["1", "1"], "same": ["1", "1"], "young": ["2", "2"]}
    assert (imports, sheets) == (2, 1)


def test_the_latest_choice_wins(page: Any) -> None:
    seen, *saved = page.evaluate(RACE)
    assert seen == [[1, 1, 4], [2, 2, 4], [2, 2, 4], [8, 8, 4]]
    assert saved == [[1, 2], [1, 2]]


def test_python_hears_at_once_of_what_is_not_dragged(page: Any) -> None:
    assert page.evaluate(AT_ONCE) == [["a", "b"], ["a", "b"], []]
