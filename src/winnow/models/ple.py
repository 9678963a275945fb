"""L2: one network for all outcomes, in which every outcome has experts of its own beside the shared ones."""

from dataclasses import dataclass

from winnow.models.multitask import MultiTask


@dataclass(frozen=True)
class PLE(MultiTask):
    """`MultiTask` with experts that only one head reads, and a loss in which rare heads are heard.

    A head takes from the shared experts what helps it and learns in its own what the others would overwrite (one level
    of progressive layered extraction). Heads begin at the log-odds of their rates.

    Args:
        own_experts: of each head; 0 leaves the shared ones.
        balance: how far rare heads are raised: a head of rate p weighs (ln 2 / H(p)) ** balance.
        input_dropout, dropout: less than in `MultiTask`; many heads hold one another back already.

    Source: Tang et al., RecSys 2020.
    """

    own_experts: int = 1
    balance: float = 0.5
    input_dropout: float = 0.2
    dropout: float = 0.35
