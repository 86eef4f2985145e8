"""The billing staff at its desk: a member's key, and calls of /v1/billing beside a running gateway."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import ClientSession, FormData

from tests.support.commands import Shell
from tests.support.running import Running


def sent(shell: Shell, running: Running, partner: str, to: str) -> str:
    key = shell("partner", "add", partner, "--credit", 1000, "--json", "-c", running.config).json["api_key"]
    words = ("--text", "a secret word", "--key", key, "--url", running.url, "--wait", "20", "--json")
    return str(shell("send", "--to", to, *words).json["id"])


def key_of(shell: Shell, running: Running, name: str, *may: str) -> str:
    scopes = [word for each in may for word in ("--may", each)]
    return str(shell("billing", "staff", "add", name, *scopes, "--as", "chief", "--json", "-c", running.config).json["api_key"])


def get(running: Running, path: str, key: str = "", **query: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def ask() -> tuple[int, dict[str, Any]]:
        async with ClientSession() as http, http.get(f"{running.url}/v1/billing{path}", headers=headers, params=query) as response:
            return response.status, await response.json(content_type=None)

    return asyncio.run(ask())


def page(running: Running, path: str, key: str) -> tuple[int, str, str]:
    """An answer that is no JSON: status, media type and text."""

    async def ask() -> tuple[int, str, str]:
        headers = {"Authorization": f"Bearer {key}"}
        async with ClientSession() as http, http.get(f"{running.url}/v1/billing{path}", headers=headers) as response:
            return response.status, response.content_type, await response.text()

    return asyncio.run(ask())


def post(running: Running, path: str, key: str, **body: object) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"}

    async def ask() -> tuple[int, dict[str, Any]]:
        async with ClientSession() as http, http.post(f"{running.url}/v1/billing{path}", headers=headers, json=body) as response:
            return response.status, await response.json(content_type=None)

    return asyncio.run(ask())


def upload(running: Running, path: str, key: str, file: bytes | None, name: str = "file.csv", **fields: str) -> tuple[int, dict[str, Any]]:
    """Send a form with a file."""
    headers = {"Authorization": f"Bearer {key}"}

    async def ask() -> tuple[int, dict[str, Any]]:
        form = FormData(default_to_multipart=True)
        for field, value in fields.items():
            form.add_field(field, value)
        if file is not None:
            form.add_field("file", file, filename=name)
        async with ClientSession() as http, http.post(f"{running.url}/v1/billing{path}", headers=headers, data=form) as response:
            return response.status, await response.json(content_type=None)

    return asyncio.run(ask())


def done(running: Running, job: dict[str, Any], key: str) -> dict[str, Any]:
    """A job at its end."""
    _, found = get(running, f"/jobs/{job['id']}", key, wait_s="30")
    assert found["state"] != "running", "the job does not end"
    return found
