"""Holds the choices of a run, built once from the command line, and derives its load tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pipelines.base.errors import UserError, unknown
from pipelines.loadtest.settings import LoadSettings, ScenarioName
from pipelines.loadtest.statistics.validity import MIN_ANSWERS

if TYPE_CHECKING:
    from models.spec import ModelSpec

SCENARIOS: tuple[ScenarioName, ...] = ("single-stream", "offline", "server")
SHARES = {"single-stream": 0.25, "offline": 0.25, "server": 0.5}
"""Shares of a row's time: the tail of ``server`` needs the most samples."""
WARMUP_SHARE = 0.2
OFFLINE_CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class Options:
    """The choices of a user. ``jobs`` packaging workers run side by side; load tests never do.

    ``budget_s`` is for measuring: what ``repeat`` rounds leave of it goes to disturbed rows, then to uncertain ones
    (None: a third of the run's time more, for disturbed rows only); ``strict`` makes a disturbed or missing measurement
    a failure of the command. Each row is measured ``repeat`` times, in an order that follows from ``seed`` (None: a new
    order each time). No ``scenarios`` means all of them. Raises UserError for an unknown scenario, and for a curve
    without the ``server`` scenario.
    """

    seconds_per_row: float = 5.0
    rate_per_s: float | None = None
    threads: int = 1
    jobs: int = 2
    atol: float | None = None
    server: str | None = None
    scenarios: tuple[str, ...] = ()
    framework: str | None = None
    rebuild: bool = False
    containers: bool = False
    repeat: int = 1
    seed: int | None = None
    curve: bool = False
    budget_s: float | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        for name in self.scenarios:
            if name not in SCENARIOS:
                raise unknown("scenario", name, SCENARIOS)
        if self.curve and "server" not in self.chosen_scenarios:
            named = ", ".join(self.scenarios)
            raise UserError(
                f"--curve belongs to the server scenario. Received: --scenario {named}. Add --scenario server."
            )

    @property
    def chosen_scenarios(self) -> tuple[ScenarioName, ...]:
        """The scenarios to measure, in order."""
        return cast(tuple[ScenarioName, ...], tuple(name for name in SCENARIOS if name in self.scenarios)) or SCENARIOS


def load_settings(options: Options, spec: ModelSpec) -> list[LoadSettings]:
    """Return the load tests of one row. Raises UserError for values out of range."""
    total = sum(SHARES[name] for name in options.chosen_scenarios)
    settings = []
    for name in options.chosen_scenarios:
        seconds = options.seconds_per_row * SHARES[name] / total
        settings.append(
            LoadSettings(
                scenario=name,
                duration_s=seconds,
                warmup_s=min(1.0, WARMUP_SHARE * seconds),
                rate_per_s=options.rate_per_s or spec.rate_per_s,
                batch=spec.offline_batch if name == "offline" else 1,
                concurrency=OFFLINE_CONCURRENCY,
                least=0 if name == "server" else MIN_ANSWERS,
            )
        )
    return settings
