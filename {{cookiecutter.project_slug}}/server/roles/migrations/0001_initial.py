from django.db import migrations

ROLES = ["owner", "admin", "member"]


def make_groups(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Group.objects.bulk_create([Group(name=role) for role in ROLES], ignore_conflicts=True)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("permissions", "0002_add_timestamps"),
    ]

    operations = [
        migrations.CreateModel(
            name="Member",
            fields=[],
            options={
                "verbose_name": "member",
                "ordering": ["profile__username"],
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("permissions.usertenantpermissions",),
        ),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
