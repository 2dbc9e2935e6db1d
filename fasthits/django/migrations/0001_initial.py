"""The table of `Hits`."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Create it."""

    initial = True
    dependencies = (("contenttypes", "0002_remove_content_type_name"),)
    operations = (
        migrations.CreateModel(
            name="Hits",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("date", models.DateField()),
                ("object_id", models.CharField(max_length=255)),
                ("views", models.PositiveBigIntegerField()),
                (
                    "content_type",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="contenttypes.contenttype"
                    ),
                ),
            ],
            options={
                "verbose_name": "hits",
                "verbose_name_plural": "traffic",
                "ordering": ("-date",),
                "indexes": [
                    models.Index(fields=["content_type", "object_id", "date"], name="fasthits_of_object"),
                    models.Index(fields=["content_type", "date"], name="fasthits_of_days"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("date", "content_type", "object_id"), name="fasthits_once_a_day")
                ],
            },
        ),
    )
