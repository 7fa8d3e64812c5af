from django.contrib.postgres.operations import CreateExtension
from django.core.management import CommandError
from django.db import NotSupportedError, ProgrammingError, migrations

from tenancy.postgres.programs import PACKAGES_OF_POSTGIS


class CreatePostgis(CreateExtension):
    """Needs no superuser if the extension exists, as on most hosted servers."""

    def __init__(self):
        super().__init__("postgis")

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        except NotSupportedError:
            raise CommandError(
                f"The database's server has no PostGIS. To install it: {PACKAGES_OF_POSTGIS}."
            ) from None
        except ProgrammingError as error:
            database = schema_editor.connection.settings_dict["NAME"]
            raise CommandError(
                f"PostGIS can't be added: {str(error).splitlines()[0]}. A superuser has to run"
                f" `CREATE EXTENSION postgis;` in the database {database}, and for the tests in"
                " template1."
            ) from None


class Migration(migrations.Migration):
    initial = True

    operations = [CreatePostgis()]
