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


def test_the_latest_choice_wins(page: Any) -> None:
    seen, *saved = page.evaluate(RACE)
    assert seen == [[1, 1, 4], [2, 2, 4], [2, 2, 4], [8, 8, 4]]
    assert saved == [[1, 2], [1, 2]]


def test_python_hears_at_once_of_what_is_not_dragged(page: Any) -> None:
    assert page.evaluate(AT_ONCE) == [["a", "b"], ["a", "b"], []]
