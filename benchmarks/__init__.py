"""How fast a project from the template is, beside one as the libraries' documentation says.

It is one command, `python -m benchmarks`, with `--short` in the tests. `projects` bakes and serves,
`fleet` grows tenants, each of `births`, `migrating` and `requests` measures one thing, `report` and
`picture` show what was found.
"""
