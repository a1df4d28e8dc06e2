"""Deployments by the tags that the operator has given them, those that are liked best first."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from llmgate.spec import Deployment, ExchangeView, RoutingContext, RoutingStrategy

__all__ = ["Tags", "TagsConfig"]


def _some(_: object, attribute: attrs.Attribute[Sequence[str]], value: Sequence[str]) -> None:
    if not value or not all(tag.strip() for tag in value):
        raise ValueError(f"{attribute.name}: name at least one tag")


@attrs.frozen
class TagsConfig:
    """The config of ``tags``.

    Args:
        prefer: Tags, the most important first: who carries the first comes before who does not, whatever the others.
    """

    prefer: Sequence[str] = attrs.field(validator=_some)


class Tags(RoutingStrategy[TagsConfig]):
    """Puts first who carries the preferred tags; who carries none of them is a last resort, and still one.

    Those that carry the same ones stay in written order, or in that of the strategy that it is laid over. Where a tag
    must be carried, and failure is better than going elsewhere, ``required-tags`` of the router says so.
    """

    name = "tags"
    config_class = TagsConfig
    wraps = True

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployments by the tags that they lack."""
        del view
        groups: dict[tuple[bool, ...], list[Deployment]] = {}
        for one in deployments:
            groups.setdefault(tuple(tag not in one.tags for tag in self.config.prefer), []).append(one)
        ranked: list[Deployment] = []
        for lacking in sorted(groups):
            ranked += groups[lacking] if context.then is None else context.then(groups[lacking])
        return ranked
