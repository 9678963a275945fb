"""The models of click prediction keep every promise of a ranker."""

from test_models_ranker import RankerContract

from winnow.models.behaviour import BehaviourAttention
from winnow.models.boosting import GradientBoosting
from winnow.models.dcn import DCN
from winnow.models.deepfm import DeepFM
from winnow.models.fm import FM
from winnow.models.ftrl import Ftrl
from winnow.models.sampling import Sampled
from winnow.models.trees_linear import TreesAndLinear
from winnow.models.vocabulary import Hashing


class TestFtrl(RankerContract):
    model = Ftrl(bits=16, learning_rate=0.3, epochs=2, batch_size=32)
    auc = 0.74


class TestFM(RankerContract):
    model = FM(epochs=8, batch_size=128, learning_rate=1e-2, least=5)
    auc = 0.76


class TestDeepFM(RankerContract):
    model = DeepFM(epochs=6, batch_size=128, learning_rate=5e-3, hashed=Hashing(6), norm=True)
    auc = 0.76


class TestMixedDCN(RankerContract):
    model = DCN(
        epochs=6, batch_size=128, learning_rate=5e-3, embedding_rate=0.1, rank=8, experts=3, hashed=Hashing(6, 3)
    )
    auc = 0.76


class TestBehaviourAttention(RankerContract):
    model = BehaviourAttention(epochs=6, batch_size=128, learning_rate=5e-3, least=5)
    auc = 0.76


class TestSampled(RankerContract):
    model = Sampled(GradientBoosting(epochs=200, learning_rate=0.1, least=10), negatives=0.5)
    auc = 0.76


class TestTreesAndLinear(RankerContract):
    trees = GradientBoosting(epochs=60, learning_rate=0.1, leaves=8, least=10)
    model = TreesAndLinear(trees, Ftrl(crosses=(), bits=14, epochs=2, batch_size=32))
    auc = 0.76
