"""django-ninja's operations: their methods and their bodies. Imported if it is installed."""

from ninja.operation import PathView

from tenancy.testing.isolation.sides import Side

BY_TYPE = {"boolean": True, "integer": 7, "null": None, "number": 7}
BY_FORMAT = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05",
    "uuid": "00000000-0000-4000-8000-000000000007",
}


def path_view(view) -> PathView | None:
    """Return what ninja's function for a path calls; None for other views."""
    cells = (cell.cell_contents for cell in getattr(view, "__closure__", None) or ())
    return next((each for each in cells if isinstance(each, PathView)), None)


def methods_of(view) -> list[str] | None:
    found = path_view(view)
    return found and [method for operation in found.operations for method in operation.methods]


def body_of(view, method: str, row, side: Side) -> dict | None:
    """Return JSON for the operation's schema, with the values of a row."""
    if (found := path_view(view)) is None:
        return None
    for operation in found.operations:
        for model in operation.models if method in operation.methods else ():
            if model.__ninja_param_source__ == "body":
                schema = model.model_json_schema()
                if name := getattr(model, "__read_from_single_attr__", None):
                    schema = {"$defs": schema.get("$defs", {}), **schema["properties"][name]}
                return sample(schema, schema.get("$defs", {}), row, side)
    return None


def sample(schema: dict, known: dict, row, side: Side, name: str = ""):
    """Return a value that the JSON schema accepts."""
    if reference := schema.get("$ref"):
        return sample(known[reference.rpartition("/")[2]], known, row, side, name)
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return sample(schema[choice][0], known, row, side, name)
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return {key: sample(each, known, row, side, key) for key, each in properties.items()}
    if kind == "array":
        return [sample(schema.get("items", {}), known, row, side, name)]
    if kind == "string":
        text = side.canary("a value that a request wrote")
        texts = {"email": f"{text}@example.com", "uri": f"https://{text}.example.com/"} | BY_FORMAT
        return texts.get(schema.get("format"), text)
    value = getattr(row, name, None) if name else None
    return value if isinstance(value, int | float) else BY_TYPE.get(kind)
