"""No tenant reaches another, on any page: see docs/isolation.md."""


def test_no_tenant_reaches_another(isolation):
    isolation.prove()
