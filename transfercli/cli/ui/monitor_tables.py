"""Tables of `monitor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transfercli.cli.ui.tables import print_pairs, print_table, print_text
from transfercli.text import counted, decimal, in_groups

if TYPE_CHECKING:
    from transfercli.evaluation.monitoring.expected_accuracy import ExpectedValue
    from transfercli.workflows.monitor.result import MonitorResult

COLUMNS = ("expected", "value", "from", "to", "held-out", "drop")
SHOWN_CLASSES = 5  # with the largest expected fall


def show_monitor(result: MonitorResult) -> None:
    """Print what is expected, the single estimates, the drift and the gates."""
    from transfercli.workflows.monitor.recent_answers import described
    from transfercli.workflows.monitor.result import BLIND_SPOT, ESTIMATES

    drift, expectation = result.drift, result.expectation
    print_pairs(
        [
            ("run", result.run),
            ("images", described(result.recent) + in_groups(drift.groups if drift else None)),
            ("compared with", f"{counted(result.held_out.images, 'held-out image')}: {result.held_out.splits}"),
            ("drifted", ("yes" if drift.drifted else "no") + f", score {drift.score:.4f}" if drift else None),
            (
                "unlike held-out images",
                f"{expectation.unlike:.1%}, 5% expected" if expectation.unlike is not None else None,
            ),
            ("to be trusted", "yes" if result.trusted else "NO: " + "; ".join(result.reasons)),
            ("report", result.report),
        ]
    )
    values = result.named_values()
    print()
    print_table(
        COLUMNS,
        [_row(name, value) for name, value in values.items() if "[" not in name],
    )
    of_classes = [(name, value) for name, value in values.items() if "[" in name and value.value is not None]
    fallen = sorted(of_classes, key=lambda pair: -(pair[1].drop or 0.0))
    if fallen and len(fallen) > SHOWN_CLASSES:
        print(f"\nthe {SHOWN_CLASSES} largest drops of {len(fallen)} classes; --json lists all")
    if fallen:
        print_table(COLUMNS, [_row(*pair) for pair in fallen[:SHOWN_CLASSES]])
    print()
    print_table(
        ("accuracy by", "value"),
        [(ESTIMATES[name], decimal(value)) for name, value in expectation.estimates.items()],
    )
    for gate in result.gates:
        outcome = "met" if gate["passed"] else "NOT MET"
        print_text(f"\ngate {gate['metric']} {gate['op']} {gate['bound']:g}: {outcome}")
    print_text(f"\nnote: {BLIND_SPOT}")


def _row(name: str, value: ExpectedValue) -> tuple[str, ...]:
    low, high = value.interval or (None, None)
    return (name, *(decimal(each) for each in (value.value, low, high, value.reference, value.drop)))
