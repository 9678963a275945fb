"""Importers of public data sets and of any CSV or Parquet file."""

from winnow.data.importers.airbnb import Airbnb
from winnow.data.importers.avazu import Avazu
from winnow.data.importers.base import Importer, Summary, load
from winnow.data.importers.criteo import Criteo
from winnow.data.importers.frappe import Frappe
from winnow.data.importers.kuairand import KuaiRand
from winnow.data.importers.mapping import Mapped
from winnow.data.importers.meetup import Meetup
from winnow.data.importers.movielens import MovieLens
from winnow.data.importers.talks import Talks
from winnow.data.importers.ties import TiesImporter

BY_NAME: dict[str, type[Importer]] = {
    kind.name: kind for kind in (KuaiRand, MovieLens, Avazu, Criteo, Frappe, Meetup, Airbnb, Talks, TiesImporter)
}

__all__ = [
    "BY_NAME",
    "Airbnb",
    "Avazu",
    "Criteo",
    "Frappe",
    "Importer",
    "KuaiRand",
    "Mapped",
    "Meetup",
    "MovieLens",
    "Summary",
    "Talks",
    "TiesImporter",
    "load",
]
