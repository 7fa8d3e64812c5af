"""The messages of the checks and of `tenant_doctor`, with what to do about each."""

from django.core.checks import CheckMessage, Error, Warning

HINTS = {
    # Settings and code
    "E001": "Remove it.",
    "E002": 'Set it to "tenancy.database", and ORIGINAL_BACKEND to its present value.',
    "E003": "Add it.",
    "E004": "Put it in the place of Django's ModelBackend.",
    "E005": "Sessions are read in the tenant's schema, and membership needs the user.",
    "E006": "Leave it in SHARED_APPS only.",
    "E007": "Name it in SHARED_APPS and in TENANT_APPS.",
    "E008": "Write it as a `with` statement inside the function.",
    "E009": "Create it in a migration of an app that is in SHARED_APPS only.",
    "E010": "Set it to “django.contrib.sessions.backends.db”.",
    "W015": "Move changes to server/: an upgrade would remove them here (see docs/upgrade.md). Then"
    " `manage.py upgrade_tenancy` with --force restores the engine.",
    "W016": "`manage.py upgrade_tenancy` with --force restores the engine.",
    "E021": "Name tenancy.isolation.signing.TenantSigner, or a subclass.",
    "E022": "Name tenancy.isolation.media.TenantStorage, or a subclass.",
    "E023": "Set its KEY_FUNCTION to “django_tenants.cache.make_key”.",
    "E024": "Give it a default, or null=True and blank=True.",
    "W025": "Copy it in receivers of the signals, then silence this warning.",
    "E026": "Write “class Meta({base}.Meta)”, and add to its constraints.",
    "E027": "Extend that manager's class, or give yours another name.",
    "E028": "tenancy/roles.py shows the setting's form.",
    "E029": "Write it like “10/15m”, with s, m, h or d; None means no limit.",
    "E047": "A plan is a dictionary of numbers from 0 on, by name; None means no limit.",
    "E048": "Add it. Without a limit it has an empty dictionary.",
    "E049": "See “History” in docs/people.md.",
    "W030": "Set TRUSTED_PROXIES to how many proxies append to X-Forwarded-For. Otherwise all"
    " visitors seem to have one address, and share its limit of wrong passwords.",
    "W031": "Set it to some seconds.",
    "W032": "Its app must be in SHARED_APPS or TENANT_APPS, and the apps of the models that it"
    " extends in the same list.",
    "E033": "Move tenancy.isolation.router.TenantRouter to the top.",
    "W034": "Give it a KEY_PREFIX, such as the project's name.",
    "E040": "Move its app from SHARED_APPS to TENANT_APPS (see docs/api.md).",
    "E041": "Identify a user of the database who is active (see docs/api.md).",
    "E042": "Use tokens that belong to one tenant (see docs/api.md).",
    "E043": "Write names of models, like “invoices.Key”.",
    "E044": "Write names of models or fields, like “invoices.Invoice.iban”.",
    "E045": "Set it to a folder of its own.",
    "E050": "Compare host, bucket and key with the provider's. The key must be allowed to list,"
    " read, write and delete.",
    "E052": "Set it to 0 or more (see docs/scale.md).",
    "E051": "docs/backups.md has both forms.",
    "E036": "Remove it. {reason}",
    "E037": "Move it below: before TenantMiddleware has found the host, anything may be in it.",
    "E035": "Remove it, and let CONN_MAX_AGE keep connections.",
    # The database. Warnings: the owner may keep other schemas in it, and tables without a model.
    "E100": "Run `manage.py migrate_schemas --shared`.",
    "E101": "Add one in the admin of the public site.",
    "W102": "Unless it is being made right now, finish it with `manage.py provision_tenant --resume"
    " SLUG`, or remove it with `--abandon SLUG`.",
    "E103": "Restore it from a backup, or let `manage.py create_missing_schemas --schema {name}`"
    " create an empty one.",
    "W104": "Drop it if it was a tenant's; otherwise silence tenancy.W104.",
    "E105": "Restore them from a backup. After a move of the app between SHARED_APPS and"
    " TENANT_APPS, `manage.py create_missing_tables {apps}` creates them, empty. Until then a"
    " tenant uses a table of that name in the public schema.",
    "E106": "Move the rows to the public schema. Then run in `manage.py tenant_command dbshell"
    " --schema {name}`: DROP TABLE {drops};",
    "W107": "Drop those of removed apps; if your migrations create them with RunSQL, silence"
    " tenancy.W107.",
    "W108": "Unless it is being purged right now, finish with `manage.py purge_tenant --schema"
    " {name}`.",
    "E109": "Run `manage.py add_member --schema {name}` with the name, or `remove_member`.",
    "E110": "`manage.py {command}` opens psql; this makes it, without rows: {statements}",
    "E111": "Run `manage.py migrate_schemas`, which records what proves to be made.",
    "W112": "Run `manage.py migrate_schemas`.",
    "W113": "Unless a receiver of `schema_migrated` or a person made it for good, remove it.",
    "W114": "Run `manage.py migrate_schemas --plan`, which may say more.",
    "W115": "After a deployment that was taken back, deploy it again and undo them with `manage.py"
    " migrate_schemas APP NAME`. Of squashed migrations, `manage.py migrate_schemas --prune APP`"
    " removes the records. Of removed apps, delete them from django_migrations: {apps}.",
    "W116": "Make it in two deployments (see docs/deploy.md), or acknowledge it by the line"
    " `breaks_running_code = False` in the migration's class.",
    "E120": "Or connect to PostgreSQL directly.",
    "E121": "Write the coordinator's address in DATABASE_URL.",
    "E122": "The engine moves a schema to a node when it is complete. Turn it off: ALTER DATABASE …"
    " SET citus.enable_schema_based_sharding = off.",
    "E123": "Add one: SELECT citus_add_node('host', 5432).",
    "W124": "It works there, too. Run `manage.py distribute_tenants`. Citus takes no table with a"
    " trigger, and none with a foreign key to a shared table that isn't a reference table (see"
    " docs/scale.md).",
    "W125": "Pages read from the primary meanwhile (see docs/scale.md).",
}


def finding(number: str, message: str, obj: object = None, **words: str) -> CheckMessage:
    """Return the message about `obj`. The hint can name it, and `words`."""
    level = Error if number.startswith("E") else Warning
    return level(message, HINTS[number].format(name=obj, **words), obj, f"tenancy.{number}")
