"""The network for streams does what every ranker must do."""

from test_models_ranker import RankerContract

from winnow.models.delayed import StreamDCN


class TestStreamDCN(RankerContract):
    model = StreamDCN(epochs=6, batch_size=128, learning_rate=5e-3, least=5)
    auc = 0.76
