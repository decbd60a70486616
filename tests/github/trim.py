#!/usr/bin/env python3
"""Cuts GitHub's description of its REST API down to the calls that ghdeploy makes.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    tests/github/trim.py package/generated/api.github.com.json >tests/github/description.json

The npm package is Octokit's copy of github/rest-api-description; both are under the MIT licence, which the result
carries along. OpenAPI 3.0's `nullable` becomes what JSON Schema has for it; texts and examples go.
"""
import json
import re
import sys

REPO = "/repos/{owner}/{repo}"
CALLS = [
    ("get", "/user"),
    ("get", REPO),
    ("get", f"{REPO}/branches/{{branch}}"),
    ("get", f"{REPO}/pulls/{{pull_number}}"),
    ("get", f"{REPO}/commits/{{commit_sha}}/pulls"),
    ("get", f"{REPO}/issues/{{issue_number}}/comments"),
    ("post", f"{REPO}/issues/{{issue_number}}/comments"),
    ("patch", f"{REPO}/issues/comments/{{comment_id}}"),
    ("delete", f"{REPO}/issues/comments/{{comment_id}}"),
    ("get", f"{REPO}/deployments"),
    ("post", f"{REPO}/deployments"),
    ("get", f"{REPO}/deployments/{{deployment_id}}/statuses"),
    ("post", f"{REPO}/deployments/{{deployment_id}}/statuses"),
    ("post", f"{REPO}/statuses/{{sha}}"),
    ("get", f"{REPO}/commits/{{ref}}/check-suites"),
    ("get", f"{REPO}/commits/{{ref}}/check-runs"),
    ("get", f"{REPO}/commits/{{ref}}/statuses"),
    ("get", f"{REPO}/actions/runs"),
]
DROPPED = {"description", "example", "examples", "externalDocs", "deprecated", "title", "discriminator"}


def schema(value):
    """A schema as JSON Schema has it."""
    if isinstance(value, list):
        return [schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, item in value.items():
        if key == "properties":
            out[key] = {name: schema(inner) for name, inner in item.items()}
        elif key not in DROPPED and not key.startswith("x-") and key != "nullable":
            out[key] = schema(item)
    if value.get("nullable") is True:
        return {"anyOf": [out, {"type": "null"}]}
    return out


def main():
    spec = json.load(open(sys.argv[1]))
    components = spec["components"]

    def resolved(item):
        while "$ref" in item:
            kind, name = item["$ref"].removeprefix("#/components/").split("/")
            item = components[kind][name]
        return item

    def content(item):
        kinds = item.get("content", {})
        return schema(kinds["application/json"]["schema"]) if "application/json" in kinds else None

    calls = []
    for method, path in CALLS:
        operation = spec["paths"][path][method]
        query = {}
        for parameter in map(resolved, operation.get("parameters", [])):
            if parameter["in"] == "query":
                query[parameter["name"]] = schema(parameter["schema"])
        responses = {}
        for status, response in operation["responses"].items():
            responses[status] = content(resolved(response))
        body = resolved(operation["requestBody"]) if "requestBody" in operation else None
        calls.append({"method": method.upper(), "path": path, "query": query,
                      "request": content(body) if body else None, "responses": responses})

    schemas, todo = {}, [calls]
    while todo:
        for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(todo.pop())):
            if name not in schemas:
                schemas[name] = schema(components["schemas"][name])
                todo.append(schemas[name])
    json.dump({
        "origin": f"npm @octokit/openapi {spec['info']['version']}, api.github.com",
        "licence": "MIT, Copyright (c) 2020 Octokit contributors; Copyright (c) 2020 GitHub",
        "calls": calls,
        "components": {"schemas": schemas},
    }, sys.stdout, separators=(",", ":"), sort_keys=True)


main()
