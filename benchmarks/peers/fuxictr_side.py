"""FuxiCTR's half of `frappe`: its layers, its loader and its loop, in an environment that has nothing of Winnow.

The network is DCN-v2 as FuxiCTR puts it together (full-rank crosses beside a deep network), with the settings that the
BARS benchmark publishes as the best of its search on Frappe. Reads `train.npz`, `validation.npz` and `test.npz` (codes
and `label`, int64) and `settings.json` from a folder; leaves the probabilities of the rows in `fuxictr.npz` and prints
one JSON object.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders import RankDataLoader
from fuxictr.pytorch.layers import CrossNetV2, FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel
from fuxictr.pytorch.torch_utils import seed_everything

PUBLISHED = {
    "embedding_dim": 10, "embedding_regularizer": 0.05, "net_regularizer": 0, "learning_rate": 1e-3, "crosses": 4,
    "hidden": [400, 400, 400], "dropout": 0.4, "batch_norm": True, "epochs": 100,
}  # fmt: skip


class Timed(BaseModel):
    """DCN-v2, parallel; notes the processor seconds of each pass over the training rows, validation left out."""

    def __init__(self, features: FeatureMap, settings: dict, folder: str):
        super().__init__(
            features, model_id="dcn", gpu=-1, monitor="AUC", monitor_mode="max", verbose=0, model_root=folder,
            metrics=["AUC", "logloss"], embedding_regularizer=settings["embedding_regularizer"],
            net_regularizer=settings["net_regularizer"], early_stop_patience=2,
        )  # fmt: skip
        self.embed = FeatureEmbedding(features, settings["embedding_dim"])
        width = features.sum_emb_out_dim()
        self.crosses = CrossNetV2(width, settings["crosses"])
        self.deep = MLP_Block(
            input_dim=width, output_dim=None, hidden_units=settings["hidden"], hidden_activations="relu",
            output_activation=None, dropout_rates=settings["dropout"], batch_norm=settings["batch_norm"],
        )  # fmt: skip
        self.last = torch.nn.Linear(width + settings["hidden"][-1], 1)
        self.compile("adam", "binary_crossentropy", settings["learning_rate"])
        self.reset_parameters()
        self.seconds: list = []

    def forward(self, inputs: dict) -> dict:
        x = self.embed(self.get_inputs(inputs), flatten_emb=True)
        both = torch.cat([self.crosses(x), self.deep(x)], dim=-1)
        return {"y_pred": self.output_activation(self.last(both))}

    def train_epoch(self, data_generator) -> None:
        self.judged = 0.0
        start = time.process_time()
        super().train_epoch(data_generator)
        self.seconds.append(time.process_time() - start - self.judged)

    def eval_step(self) -> None:
        start = time.process_time()
        super().eval_step()
        self.judged += time.process_time() - start


def main(folder: str) -> None:
    """Trains, predicts and prints."""
    place = Path(folder)
    asked = json.loads((place / "settings.json").read_text())
    torch.set_num_threads(asked["threads"])
    seed_everything(asked["seed"])
    settings = PUBLISHED | asked["settings"]
    features = feature_map(place, settings)
    paths = {f"{short}_data": str(place / f"{part}.npz") for short, part in
             (("train", "train"), ("valid", "validation"), ("test", "test"))}  # fmt: skip
    loaders = RankDataLoader(features, stage="both", batch_size=asked["batch_size"], shuffle=True, num_workers=0,
                             data_format="npz", **paths)  # fmt: skip
    net = Timed(features, settings, folder)
    Path(net.model_dir).mkdir(exist_ok=True, parents=True)
    net.fit(loaders[0], epochs=settings["epochs"], validation_data=loaders[1])
    np.savez(place / "fuxictr.npz", validation=net.predict(loaders[1]), test=net.predict(loaders[2]))
    print(json.dumps({"seconds": net.seconds, "settings": settings}))


def feature_map(place: Path, settings: dict) -> FeatureMap:
    """Which columns there are, in FuxiCTR's words."""
    with np.load(place / "train.npz") as stored:
        names = [n for n in stored.files if n != "label"]
    sizes = json.loads((place / "settings.json").read_text())["sizes"]
    told = [{n: {"source": "", "type": "categorical", "padding_idx": 0, "vocab_size": sizes[n]}} for n in names]
    (place / "feature_map.json").write_text(json.dumps({
        "dataset_id": "frappe", "num_fields": len(names), "total_features": sum(sizes.values()), "labels": ["label"],
        "input_length": len(names), "features": told,
    }))  # fmt: skip
    made = FeatureMap("frappe", str(place))
    made.load(str(place / "feature_map.json"), {"embedding_dim": settings["embedding_dim"]})
    return made


main(*sys.argv[1:])
