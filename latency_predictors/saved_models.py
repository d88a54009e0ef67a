"""Latency models from files, whichever kind they are of."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from latency_predictors.analytic.roofline import Roofline
from latency_predictors.latency_model import LatencyModel
from latency_predictors.learned.learned_latency import LearnedLatency
from latency_predictors.table.latency_table import TABLE, LatencyTable
from latency_predictors.table.published import PublishedTable
from latency_predictors.transfer.transferred_latency import TransferredLatency
from search_spaces.errors import InputError
from search_spaces.storage import each_once

KINDS: tuple[type[LatencyModel], ...] = (LatencyTable, LearnedLatency, TransferredLatency, PublishedTable, Roofline)

MODEL = "model.safetensors"


def model_file(path: Path) -> Path:
    """Return the model in an output directory of `nas profile` or `nas fit`, or the file itself."""
    if not path.is_dir():
        return path
    return next((path / name for name in (MODEL, TABLE) if (path / name).exists()), path / TABLE)


def read_latency_model(path: Path) -> LatencyModel:
    """Return the latency model that a file holds, or the one in an output directory.

    Raises:
        InputError: the file is missing or damaged, or holds no latency model.
    """
    path = model_file(path)
    schema = _schema(path)
    kind = next((kind for kind in KINDS if kind.schema == schema), None)
    if kind is None:
        raise InputError(
            f"{path} is no latency model but follows schema {schema!r}: expected {' or '.join(k.schema for k in KINDS)}"
        )
    return kind.load(path)


def _schema(path: Path) -> object:
    """Return what a JSON or safetensors file says that it follows; None if it says nothing.

    Raises:
        InputError: the file is missing, or neither.
    """
    try:
        if path.suffix == Path(MODEL).suffix:
            with safe_open(path, framework="numpy") as file:
                document = json.loads((file.metadata() or {}).get("about", "{}"))
        else:
            document = json.loads(path.read_text(), object_pairs_hook=each_once)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: expected what nas profile or nas fit writes") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise InputError(f"{path} is not a readable latency model ({error}): make it again") from None
    return document.get("schema") if isinstance(document, dict) else None
