from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0011_invitations'),
    ]

    operations = [
        migrations.CreateModel(
            name='FailedSignIn',
            fields=[
                ('person', models.CharField(max_length=20, primary_key=True, serialize=False)),
                ('count', models.PositiveIntegerField()),
                ('at', models.DateTimeField()),
                ('address', models.CharField(max_length=50)),
            ],
        ),
        migrations.AlterField(
            model_name='tenantevent',
            name='schema_name',
            field=models.CharField(blank=True, max_length=63),
        ),
        migrations.AddIndex(
            model_name='tenantevent',
            index=models.Index(fields=['schema_name', 'id'], name='tenancy_history'),
        ),
        migrations.AddIndex(
            model_name='tenantevent',
            index=models.Index(condition=models.Q(('action', 'rename schema')), fields=['after'], name='tenancy_renamed'),
        ),
    ]
