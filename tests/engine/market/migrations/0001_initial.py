import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

KEY = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.TENANT_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Plan",
            fields=[
                ("id", KEY),
                ("name", models.CharField(max_length=20)),
                ("icon", models.FileField(blank=True, upload_to="icons")),
            ],
        ),
        migrations.CreateModel(
            name="Contract",
            fields=[
                ("id", KEY),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to=settings.TENANT_MODEL
                    ),
                ),
                ("text", models.FileField(upload_to="contracts")),
            ],
        ),
        migrations.CreateModel(
            name="Discount",
            fields=[
                ("id", KEY),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="auth.group"
                    ),
                ),
            ],
        ),
    ]
