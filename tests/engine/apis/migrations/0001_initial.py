import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ID = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("authtoken", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            "Key",
            [
                ("id", ID),
                ("secret", models.CharField(max_length=40)),
                (
                    "user",
                    models.ForeignKey(
                        settings.AUTH_USER_MODEL, on_delete=django.db.models.deletion.CASCADE
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            "Hook",
            [
                ("id", ID.clone()),
                ("name", models.CharField(max_length=40)),
                (
                    "token",
                    models.ForeignKey(
                        "authtoken.Token",
                        on_delete=django.db.models.deletion.SET_NULL,
                        null=True,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            "Use",
            [
                ("id", ID.clone()),
                (
                    "key",
                    models.ForeignKey("apis.Key", on_delete=django.db.models.deletion.CASCADE),
                ),
            ],
        ),
    ]
