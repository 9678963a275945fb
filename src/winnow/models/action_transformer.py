"""L2 of a feed: what a member did as a sequence, read by candidates that cannot see one another."""

from dataclasses import dataclass

from winnow.models.ple import PLE


@dataclass(frozen=True)
class ActionTransformer(PLE):
    """The heads of `PLE` over a causal transformer of the member's actions.

    A step of the history is an item with its columns (author, tags), the kinds of action taken on it (the other
    sequences that hold it) and the time since the step before. Candidates go through the same layers: each reads the
    history and itself, never another candidate, so its score does not depend on its companions. The history is encoded
    once for all of them. Before the impressions, the layers learn on the histories to guess what was done at each step
    from the steps before it.

    Args:
        layers: of the transformer.
        history_learns: whether the layers go on learning on the impressions, where they are told all that is known of
            a candidate; if not, they are told its item alone, and what they say of each impression is worked out once.

    Source: Vaswani et al., NeurIPS 2017 (transformer); Kang and McAuley, ICDM 2018 (causal over items).
    """

    layers: int = 2
    history_learns: bool = False
    own_experts: int = 1
