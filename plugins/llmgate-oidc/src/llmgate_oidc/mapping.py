"""Who a token's holder is to the gateway, and what it may do: claims into a principal, as the operator's data says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llmgate.spec import Operation, Principal

from .config import RESERVED_KINDS, ClaimRule, IssuerConfig
from .errors import RefusedTokenError
from .values import claim_at, is_cut, texts_at

__all__ = ["principal_of"]

_LONGEST: Final = 512
_MOST_VALUES: Final = 1000
_OPERATIONS: Final = frozenset(operation.value for operation in Operation)


def principal_of(claims: Mapping[str, Any], config: IssuerConfig) -> Principal:
    """The principal behind the claims of a token that is good.

    Raises:
        RefusedTokenError: the claims do not say who it is, or what it may do, or a rule refuses it.
    """
    names, rules = config.claims, _fitting(claims, config)
    scopes = _said(claims, names.scopes)
    if scopes is None:
        scopes = _together(rule.scopes for rule in rules)
    else:
        scopes = tuple(scope for scope in scopes if scope in _OPERATIONS)
    models = _said(claims, names.models)
    denied = (*(_said(claims, names.denied_models) or ()), *_every(rule.denied_models for rule in rules))
    team = next((rule.team for rule in rules if rule.team is not None), None)
    team = team or _name(claims, names.team)
    kind = next((rule.kind for rule in rules if rule.kind is not None), None)
    attributes = {key: value for key, claim in names.attributes.items() if (value := _name(claims, claim)) is not None}
    return Principal(
        id=_id(claims, names.id),
        issuer=config.issuer,
        kind=kind or _kind(claims, names.kind),
        models=_together(rule.models for rule in rules) if models is None else models,
        denied_models=denied,
        scopes=scopes,
        attributes=attributes if team is None else {**attributes, "team": team},
    )


def _fitting(claims: Mapping[str, Any], config: IssuerConfig) -> Sequence[ClaimRule]:
    """The rules that fit; a claim that may lack values fits nothing and denies nothing, so the token is refused."""
    for name in {rule.claim for rule in config.rules}:
        if is_cut(claims, name, config.cut_at):
            raise RefusedTokenError(f"the issuer has cut the claim {name} short, which rules read")
    fitting = [rule for rule in config.rules if not set(rule.values).isdisjoint(texts_at(claims, rule.claim))]
    if any(rule.refuse for rule in fitting):
        raise RefusedTokenError("a rule refuses its holder")
    if config.rules and not fitting and config.unmatched == "refuse":
        raise RefusedTokenError("no rule lets its holder in")
    return fitting


def _together(lists: Iterable[Sequence[str] | None]) -> Sequence[str] | None:
    """What several rules allow together; None, all, where none of them says anything."""
    said = [one for one in lists if one is not None]
    return _every(said) if said else None


def _every(lists: Iterable[Sequence[str]]) -> Sequence[str]:
    return tuple(dict.fromkeys(one for values in lists for one in values))


def _said(claims: Mapping[str, Any], name: str | None) -> Sequence[str] | None:
    """The values of a claim that says what may be done; None where no claim does."""
    if name is None:
        return None
    value = claim_at(claims, name)
    if isinstance(value, list) and not all(isinstance(one, str) for one in value):
        value = None
    if not isinstance(value, str | list) or is_cut(claims, name, None):
        raise RefusedTokenError(f"its claim {name}, which says what its holder may do, is absent")
    found = texts_at(claims, name)
    if len(found) > _MOST_VALUES or any(len(one) > _LONGEST for one in found):
        raise RefusedTokenError(f"its claim {name} is too large")
    return tuple(one for one in found if one)


def _id(claims: Mapping[str, Any], name: str) -> str:
    found = _name(claims, name)
    if not found:
        raise RefusedTokenError(f"its claim {name}, which says who its holder is, is absent")
    return found


def _kind(claims: Mapping[str, Any], name: str | None) -> str:
    found = _name(claims, name) or "user"
    if found in RESERVED_KINDS:
        raise RefusedTokenError("it claims a kind that only the gateway gives")
    return found


def _name(claims: Mapping[str, Any], name: str | None) -> str | None:
    """One text; None where the claim is absent."""
    value = None if name is None else claim_at(claims, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RefusedTokenError(f"its claim {name} is no text")
    text = str(value)
    if len(text) > _LONGEST or not text.isprintable():
        raise RefusedTokenError(f"its claim {name} is no name")
    return text
