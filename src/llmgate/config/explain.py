"""What a configuration comes to, for ``llmgate check --explain``: defaults filled in, secrets by reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from llmgate.catalogue import resolve_base_url
from llmgate.spec import SecretRef

from .durations import written
from .model import (
    BalanceConfig,
    GatewayConfig,
    MemberConfig,
    ProviderConfig,
    RetryConfig,
    StageConfig,
    UnsupportedConfig,
    row_of,
)

__all__ = ["effective", "explain"]


def effective(config: GatewayConfig) -> Mapping[str, Any]:
    """The effective configuration as plain values: providers, chains, strategies; never a secret's value."""
    return {
        "source": config.source,
        "server": {"address": config.server.address, "port": config.server.port},
        "auth": [stage.use for stage in config.auth],
        "secrets": {name: stage.use for name, stage in config.secrets.items()},
        "state": {name: stage.use for name, stage in config.state.items()},
        "providers": {name: _provider(provider) for name, provider in config.providers.items()},
        "routers": {
            name: {
                "balances": {operation: _balance(balance) for operation, balance in router.balances.items()},
                "interceptors": _chain(config.interceptors, router.interceptors),
                "retries": _retries(router.retries or config.retries),
                "unsupported-parameters": _unsupported(config.unsupported.under(router.unsupported)),
                "model-mapping": _mapping(
                    config.model_mapping if router.model_mappings is None else router.model_mappings
                ),
                "providers": {inner: _provider(provider) for inner, provider in router.providers.items()},
            }
            for name, router in config.routers.items()
        },
        "unified-api": {
            "interceptors": _chain(config.interceptors, config.unified_interceptors),
            "retries": _retries(config.unified_retries or config.retries),
            "unsupported-parameters": _unsupported(config.unsupported),
        },
        "loggers": [stage.use for stage in config.loggers],
        "pages": [stage.use for stage in config.pages],
        "timeouts": {key.replace("_", "-"): written(value) for key, value in attrs.asdict(config.timeouts).items()},
        "log-level": config.log_level,
        "warnings": list(config.warnings),
    }


def explain(config: GatewayConfig) -> str:
    """The effective configuration as text, one fact a line."""
    found = effective(config)
    server = found["server"]
    lines = [
        f"read from {found['source']}",
        f"listens on {server['address']}:{server['port']}",
        f"authentication: {', then '.join(found['auth']) or 'none'}",
        f"secrets: {_named(found['secrets'])}",
        f"state: {_named(found['state'])}",
        "providers:",
        *(_provider_line("  ", name, provider) for name, provider in found["providers"].items()),
    ]
    for name, router in found["routers"].items():
        lines.append(f"router {name}:")
        for operation, balance in router["balances"].items():
            lines.append(f"  {operation}: {balance['strategy']} over {', '.join(balance['members'])}")
        lines.append(f"  interceptors: {_arrow(router['interceptors'])}")
        lines.append(f"  retries: {router['retries']}")
        lines.append(f"  unsupported parameters: {_policies(router['unsupported-parameters'])}")
        lines.append(f"  model mapping: {router['model-mapping']}")
        lines.extend(_provider_line("  its own ", inner, provider) for inner, provider in router["providers"].items())
    unified = found["unified-api"]
    lines += [
        "unified API:",
        f"  interceptors: {_arrow(unified['interceptors'])}",
        f"  retries: {unified['retries']}",
        f"  unsupported parameters: {_policies(unified['unsupported-parameters'])}",
        f"loggers: {', '.join(found['loggers']) or 'none'}",
        f"pages: {', '.join(found['pages']) or 'none'}",
        "timeouts: " + ", ".join(f"{key} {value}" for key, value in found["timeouts"].items()),
        f"log level: {found['log-level']}",
        *(f"warning: {warning}" for warning in found["warnings"]),
    ]
    return "\n".join(lines) + "\n"


def _provider(provider: ProviderConfig) -> Mapping[str, Any]:
    row = row_of(provider)
    try:
        address = resolve_base_url(row, provider.base_url, provider.version_path)
    except ValueError:
        address = "its adapter's own address"  # an adapter with a transport of its own, told no address
    return {
        "adapter": provider.adapter.use,
        "row": row.name if row is not None else None,
        "address": address,
        "secret": ", ".join(str(one) for one in _references(provider)) or None,
        "models": list(provider.models),
        "headers": sorted(provider.headers),
    }


def _references(provider: ProviderConfig) -> Sequence[SecretRef]:
    """Where its keys are kept."""
    return [key.secret for key in provider.keys] or ([] if provider.secret is None else [provider.secret])


def _provider_line(indent: str, name: str, provider: Mapping[str, Any]) -> str:
    key = f"key {provider['secret']}" if provider["secret"] else "without a key"
    models = f", models {', '.join(provider['models'])}" if provider["models"] else ""
    return f"{indent}{name}: {provider['address']}, {key}, adapter {provider['adapter']}{models}"


def _balance(balance: BalanceConfig) -> Mapping[str, Any]:
    weighs = len({member.weight for member in balance.members}) > 1 or balance.strategy.use == "weighted"
    return {
        "strategy": " over ".join(one.use for one in (balance.strategy, *balance.over))
        + (" by model" if balance.by_model else ""),
        "members": [_member(member, weighs=weighs) for member in balance.members],
    }


def _member(member: MemberConfig, *, weighs: bool) -> str:
    name = f"{member.provider}/{member.model}" if member.model is not None else member.provider
    return f"{name} ({member.weight:g})" if weighs else name


def _chain(*scopes: Sequence[StageConfig]) -> list[str]:
    return [f"{stage.use} ({stage.id})" for scope in scopes for stage in scope]


def _retries(retries: RetryConfig | None) -> str:
    if retries is None or retries.max_retries == 0:
        return "none"
    wait = f"after {written(retries.min_delay)}"
    if retries.factor != 1:
        wait += f", growing {retries.factor:g}-fold up to {written(retries.max_delay)}"
    return f"{retries.max_retries}, {wait}"


def _mapping(mapping: Mapping[str, Sequence[str]] | None) -> str:
    if mapping is None:
        return "the catalogue's"
    return f"{len(mapping)} of its own" if mapping else "none"


def _unsupported(unsupported: UnsupportedConfig) -> Mapping[str, Any]:
    return {"policy": unsupported.of(), "parameters": dict(unsupported.parameters)}


def _policies(unsupported: Mapping[str, Any]) -> str:
    return ", ".join(
        [unsupported["policy"], *(f"{name} {policy}" for name, policy in unsupported["parameters"].items())]
    )


def _named(stages: Mapping[str, str]) -> str:
    return ", ".join(name if name == use else f"{name} ({use})" for name, use in stages.items()) or "none"


def _arrow(chain: Sequence[str]) -> str:
    return " > ".join(chain) or "none"
