"""An ONNX graph that runs on a fixed number of threads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import Floats


@dataclass(frozen=True)
class Session:
    """A loaded graph.

    Args:
        graph: the onnxruntime session.
        names: its inputs; arrays of other names are left out.
    """

    graph: Any
    names: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, *, threads: int) -> Self:
        """Load a graph; raises what onnxruntime raises."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # a worker waits for requests most of the time: spinning threads would take the cores of others
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        return cls(graph, tuple(i.name for i in graph.get_inputs()))

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Floats:
        """The first output."""
        out = self.graph.run(None, {name: np.ascontiguousarray(feeds[name]) for name in self.names})[0]
        return np.asarray(out, np.float32)
