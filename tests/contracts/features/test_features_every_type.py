"""No feature type is without its contract test."""

import test_features_embedding_contract
import test_features_feature_contract as contract
import test_graph_features_contract
import test_place_features_contract
import test_proposed_features_contract

from winnow.features.declare import Feature


def test_every_feature_type_is_under_contract() -> None:
    assert test_features_embedding_contract.__doc__
    assert test_graph_features_contract.__doc__
    assert test_place_features_contract.__doc__
    assert test_proposed_features_contract.__doc__
    tested = {type(c.feature).__name__ for c in contract.FeatureContract.__subclasses__()}
    ours = {name: kind for name, kind in Feature.known().items() if kind.__module__.startswith("winnow.")}
    bases = {base.__name__ for kind in ours.values() for base in kind.__bases__}
    assert set(ours) - bases <= tested
