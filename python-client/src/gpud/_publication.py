"""What an allocation is to be for others once its bytes are there."""

from __future__ import annotations

from dataclasses import dataclass

from gpud._schema import InvalidArgumentError, Lifetime

MODE_MAX = 0o777


@dataclass(frozen=True, slots=True)
class Publication:
    """Arguments of Mem.publish(), for who writes first."""

    name: str | None
    mode: int | None
    lifetime: Lifetime
    ttl_s: int | None
    seal: bool | None
    replace: bool | None

    def check(self) -> None:
        """Refuses what gpud would refuse, before any bytes are on their way to it."""
        if self.mode is not None and not 0 <= self.mode <= MODE_MAX:
            raise InvalidArgumentError(f"`mode` is {self.mode:#o}, limit {MODE_MAX:#o}")
        if self.ttl_s is not None and self.lifetime != "persistent":
            raise InvalidArgumentError(
                f"`ttl_s` is {self.ttl_s}, but only a persistent allocation has a lease",
                hint='give lifetime="persistent"',
            )
        if self.ttl_s is not None and self.ttl_s < 1:
            raise InvalidArgumentError(f"`ttl_s` is {self.ttl_s}, at least 1")
        if self.replace and self.name is None:
            raise InvalidArgumentError("`replace` is given, but no `name` to take over")

    @property
    def is_empty(self) -> bool:
        """Whether the allocation is as it should be already."""
        return self == NONE


NONE = Publication(name=None, mode=None, lifetime="session", ttl_s=None, seal=None, replace=None)
