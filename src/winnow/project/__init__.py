"""A project: one folder that holds settings, systems and everything they collect, train and serve."""

from winnow.project.finding import find_system
from winnow.project.project import Project

__all__ = ["Project", "find_system"]
