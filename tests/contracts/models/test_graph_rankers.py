"""The models that learn from a graph do what every ranker and every retriever must do."""

from dataclasses import replace

import numpy as np
import pytest
from graph_world import PEOPLE, REQUESTS, people, rows, web
from test_models_ranker import RankerContract
from test_models_retriever import RetrieverContract

from winnow.core.errors import InputError
from winnow.models.base import Run
from winnow.models.graph_ranker import GraphSage
from winnow.models.graph_vectors import GraphVectors


class TestGraphSage(RankerContract):
    """Without a graph: everybody is alone."""

    model = GraphSage(epochs=8, batch_size=128, learning_rate=5e-3, least=5)
    auc = 0.76


class TestGraphVectors(RetrieverContract):
    model = GraphVectors(epochs=20, batch_size=64, embedding_size=16)
    recall = 0.6
    parts = (replace(rows(1), web=web()), rows(2))
    test, catalogue = rows(3), people()

    def test_ties_are_wanted(self, tmp_path):
        with pytest.raises(InputError) as error:
            self.model.fit(rows(1), rows(2), people(), Run(tmp_path))
        assert error.value.code == "no-ties"


def test_the_world_is_as_the_contract_wants_it():
    assert PEOPLE == 60
    assert len(rows(3)) == REQUESTS
    assert np.array_equal(people().rows, np.arange(PEOPLE))
