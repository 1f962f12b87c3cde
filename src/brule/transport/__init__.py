"""Exact optimal transport between sets of landmarks: plans, distances, the affine map they carry, and barycenters."""

from brule.transport.affine import affine_from_plan, translation_to
from brule.transport.barycenter import Barycenter, free_support_barycenter
from brule.transport.coupling import Coupling
from brule.transport.distance import wasserstein1, wasserstein2_squared
from brule.transport.fit import BarycenterFit, fit_barycenter
from brule.transport.grouping import grouped_barycenters
from brule.transport.plan import assignment, transport_plan

__all__ = [
    "Barycenter",
    "BarycenterFit",
    "Coupling",
    "affine_from_plan",
    "assignment",
    "fit_barycenter",
    "free_support_barycenter",
    "grouped_barycenters",
    "translation_to",
    "transport_plan",
    "wasserstein1",
    "wasserstein2_squared",
]
