"""A site over a real run that was evaluated."""

from tests.workflows.ui.visited import visited

__all__ = ["visited"]
