"""The scenario over the JSON API: shown, replaced and changed for each SMSC and each rule; events and MO on demand."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from simulators import form, smsc_json
from simulators.form import FormError
from simulators.smsc_api import body_of, json_response, object_of
from simulators.smsc_fleet import Fleet
from simulators.smsc_mo import Mo
from simulators.smsc_rule import Rule, parse_rule
from simulators.smsc_scenario import FIXED, SmscForm
from simulators.smsc_script import LONG_FORMS, Event


class ScenarioApi:
    """The handlers. What a change names wrong is answered with 400 and the path of the key; nothing has changed then."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the handlers in their places."""
        add = router.add_route
        add("GET", "/api/scenario", self._show_all)
        add("PUT", "/api/scenario", self._replace_all)
        one = "/api/scenario/{smsc}"
        add("GET", one, self._show)
        add("PUT", one, self._replace)
        add("PATCH", one, self._patch)
        add("GET", f"{one}/rules", self._rules)
        add("POST", f"{one}/rules", self._add_rule)
        rule = one + r"/rules/{place:\d{1,4}}"
        add("GET", rule, self._rule)
        add("PUT", rule, self._replace_rule)
        add("PATCH", rule, self._patch_rule)
        add("DELETE", rule, self._remove_rule)
        add("POST", "/api/events", self._happen)
        add("POST", "/api/mo", self._say)

    def _name(self, request: web.Request) -> str:
        name = request.match_info["smsc"]
        if name not in self._fleet.names:
            raise web.HTTPNotFound(reason=f"there is no {name}; there are {', '.join(self._fleet.names)}")
        return name

    def _change(self, name: str, new: SmscForm) -> web.Response:
        self._fleet.change(name, new)
        return json_response(form.document(self._fleet.form(name)))

    # A whole scenario, one SMSC.

    async def _show_all(self, request: web.Request) -> web.Response:
        return json_response(form.document(self._fleet.scenario()))

    async def _replace_all(self, request: web.Request) -> web.Response:
        self._fleet.change_all(await body_of(request))
        return await self._show_all(request)

    async def _show(self, request: web.Request) -> web.Response:
        return json_response(form.document(self._fleet.form(self._name(request))))

    async def _replace(self, request: web.Request) -> web.Response:
        name = self._name(request)
        return self._change(name, form.read(SmscForm, self._kept(name) | dict(await object_of(request))))

    def _kept(self, name: str) -> dict[str, Any]:
        """What can't change anyway need not be repeated."""
        return {key: value for key, value in form.document(self._fleet.form(name)).items() if key in FIXED}

    async def _patch(self, request: web.Request) -> web.Response:
        name = self._name(request)
        return self._change(name, form.merged(self._fleet.form(name), await object_of(request)))

    # One rule.

    async def _rules(self, request: web.Request) -> web.Response:
        rules = self._fleet.form(self._name(request)).rule
        return json_response([form.document(rule) for rule in rules])

    async def _add_rule(self, request: web.Request) -> web.Response:
        """Put a rule ahead of the others, or at `?at=N`."""
        name = self._name(request)
        rules = list(self._fleet.form(name).rule)
        place = smsc_json.number(request.query, "at", 0, 0, len(rules))
        rules.insert(place, parse_rule(await object_of(request)))
        self._put(name, rules)
        return json_response({"place": place} | form.document(rules[place]), 201)

    async def _rule(self, request: web.Request) -> web.Response:
        rules, place = self._placed(request)
        return json_response(form.document(rules[place]))

    async def _replace_rule(self, request: web.Request) -> web.Response:
        rules, place = self._placed(request)
        rules[place] = parse_rule(await object_of(request))
        return self._put(self._name(request), rules, place)

    async def _patch_rule(self, request: web.Request) -> web.Response:
        rules, place = self._placed(request)
        rules[place] = form.merged(rules[place], await object_of(request))
        return self._put(self._name(request), rules, place)

    async def _remove_rule(self, request: web.Request) -> web.Response:
        rules, place = self._placed(request)
        del rules[place]
        self._put(self._name(request), rules)
        return web.Response(status=204)

    def _placed(self, request: web.Request) -> tuple[list[Rule], int]:
        rules = list(self._fleet.form(self._name(request)).rule)
        place = int(request.match_info["place"])
        if place >= len(rules):
            raise web.HTTPNotFound(reason=f"there are {len(rules)} rules, numbered from 0")
        return rules, place

    def _put(self, name: str, rules: list[Rule], place: int = 0) -> web.Response:
        """Put rules in force without touching the rest: windows of time, events and streams go on."""
        smsc = self._fleet.get(name)
        magic = smsc.rules.rules[len(self._fleet.form(name).rule) :]
        smsc.rules.replace((*rules, *magic))
        smsc.bell.ring()
        return json_response(form.document(rules[place]) if rules else {})

    # Now.

    async def _happen(self, request: web.Request) -> web.Response:
        smsc = self._fleet.get(request.query.get("smsc", ""))
        event = form.read(Event, await object_of(request))
        if event.at_s or event.every_s:
            raise FormError("at_s", "an event posted here happens now and once; put others into the scenario")
        smsc.moments.do(event)
        return json_response(form.document(event) | {"do": event.do}, 202)

    async def _say(self, request: web.Request) -> web.Response:
        smsc = self._fleet.get(request.query.get("smsc", ""))
        return json_response({"pdus": smsc.moments.deliver(mo_of(dict(await object_of(request))))}, 202)


def mo_of(document: dict[str, Any]) -> Mo:
    """A phone's message from JSON: from, to, and text or hex with dcs; parts says how a long one is cut. Raises FormError."""
    known = {"from": "", "to": "", "text": "", "hex": "", "dcs": -1, "parts": "udh8"}
    for name, value in document.items():
        if name not in known or type(value) is not type(known[name]):
            raise FormError(name, f"expected {', '.join(known)}: texts, and dcs a number")
    values: dict[str, Any] = known | document
    for name in ("from", "to"):
        if not 0 < len(values[name]) <= 20:
            raise FormError(name, "an address has 1 to 20 characters")
    if bool(values["text"]) == bool(values["hex"]):
        raise FormError("text", "give a text, or octets as hex")
    if values["parts"] not in LONG_FORMS:
        raise FormError("parts", f"one of {', '.join(LONG_FORMS)}")
    if not -1 <= values["dcs"] <= 255:
        raise FormError("dcs", "0 to 255")
    try:
        octets = bytes.fromhex(values["hex"])
    except ValueError:
        raise FormError("hex", "expected hexadecimal digits") from None
    if octets:
        return Mo(0.0, values["from"], values["to"], None, octets, values["dcs"] if values["dcs"] >= 0 else 4, parts=values["parts"])
    encodings = {-1: "auto", 0: "gsm7", 3: "latin1", 8: "ucs2"}
    if values["dcs"] not in encodings:
        raise FormError("dcs", "a text has dcs 0, 3 or 8; write others as hex")
    return Mo(0.0, values["from"], values["to"], values["text"], encoding=encodings[values["dcs"]], parts=values["parts"])
