"""Annotating images: projects, templates, the history of every image, hints, guesses and measures."""

from brule.annotating.marks import GONE, Mark, Marks
from brule.annotating.project import Project
from brule.annotating.records import Conflict, Record
from brule.annotating.settings import Settings
from brule.annotating.template import BUILT_IN, Contour, Template, named_template, read_template

__all__ = [
    "BUILT_IN",
    "GONE",
    "Conflict",
    "Contour",
    "Mark",
    "Marks",
    "Project",
    "Record",
    "Settings",
    "Template",
    "named_template",
    "read_template",
]
