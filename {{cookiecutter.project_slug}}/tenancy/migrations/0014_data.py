import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0013_keys'),
        migrations.swappable_dependency(settings.TENANT_MODEL),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Archive',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.CharField(max_length=40)),
                ('made', models.DateTimeField(auto_now_add=True)),
                ('by', models.CharField(max_length=254)),
                ('is_scheduled', models.BooleanField(default=False)),
                ('file', models.CharField(max_length=255, unique=True)),
                ('size', models.PositiveBigIntegerField(default=0)),
                ('digest', models.CharField(blank=True, max_length=64)),
                ('expires', models.DateTimeField(null=True)),
                ('tenant', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.TENANT_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='DataJob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('export', 'export'), ('backup', 'backup'), ('copy', 'new workspace')], max_length=10)),
                ('asked', models.DateTimeField(auto_now_add=True)),
                ('started', models.DateTimeField(null=True)),
                ('ended', models.DateTimeField(null=True)),
                ('failure', models.TextField(blank=True)),
                ('name', models.CharField(blank=True, max_length=200)),
                ('slug', models.CharField(blank=True, max_length=40)),
                ('file', models.CharField(blank=True, max_length=255)),
                ('size', models.PositiveBigIntegerField(default=0)),
                ('expires', models.DateTimeField(null=True)),
                ('downloaded', models.DateTimeField(null=True)),
                ('archive', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='tenancy.archive')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.TENANT_MODEL)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=Q(ended=None), fields=('tenant',), name='tenancy_datajob_open')],
            },
        ),
    ]
