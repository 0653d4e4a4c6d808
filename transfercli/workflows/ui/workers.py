"""Workers that the sections of the site share: processes that decode, and the networks that were used last."""

from __future__ import annotations

from functools import cached_property

from transfercli.workflows.ui.input_decoders import InputDecoders
from transfercli.workflows.ui.networks import Networks
from transfercli.workflows.ui.pictures import Pictures


class Workers:
    """Workers of a site, each started when it is first used."""

    @cached_property
    def pictures(self) -> Pictures:
        return Pictures()

    @cached_property
    def networks(self) -> Networks:
        return Networks()

    @cached_property
    def decoders(self) -> InputDecoders:
        return InputDecoders()

    def close(self) -> None:
        """End all threads and processes."""
        for name in ("pictures", "decoders", "networks"):
            if name in self.__dict__:
                getattr(self, name).close()
