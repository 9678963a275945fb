"""The ranker that learns from a graph does what every ranker must do, without a graph and with one."""

from test_models_ranker import RankerContract

from winnow.models.graph_ranker import GraphSage


class TestGraphSage(RankerContract):
    model = GraphSage(epochs=8, batch_size=128, learning_rate=5e-3, least=5)
    auc = 0.76
