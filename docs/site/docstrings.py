"""A griffe extension: the docstrings' reStructuredText roles, formulas and literal blocks as the site's Markdown has them."""

from __future__ import annotations

import re

import griffe
from latex2mathml.converter import convert

ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`(~?)([\w.]+)`")
FORMULA = re.compile(r"^([ ]*)\.\. math::[ ]*(.*(?:\n(?:\1[ ]+\S.*|[ ]*(?=\n\1[ ]+\S)))*)", re.MULTILINE)
INLINE_FORMULA = re.compile(r":math:`([^`]+)`")
LITERAL = re.compile(r"::(?=\n\n[ ]{4,}\S)")


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value, obj)

    def on_package(self, *, pkg: griffe.Module, **kwargs: object) -> None:
        """Called by griffe for the package itself, which is not among the objects."""
        self.on_object(obj=pkg)


def as_markdown(text: str, obj: griffe.Object) -> str:
    """The text of a docstring with links, MathML and code blocks."""
    text = FORMULA.sub(lambda found: f"{found[1]}<p>{mathml(found[2], 'block')}</p>", text)
    text = INLINE_FORMULA.sub(lambda found: mathml(found[1], "inline"), text)
    text = LITERAL.sub(":", text)
    return ROLE.sub(lambda found: reference(found[2], obj, short=bool(found[1])), text)


def mathml(latex: str, display: str) -> str:
    """A formula as MathML, which browsers draw by themselves."""
    return convert(" ".join(latex.split()), display=display)


def reference(name: str, obj: griffe.Object, *, short: bool) -> str:
    """A link to the documentation of ``name``, where the site has it; its name alone elsewhere."""
    try:
        path = name if name.startswith("brule") else obj.resolve(name)
    except griffe.NameResolutionError:
        path = f"{obj.path}.{name}" if obj.is_class else f"{obj.parent.path}.{name}" if obj.parent else name
    shown = name.rpartition(".")[2] if short or name.startswith("brule.") else name
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'
