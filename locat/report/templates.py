"""How a report looks, for Jinja; `locat.report.render` fills it in."""

MARKDOWN = """\
# {{ title }}

{{ how_to_read }}
{% for table in tables %}
{% set signed = table.key.endswith("-gains") %}

## {{ table.title }}

| model |{% for column in table.columns %} {{ column.label }} |{% if table.has_published %} paper | Δ |{% endif %}\
{% endfor %} seeds |
|---|{% for column in table.columns %}---|{% if table.has_published %}---|---|{% endif %}{% endfor %}---|
{% for line in table.lines %}
| {{ line.name }} |{% for cell in line.cells %} {{ number(cell, signed) }} |\
{% if table.has_published %} {{ points(cell.published, signed) }} | {{ points(cell.difference) }} |{% endif %}\
{% endfor %} {{ line.seeds or missing }} |
{% endfor %}
{% for note in table.notes %}

- {{ note }}
{% endfor %}
{% if table.key in figures %}

![top-1 against mIoU]({{ table.key }}.png)
{% endif %}
{% endfor %}

## Runs

| run | pipeline | code | jobs done | not done |
|---|---|---|---|---|
{% for run in runs %}
| {{ run.name }} | {{ run.pipeline }} | {{ run.commit[:7] or missing }} | {{ run.done }} |\
 {% for name, status in run.unfinished %}{{ name }} ({{ status }}){{ "" if loop.last else ", " }}{% endfor %} |
{% endfor %}
"""
HTML = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; color: #222; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .7em; text-align: right; white-space: nowrap; border-bottom: 1px solid #e4e4e4; }
tr:first-child > th:first-child, td:first-child, .text { text-align: left; }
thead th { border-bottom: 1px solid #888; }
.paper, .missing { color: #777; }
.better { color: #17692a; } .worse { color: #a11; }
img { max-width: 100%; }
</style>
<h1>{{ title }}</h1>
<p>{{ how_to_read }}</p>
{% for table in tables %}
{% set signed = table.key.endswith("-gains") %}
<h2 id="{{ table.key }}">{{ table.title }}</h2>
<div class="wide"><table>
<thead>
<tr><th rowspan="2">model</th>{% for column in table.columns %}<th colspan="{{ 3 if table.has_published else 1 }}">\
{{ column.label }}</th>{% endfor %}<th rowspan="2">seeds</th></tr>
<tr>{% for column in table.columns %}<th>ours</th>{% if table.has_published %}<th class="paper">paper</th><th>Δ</th>\
{% endif %}{% endfor %}</tr>
</thead>
{% for line in table.lines %}
<tr><td>{{ line.name }}</td>
{%- for cell in line.cells %}<td{% if cell.mean is none %} class="missing"{% endif %}>{{ number(cell, signed) }}</td>
{%- if table.has_published %}<td class="paper">{{ points(cell.published, signed) }}</td>\
<td{% if cell.difference is not none %} class="{{ "worse" if cell.difference < 0 else "better" }}"{% endif %}>\
{{ points(cell.difference) }}</td>{% endif %}
{%- endfor %}<td>{{ line.seeds or missing }}</td></tr>
{% endfor %}
</table></div>
{% for note in table.notes %}<p>{{ note }}</p>{% endfor %}
{% if table.key in figures %}<p><img alt="top-1 against mIoU" src="data:image/png;base64,{{ figures[table.key] }}"></p>
{% endif %}
{% endfor %}
<h2>Runs</h2>
<table>
<thead><tr><th>run</th><th class="text">pipeline</th><th class="text">code</th><th>jobs done</th>\
<th class="text">not done</th></tr></thead>
{% for run in runs %}
<tr><td>{% if run.link %}<a href="{{ run.link }}">{{ run.name }}</a>{% else %}{{ run.name }}{% endif %}</td>
<td class="text">{{ run.pipeline }}</td><td class="text">{{ run.commit[:7] or missing }}</td>
<td>{{ run.done }}</td>
<td class="text">{% for name, status in run.unfinished %}{{ name }} ({{ status }}){{ "" if loop.last else ", " }}\
{% endfor %}</td></tr>
{% endfor %}
</table>
"""
