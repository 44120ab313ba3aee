"""Results as pandas frames, where pandas is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlexplorer.errors import MissingDependencyError


def data_frame(records: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None) -> Any:
    """A pandas DataFrame with a row for each record; raises MissingDependencyError where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise MissingDependencyError("to_pandas needs pandas: pip install pandas") from error
    return pandas.DataFrame(list(records), columns=None if columns is None else list(columns))
