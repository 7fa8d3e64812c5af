"""A row of django-allauth's for each person's e-mail, confirmed if they have set a password.

Otherwise they would be asked for a code, and the operator can't give it if the address of
ADMIN_EMAIL doesn't exist. Other people confirm theirs when they next sign in.
"""

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import migrations
from django.db.models import F


def confirm(apps, schema_editor):
    app, model = settings.AUTH_USER_MODEL.split(".")
    people = apps.get_model(app, model)._base_manager.all()
    addresses = apps.get_model("account", "EmailAddress").objects
    # Their sessions end: those at tenants' hosts were opened with a password there.
    people.update(session_epoch=F("session_epoch") + 1)
    known = people.exclude(password="").exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)
    known.update(is_verified=True)
    rows = people.values_list("pk", "email", "is_verified").iterator()
    addresses.bulk_create(
        (
            addresses.model(user_id=pk, email=email, verified=is_verified, primary=True)
            for pk, email, is_verified in rows
        ),
        batch_size=1000,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0004_handover"),
        ("account", "0009_emailaddress_unique_primary_email"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(confirm, migrations.RunPython.noop)]
