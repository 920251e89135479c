# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""The rules of Grafana's dashboard-linter, which is not packaged, that apply to a dashboard over Prometheus."""

import re

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# The units of Grafana that the dashboard uses.
UNITS = {"Bps", "bytes", "cps", "percentunit", "pps", "s", "short"}
# What Grafana replaces in an expression, with a possible value.
VARIABLES = {"$__rate_interval": "10s", "$quantile": "0.5", "$by": "port", "$job": ".+", "$instance": ".+", "$group": ".*"}


def panels_of(dashboard):
    """Returns the panels that are not rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions_of(dashboard):
    """Returns the expressions of all panels, as Prometheus evaluates them."""
    return [evaluated(target["expr"]) for panel in panels_of(dashboard) for target in panel["targets"]]


def evaluated(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def lint(dashboard):
    """Yields what the linter would report, with the name of its rule."""
    if dashboard["editable"]:
        yield "uneditable-dashboard"
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    datasource = variables.get("datasource", {})
    if (datasource.get("type"), datasource.get("query"), datasource.get("label")) != ("datasource", "prometheus", "Data source"):
        yield "template-datasource-rule"
    for name in "job", "instance":
        variable = variables.get(name, {})
        expected = {
            "type": "query", "label": name.capitalize(), "multi": True, "includeAll": True, "allValue": ".+", "datasource": DATASOURCE
        }
        if {key: variable.get(key) for key in expected} != expected:
            yield f"template-{name}-rule"
    for variable in variables.values():
        if variable["type"] == "query":
            if variable["refresh"] != 2:
                yield f"template-on-time-change-reload-rule: {variable['name']}"
            if not re.fullmatch(r"label_values\(tcpstats_\w+(\{.*\})?, [\w$]+\)", variable["query"]):
                yield f"template-label-promql-rule: {variable['name']}"
    for panel in panels_of(dashboard):
        yield from (f"{rule}: {panel['title']}" for rule in lint_panel(panel))


def lint_panel(panel):
    if panel["datasource"] != DATASOURCE or any(target["datasource"] != DATASOURCE for target in panel["targets"]):
        yield "panel-datasource-rule"
    if not panel["title"] or not panel["description"]:
        yield "panel-title-description-rule"
    if panel["fieldConfig"]["defaults"]["unit"] not in UNITS:
        yield "panel-units-rule"
    if not panel["targets"]:
        yield "panel-no-targets-rule"
    for target in panel["targets"]:
        expression = target["expr"]
        if not target["legendFormat"]:
            yield "legend"
        if set(re.findall(r"\[(.*?)\]", expression)) - {"$__rate_interval"}:
            yield "target-rate-interval-rule"
        selectors = re.findall(r"\b(tcpstats_\w+)(\{.*?\})?", expression)
        for name in "job", "instance":
            if not selectors or any(f'{name}=~"${name}"' not in matchers for _, matchers in selectors):
                yield f"target-{name}-rule"
        counters = re.findall(r"\b(?:rate|increase)\(tcpstats_\w+_(?:total|bucket)\b", expression)
        if len(counters) != len(re.findall(r"_(?:total|bucket)\b", expression)):
            yield "target-counter-agg-rule"
