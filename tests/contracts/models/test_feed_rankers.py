"""The rankers of a feed keep the contract of every ranker."""

from test_models_ranker import RankerContract

from winnow.models.action_transformer import ActionTransformer
from winnow.models.ple import PLE

SMALL = {"batch_size": 128, "learning_rate": 5e-3, "experts": 2, "hidden": 16, "least": 5}


class TestPLE(RankerContract):
    model = PLE(epochs=5, history_epochs=2, **SMALL)
    auc = 0.76


class TestActionTransformer(RankerContract):
    model = ActionTransformer(epochs=5, history_epochs=2, history_size=16, attention_heads=2, **SMALL)
    auc = 0.76


class TestActionTransformerThatGoesOnLearningTheHistory(RankerContract):
    model = ActionTransformer(
        epochs=5, history_epochs=2, history_size=16, attention_heads=2, layers=1, history_learns=True, **SMALL
    )
    auc = 0.76
