from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0016_support'),
    ]

    operations = [
        migrations.CreateModel(
            name='SpareSchema',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('schema_name', models.CharField(max_length=63, unique=True)),
                ('key', models.CharField(max_length=64)),
            ],
            options={
                'default_permissions': (),
            },
        ),
    ]
