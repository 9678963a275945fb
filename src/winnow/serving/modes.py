"""Modes: lists in order of time, and lists that know nothing of the person's past, for whoever asks for one."""

from dataclasses import replace

from winnow.core.errors import InputError, Problem
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.request import RankRequest


def applied(request: RankRequest, query: Query, kit: Kit) -> Query:
    """The query in the mode that the request asks for.

    Raises:
        InputError: `no-order-of-time`, when the system names no time column to go by.
    """
    chronological = request.mode == "chronological"
    if chronological and kit.system.pipeline.value.newest is None:
        what, fix = f"`{kit.system.name}` has no order of time", "declare Weighted(newest=...), or ask for `ranked`"
        raise InputError(Problem("no-order-of-time", what, "mode", fix=fix))
    return replace(query, chronological=chronological, personal=request.personal)
