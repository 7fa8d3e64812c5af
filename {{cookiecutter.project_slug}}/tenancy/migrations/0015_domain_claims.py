import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0014_data'),
        migrations.swappable_dependency(settings.TENANT_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DomainClaim',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('host', models.CharField(max_length=253)),
                ('label', models.CharField(max_length=63)),
                ('token', models.CharField(max_length=64)),
                ('as_primary', models.BooleanField(default=False)),
                ('created', models.DateTimeField(auto_now_add=True)),
                ('checked', models.DateTimeField(null=True)),
                ('problem', models.CharField(blank=True, max_length=20)),
                ('leads_here', models.BooleanField(null=True)),
                ('verified', models.DateTimeField(null=True)),
                ('lost', models.DateTimeField(null=True)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.TENANT_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('tenant', 'host'), name='tenancy_domainclaim_once')],
            },
        ),
    ]
