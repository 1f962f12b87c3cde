"""Which settings have no effect, because what they belong to is switched off."""

from __future__ import annotations

from brule.training.config import TrainingConfig, setting
from brule.training.terms import ENCODER_TERMS

# What a term of the loss is computed from → the settings that provide it.
PROVIDERS: dict[str, tuple[str, ...]] = {
    "decoder": ("gan.enabled",),
    "fakes": ("gan.enabled",),
    "discriminator": ("gan.enabled", "gan.adversarial"),
}

# A setting, or a section of them → the settings that must all be switched on for it to have an effect.
NEEDS: dict[str, tuple[str, ...]] = {
    "decoder": ("gan.enabled",),
    "gan": ("gan.enabled",),
    "gan.penalty": ("gan.enabled", "gan.adversarial"),
    "gan.penalty_every": ("gan.enabled", "gan.adversarial", "gan.penalty"),
    "gan.discriminator_rate": ("gan.enabled", "gan.adversarial"),
    "gan.warped_style": ("gan.enabled", "gan.style"),
    "loss.judged": ("gan.enabled", "gan.adversarial", "loss.adversarial"),
    "loss.condition_gradient": ("gan.enabled", "gan.adversarial", "loss.adversarial"),
    "loss.translation": ("loss.barycenter",),
    "loss.affine": ("loss.barycenter",),
    "loss.warp": ("loss.barycenter",),
    "loss.barycenter_points": ("loss.barycenter",),
    "loss.barycenter_view": ("loss.barycenter",),
    "loss.barycenters": ("loss.barycenter",),
    "loss.coordinates": ("loss.geometric",),
    "loss.detach_target": ("loss.geometric",),
    "teacher": ("teacher.enabled",),
    **{term.weight: tuple(switch for need in term.needs for switch in PROVIDERS.get(need, ())) for term in ENCODER_TERMS},
}


def switched_off(key: str, config: TrainingConfig) -> str | None:
    """The setting that keeps another from having any effect.

    Args:
        key: the dotted key of a setting.
        config: the settings.

    Returns:
        The dotted key of the first switch that is off; ``None`` if all are on.
    """
    needed = NEEDS.get(key, NEEDS.get(key.partition(".")[0], ()))
    return next((switch for switch in needed if switch != key and not setting(config, switch)), None)
