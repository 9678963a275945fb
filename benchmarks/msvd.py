"""Videos found by text on MSVD: 50 videos that have frame features, cross-validated over videos; and its raw clips.

In each of the folds the captions of the fold's videos and the videos themselves are unseen. What is learned: principal
components of frames and of captions, and the projection of `TextVideo`; all choices are made by the loss, or the rank,
of an inner part of the training videos. Each test caption asks twice: among the videos of its fold, none of which was
learned from, and among all 50, most of which were. The captions of the 1,450 other videos have no frames here: they
are used for one thing, to widen the principal components of captions in the rungs called `+ captions`.

Of the raw clips: how long a minute takes by key frames, by evenly spread frames and by decoding everything, which is
what the peer does: PyAV in this process without any limits.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.visual import DATA, where
from numpy.typing import NDArray

from winnow.encoders.minilm import MiniLM
from winnow.encoders.video import Frames
from winnow.encoders.words import HashedWords
from winnow.evaluation.bootstrap import interval
from winnow.evaluation.bootstrap import Resamples
from winnow.features.embedding import Embed
from winnow.data.schema import Table, text, video
from winnow.media.video import VideoDecoder
from winnow.models.base import Run
from winnow.models.text_video import TextVideo

FOLDER = DATA / "msvd"
FOLDS, INNER, FRAMES, WIDTH = 5, 4, 80, 4_096
query = Table("query", key="query_id", columns={"text": text})
clip = Table("clip", key="clip_id", columns={"file": video})
Matrix = NDArray[np.float64]
Rank = NDArray[np.int64]
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
SIZES = (8, 16, 32)
