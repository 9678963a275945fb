"""Winnow: one engine for search, recommendation, ads, feeds and moderation.

Everything a system file needs is here; names load when first used, so `import winnow` is instant.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "core.system": "Frame Ladder Retrain System",
    "core.time": "FOREVER days hours minutes ms seconds",
    "core.errors": "WinnowError",
    "data.schema": "Events Table categories category flag image nights number personal ref text time video",
    "data.alternatives": "Alternatives",
    "data.declare": "Labels",
    "data.ties": "Bond Tie",
    "encoders.words": "HashedWords",
    "encoders.minilm": "MiniLM",
    "encoders.colours": "ColourGrid",
    "encoders.trained": "TrainedPictures",
    "encoders.towers": "Clip DinoV2 SigLip",
    "encoders.video": "Frames",
    "features.alive": "Alive",
    "features.declare": "Feature Key",
    "features.place": "Place Whereabouts",
    "features.proposed": "rank_of score_of",
    "models.formula": "Formula",
    "models.fusion": "CalibratedScores ReciprocalRank",
    "models.boosting": "GradientBoosting",
    "models.dcn": "DCN",
    "models.delayed": "Delay StreamDCN",
    "models.segments": "Segmented",
    "models.multitask": "MultiTask",
    "models.blend": "Blend",
    "models.popularity": "Popularity",
    "models.graph_ranker": "GraphSage",
    "models.graph_vectors": "GraphVectors",
    "models.two_tower": "TwoTower",
    "models.sequence_tower": "SequenceTower",
    "models.sessions": "Sessions",
    "models.attributes": "Attributes",
    "models.skipgram": "SkipGram",
    "models.item_blend": "ItemBlend",
    "models.picture_looks": "Looks",
    "models.same_space": "SameSpace",
    "models.text_video": "TextVideo",
    "models.picture_contrastive": "ContrastivePictures",
    "models.picture_metric": "MetricPictures",
    "models.content_words": "WordList",
    "models.content_ngrams": "NGrams",
    "models.content_fusion": "EarlyFusion",
    "models.content_pictures": "PicturePatterns",
    "models.ftrl": "Ftrl",
    "models.trees_linear": "TreesAndLinear",
    "models.fm": "FM",
    "models.deepfm": "DeepFM",
    "models.behaviour": "BehaviourAttention",
    "models.sampling": "Sampled",
    "models.vocabulary": "Hashing",
    "models.ple": "PLE",
    "models.action_transformer": "ActionTransformer",
    "serving.pipeline": "Pipeline",
    "serving.decisions": "Decisions",
    "serving.value": "Weighted",
    "serving.stored": "Stored",
    "monitoring.checks": "Calibration Drift Skew",
    "experiments.declare": "Experiment",
    "project": "Project",
}
_NAMES = {name: (place, name) for place, names in _PLACES.items() for name in names.split()}
_FEATURES = {
    "features.declare": "column position age missing",
    "features.past": "count sum mean min max rate distinct decayed",
    "features.recent": "since last latest",
    "features.across": "bucket ratio difference cross overlap",
    "features.calendar": "hour weekday until",
    "features.place": "centre distance",
    "features.match": "match deviation",
    "features.company": "company",
    "features.room": "room",
    "features.embedding": "embed similarity",
    "features.ties": "tied tenure mutual",
    "features.closeness": "closeness common degree",
    "features.back": "back",
}
_NAMES |= {name: (place, name.title()) for place, names in _FEATURES.items() for name in names.split()}
_MODULES = {
    "ads": "serving.ads",
    "filters": "serving.filters",
    "graph": "serving.sources_graph",
    "labels": "data.declare",
    "people": "serving.sources_people",
    "places": "serving.sources_place",
    "policy": "serving.rules",
    "slate": "serving.slate",
    "sources": "serving.sources",
    "words": "serving.sources_words",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"winnow.{_MODULES[name]}")
    if name not in _NAMES:
        raise AttributeError(f"winnow has no `{name}`")
    place, attribute = _NAMES[name]
    value = getattr(importlib.import_module(f"winnow.{place}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_NAMES, *_MODULES, "__version__"])
