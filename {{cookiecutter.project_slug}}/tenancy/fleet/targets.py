"""What the app label and the migration name on the command line mean, as in Django's `migrate`."""

from django.apps import apps
from django.core.management import CommandError
from django.db.migrations.loader import AmbiguityError, MigrationLoader


def targets(loader: MigrationLoader, options: dict) -> list[tuple[str, str | None]]:
    """Return the migrations to migrate to; a name of None is the state before an app's first.

    Raises CommandError for a name that Django doesn't know, and for conflicting migrations.
    """
    if conflicts := loader.detect_conflicts():
        raise CommandError(
            "Conflicting migrations: "
            + "; ".join(f"{', '.join(names)} in {app}" for app, names in conflicts.items())
            + ". “makemigrations --merge” merges them."
        )
    app_label, name = options.get("app_label"), options.get("migration_name")
    if not app_label:
        if options.get("prune"):
            raise CommandError("--prune needs the label of an app.")
        return loader.graph.leaf_nodes()
    try:
        apps.get_app_config(app_label)
    except LookupError as error:
        raise CommandError(str(error)) from None
    if app_label not in loader.migrated_apps:
        if options.get("run_syncdb"):
            return []
        raise CommandError(f"App “{app_label}” has no migrations.")
    if options.get("run_syncdb"):
        raise CommandError(f"--run-syncdb is for apps without migrations; “{app_label}” has some.")
    if not name:
        return [key for key in loader.graph.leaf_nodes() if key[0] == app_label]
    if name == "zero":
        return [(app_label, None)]
    try:
        migration = loader.get_migration_by_prefix(app_label, name)
    except AmbiguityError:
        raise CommandError(f"More than one migration of “{app_label}” matches “{name}”.") from None
    except KeyError:
        raise CommandError(f"No migration of “{app_label}” matches “{name}”.") from None
    target = app_label, migration.name
    if target not in loader.graph.nodes and target in loader.replacements:
        target = loader.replacements[target].replaces[-1]  # squashed, and applied in part
    return [target]
