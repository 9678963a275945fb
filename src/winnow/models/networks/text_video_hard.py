"""Hard negatives by words: videos of texts in like words, other than a text's own. N texts, W numbers for words."""

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1_024
_MOST = 20_000  # texts that are looked among


def alike(words: NDArray[np.float32], video: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Videos of the texts most alike in their words, by cosine of TF-IDF, each different from the text's own.

    Args:
        words: hashed words of each text, [N, W].
        video: place of each text's video, int64 [N].
        count: videos for each text.

    Returns:
        places of videos, int64 [N, count]; -1 where there are not as many.
    """
    found = np.full((len(words), count), -1, np.int64)
    if not len(words):
        return found
    weighted = words * np.log((1 + len(words)) / (1 + (words != 0).sum(axis=0))).astype(np.float32)
    weighted /= np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-9)
    among = np.sort(np.random.default_rng(0).permutation(len(words))[:_MOST])
    for start in range(0, len(words), _AT_ONCE):
        span = slice(start, start + _AT_ONCE)
        scores = weighted[span] @ weighted[among].T
        scores[video[span][:, None] == video[among]] = -1
        for place in range(count):
            best = scores.argmax(axis=1)
            good = scores[np.arange(len(best)), best] > 0
            chosen = video[among][best]
            found[span, place] = np.where(good, chosen, -1)
            scores[video[among] == chosen[:, None]] = -1
    return found
