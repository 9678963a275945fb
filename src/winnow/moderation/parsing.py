"""Policies from TOML or JSON: every mistake is found at once, with its field and how to mend it."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec

from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.moderation.policy import ACTIONS, HIDING, Exemption, Harm, Policy

_SEE = "see Write a policy in the moderation how-to"
_PATH = re.compile(r"(.*?) - at `\$\.?(.*)`$", re.DOTALL)


def parse_toml(text: str, *, file: str = "") -> Policy:
    """A policy from a TOML document; see `parse`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(Problem("bad-policy", f"it is not TOML: {error}", file, fix=_SEE)) from None
    return parse(data, file=file)


def parse(data: Any, *, file: str = "") -> Policy:
    """A policy from data as TOML or JSON hold it.

    Args:
        data: the document.
        file: its name, for errors.

    Raises:
        InputError: `bad-policy`, `unknown-action`, `unknown-harm`, `no-threshold`, `thresholds-out-of-order`,
            `exception-on-top-harm`, with every mistake found.
    """
    _raise(list(_shape(data)), file)
    policy = msgspec.convert(data, Policy)
    _raise([*_actions(policy), *_rules(policy), *_exceptions(policy)], file)
    return policy


def _raise(problems: list[Problem], file: str) -> None:
    if problems:
        raise InputError(*(replace(p, where=f"{file}: {p.where}" if file else p.where) for p in problems))


def _shape(data: Any) -> Iterator[Problem]:
    """Mistakes of type; harms and exceptions one by one, so that one does not hide the next."""
    if not isinstance(data, Mapping):
        yield Problem("bad-policy", "it is no table of settings", "policy", fix=_SEE)
        return
    found = False
    for name, harm in data["harms"].items() if isinstance(data.get("harms"), Mapping) else ():
        for problem in _converted(harm, Harm, f"harms.{name}"):
            found = True
            yield problem
    exceptions = data.get("exceptions", ())
    for place, one in enumerate(exceptions if isinstance(exceptions, list | tuple) else ()):
        for problem in _converted(one, Exemption, f"exceptions[{place}]"):
            found = True
            yield problem
    if not found:
        yield from _converted(data, Policy, "")


def _converted(data: Any, kind: type, where: str) -> Iterator[Problem]:
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        match = _PATH.match(str(error))
        what, path = match.groups() if match else (str(error), "")
        field = f"{where}.{path}".strip(".") or "policy"
        yield Problem("bad-policy", what, field, fix=_SEE)


def _actions(policy: Policy) -> Iterator[Problem]:
    if sorted(policy.order) != sorted(ACTIONS):
        what, fix = "it does not hold every action once", f"put in order: {', '.join(ACTIONS)}"
        yield Problem("bad-policy", what, "order", fix=fix)
    elif {policy.strength(action) for action in HIDING} != {4, 5, 6}:
        what, why = "an action that hides a post is weaker than one that shows it", "holding must win when in doubt"
        yield Problem("bad-policy", what, "order", why, f"put {', '.join(HIDING)} last, in any order")
    named = {"unseen": policy.unseen, **{f"review[{i}]": action for i, action in enumerate(policy.review)}}
    for name, harm in policy.harms.items():
        named[f"harms.{name}.confirmed"] = harm.confirmed
        named |= {f"harms.{name}.rules[{i}].action": rule.action for i, rule in enumerate(harm.rules)}
    named |= {f"exceptions[{i}].at_most": one.at_most for i, one in enumerate(policy.exceptions)}
    for where, action in named.items():
        if action not in ACTIONS:
            fix = did_you_mean(action, ACTIONS)
            yield Problem("unknown-action", f"there is no action `{action}`", where, fix=fix)


def _rules(policy: Policy) -> Iterator[Problem]:
    for name, harm in policy.harms.items():
        for place, rule in enumerate(harm.rules):
            given = [kind for kind in ("at", "precision", "cost") if getattr(rule, kind) is not None]
            # A resolved policy holds the number beside the wish that it came from.
            if not given or {"precision", "cost"} <= set(given):
                what = f"it says {' and '.join(given) or 'no threshold'}"
                fix = "say one of: at = 0.8, precision = 0.9, cost = { miss = 5, false_alarm = 1 }"
                yield Problem("no-threshold", what, f"harms.{name}.rules[{place}]", fix=fix)
        yield from ordered(policy, name)


def ordered(policy: Policy, name: str) -> Iterator[Problem]:
    """What is wrong with the order of a harm's rules: stronger actions need higher thresholds."""
    if sorted(policy.order) != sorted(ACTIONS) or any(r.action not in ACTIONS for r in policy.harms[name].rules):
        return
    rules = policy.harms[name].rules
    for place, (weak, strong) in enumerate(pairwise(rules)):
        falls = weak.at is not None and strong.at is not None and strong.at < weak.at
        if policy.strength(strong.action) <= policy.strength(weak.action) or falls:
            what = f"`{strong.action}` comes after `{weak.action}`"
            why = "the strongest action whose threshold is reached is taken, so the weaker one would never be"
            fix = "list rules from the weakest action to the strongest, with thresholds that do not fall"
            yield Problem("thresholds-out-of-order", what, f"harms.{name}.rules[{place + 1}]", why, fix)


def _exceptions(policy: Policy) -> Iterator[Problem]:
    for place, one in enumerate(policy.exceptions):
        where = f"exceptions[{place}]"
        if not (one.verified or one.authors or one.languages):
            fix = "say verified, authors or languages"
            yield Problem("bad-policy", "it names no condition and would fit every post", where, fix=fix)
        for harm in one.harms:
            if harm not in policy.harms:
                fix = did_you_mean(harm, policy.harms)
                yield Problem("unknown-harm", f"the policy has no harm `{harm}`", f"{where}.harms", fix=fix)
            elif policy.harms[harm].top:
                why = "nothing may weaken what is done about a harm of the gravest kind"
                what = f"`{harm}` is marked top"
                yield Problem("exception-on-top-harm", what, f"{where}.harms", why, "leave it out of the exception")
