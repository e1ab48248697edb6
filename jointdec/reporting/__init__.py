"""What people see: terminal, descriptions, figures; and `load_runs`, `load_curves` for those who go on alone."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jointdec.reporting.runs import load_curves, load_runs

__all__ = ["load_curves", "load_runs"]


def __getattr__(name: str) -> object:
    """Load pandas and MLflow only for those who ask: every command passes through this package."""
    if name in __all__:
        from jointdec.reporting import runs

        return getattr(runs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
