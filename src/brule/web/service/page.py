"""The description of the service as a page for people: no script, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ about.info.title }}</title>
<link rel="stylesheet" href="style.css">
<h1>{{ about.info.title }} {{ about.info.version }}</h1>
<p>{{ about.info.description }} The same for programs: <a href="openapi.json">openapi.json</a>.</p>
<pre>curl{{ header }} --data-binary @photo.jpg -H "Content-Type: image/jpeg" {{ base }}predict
curl{{ header }} -F images=@one.jpg -F images=@two.png {{ base }}predict</pre>
{% for path, methods in about.paths.items() %}{% for method, call in methods.items() %}
<h2><code>{{ method | upper }} {{ path }}</code></h2>
<p>{{ call.summary }}{% if call.description %}. {{ call.description }}{% endif %}</p>
{% if call.parameters %}
<table>
<tr><th>option<th>values<th>meaning
{% for one in call.parameters %}
<tr><td><code>?{{ one.name }}=</code><td>{{ values(one.schema) }}<td>{{ one.description }}
{% endfor %}
</table>
{% endif %}
{% if call.requestBody %}
<p>Content-Type: {% for kind in call.requestBody.content %}<code>{{ kind }}</code> {% endfor %}</p>
{% endif %}
<table>
<tr><th>status<th>meaning
{% for code, answer in call.responses.items() %}<tr><td>{{ code }}<td>{{ answer.description }}
{% endfor %}
</table>
{% endfor %}{% endfor %}
<h2>Shapes of the JSON</h2>
{% for name, schema in about.components.schemas.items() %}
<h3 id="{{ name }}">{{ name }}</h3>
<p>{{ schema.description }}</p>
<table>
<tr><th>key<th>type<th>meaning
{% for key, field in schema.properties.items() %}
<tr><td><code>{{ key }}</code><td>{{ values(field) }}<td>{{ field.description }}
{% endfor %}
</table>
{% endfor %}
"""

STYLE = """:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem }
h2 { font-size: 1.2rem; margin-top: 2rem }
h3 { font-size: 1rem; margin-top: 1.5rem }
code, pre { font: 0.9em ui-monospace, monospace }
pre { overflow-x: auto; padding: 0.8rem; background: #8882; border-radius: 6px }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem; border-bottom: 1px solid #8884 }
th { font-weight: 600; font-size: 0.85em }
"""


def described(about: dict[str, Any], base: str) -> str:
    """The page of an OpenAPI description.

    Args:
        about: the description.
        base: the address of the service, with the slash at its end.
    """
    import jinja2

    header = ' -H "Authorization: Bearer $TOKEN"' if "security" in about else ""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_PAGE).render(about=about, base=base, header=header, values=_values)


def _values(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("items") or {"type": f"{len(schema.get('prefixItems', []))} numbers"}
        return f"list of {_values(items)}"
    if "minimum" in schema:
        return f"{schema['minimum']} … {schema['maximum']}"
    return str(schema.get("type", "anything"))
