"""Inspection of networks: tables, drawings, values, and what may keep them from learning.

Its modules are imported when one of their names is first used: most programs use none.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerkit.inspection.doctor.diagnose import diagnose

__all__ = ["diagnose"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name != "diagnose":
            raise AttributeError(f"module 'layerkit.inspection' has no attribute {name!r}")
        from layerkit.inspection.doctor.diagnose import diagnose

        return diagnose
