"""Views in a kernel that handles messages in several threads, which come and go: ipykernel's subshells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

VIEW = """
from mlexplorer.views.controls import Controls
heard = []
view = Controls(on_cancel=lambda: heard.append("cancel"))
"""
_SECONDS = 60


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of a kernel of its own; skips where the kernel has no subshells."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        if "kernel subshells" not in client.kernel_info(reply=True, timeout=_SECONDS)["content"]["supported_features"]:
            pytest.skip("this ipykernel has no subshells")
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def asked(client: Any, kind: str, content: dict[str, Any], channel: str = "shell", subshell: str | None = None) -> Any:
    """Send a message and wait for its reply."""
    message = client.session.msg(kind, content)
    message["header"]["subshell_id"] = subshell
    getattr(client, f"{channel}_channel").send(message)
    while True:
        reply = getattr(client, f"get_{channel}_msg")(timeout=_SECONDS)
        if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
            assert reply["content"]["status"] == "ok", reply["content"]
            return reply["content"]


def value(client: Any, expression: str, code: str = "", subshell: str | None = None) -> str:
    """Run code and return the text of an expression afterwards."""
    content = {"code": code, "silent": False, "user_expressions": {"value": expression}}
    found = asked(client, "execute_request", content, subshell=subshell)
    return str(found["user_expressions"]["value"]["data"]["text/plain"])


def test_the_page_is_heard_after_the_part_of_the_kernel_that_told_it_something_is_gone(client: Any) -> None:
    comm = value(client, "view.model_id", VIEW).strip("'")
    subshell = asked(client, "create_subshell_request", {}, "control")["subshell_id"]
    value(client, "1", "view.say('told from here')", subshell)
    asked(client, "delete_subshell_request", {"subshell_id": subshell}, "control")
    data = {"method": "custom", "content": {"type": "cancel"}}
    client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": comm, "data": data}))
    deadline = time.monotonic() + 5
    while (heard := value(client, "heard")) == "[]" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert heard == "['cancel']"
