"""What people call things: words that stand for one another in the names of files, columns and actions."""

import re
from collections.abc import Iterable

PEOPLE = frozenset({
    "account", "buyer", "client", "customer", "follower", "guest", "listener", "member", "patron", "people", "person",
    "player", "reader", "shopper", "student", "subscriber", "user", "viewer", "visitor", "who",
})  # fmt: skip
TIMES = frozenset({"at", "date", "day", "happened", "moment", "occurred", "time", "timestamp", "ts", "when"})
ACTIONS = frozenset({"action", "activity", "event", "feedback", "interaction", "kind", "type", "verb", "what"})
PERSONAL = frozenset({
    "address", "birth", "birthday", "dob", "email", "gender", "mail", "name", "phone", "sex", "surname",
})  # fmt: skip
_GROUPS = """
author artist brand creator director maker manufacturer publisher seller studio vendor writer
tags categories genre genres keywords labels shelves subjects tag topics
title caption headline label name
text body content description message summary words
kind category class format genre section shelf type
topic category genre section subject theme
duration_s duration length minutes runtime seconds
uploaded_at added at created date launched listed published release released since uploaded
created_at added created date launched listed published release released since
joined_at created joined registered signup since
register_days days tenure
country land nation region
available active instock stock
removed deleted gone
owner host seller
surface channel page place placement screen slot source
position place rank slot
seconds dwell duration listened time watched
group channel club community group
price amount cost fee
"""
_ALIKE = {first: frozenset((first, *rest)) for first, *rest in (line.split() for line in _GROUPS.strip().split("\n"))}
# A word for something done → the events that it may be, the likeliest first.
_DONE = {
    "impression": "impression display exposure listed seen served show shown",
    "click": "click clicked clicks open opened select selected tap tapped visit visited",
    "watch": "finish finished listen listened play played read stream watch watched",
    "like": "bookmark fav favorite favourite heart like liked love loved save saved upvote wishlist",
    "conversion": "borrow borrowed buy bought conversion loan loaned order ordered purchase purchased sale sold",
    "comment": "answer comment commented reply review reviewed",
    "share": "forward recommend share shared",
    "follow": "follow followed subscribe subscribed",
    "hide": "dislike disliked dismiss dismissed hide hidden hide",
    "report": "flag flagged report reported",
    "booking": "attend attended book booked booking join joined register registered rsvp",
}
_NEXT = {
    "conversion": ("conversion", "booking", "like", "save", "click"), "like": ("like", "save"),
    "watch": ("watch", "click"), "booking": ("booking", "rsvp", "join", "conversion", "like"),
}  # fmt: skip


def words(name: str) -> list[str]:
    """The words of a name, in small letters.

    >>> words("createdAt"), words("user_id")
    (['created', 'at'], ['user', 'id'])
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [w for w in re.split(r"[^a-z0-9]+", spaced.lower()) if w]


def singular(word: str) -> str:
    """
    >>> singular("books"), singular("stories"), singular("boxes"), singular("glass")
    ('book', 'story', 'box', 'glass')
    """
    for end, one in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("ss", "ss"), ("s", "")):
        if word.endswith(end):
            return word.removesuffix(end) + one
    return word


def likeness(name: str, wanted: str, owner: str = "") -> int:
    """How much the name of a column says that it is what is wanted: 0 (nothing) to 4 (it is called so).

    Args:
        name: of the column.
        wanted: what the system calls it.
        owner: of what, a word that says nothing by itself: `book_title` among books.
    """
    said = [w for w in words(name) if singular(w) != owner]
    if said == words(wanted) or name == wanted:
        return 4
    known = _ALIKE.get(wanted, frozenset(words(wanted)) - {"at", "s", "id"})
    if len(said) == 1 and said[0] in known:
        return 3
    return 2 if said and said[-1] in known else 1 if set(said) & known else 0


def done(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """The event types that a word for something done may mean, the likeliest first; of those that are known."""
    known = list(known)
    if name in known:
        return (name,)
    for event, said in _DONE.items():
        if set(words(name)) & set(said.split()):
            return tuple(e for e in _NEXT.get(event, (event,)) if e in known)
    if set(words(name)) & {"view", "viewed", "views"}:
        return tuple(e for e in ("click", "watch", "impression") if e in known)
    return ()
