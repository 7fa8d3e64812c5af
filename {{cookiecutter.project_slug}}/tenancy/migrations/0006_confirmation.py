from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0005_addresses'),
    ]

    operations = [
        migrations.AddField(
            model_name='handover',
            name='confirmed',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='handover',
            name='method',
            field=models.CharField(blank=True, default='', max_length=40),
            preserve_default=False,
        ),
    ]
