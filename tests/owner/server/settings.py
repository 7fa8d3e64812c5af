# What the owner changes

TENANCY_ROLES |= {
    "billing": {"label": "Billing", "permissions": ["notes.view_note"]},
    "support": {"label": "Support", "is_staff": True},
}
TENANCY_LIMITS |= {"enterprise": {}}
MIDDLEWARE = [
    "server.tenants.wiring.PlanMiddleware" if name.endswith(".TenantMiddleware") else name
    for name in MIDDLEWARE
]
STORAGES["default"] = {"BACKEND": "server.tenants.wiring.Uploads"}
SIGNING_BACKEND = "server.tenants.wiring.Signer"
GET_EXECUTOR_FUNCTION = "server.tenants.wiring.get_executor"
