"""The table of `MostRead`; and one history for a multi-table child and its parent, which are the same object."""

from typing import Any

import django.db.models.deletion
from django.apps import apps as installed
from django.db import migrations, models


def join_histories(apps: Any, schema_editor: Any) -> None:
    """Give the rows of multi-table children to the counted parent. Rows of the same day add up."""
    from fasthits.django.expressions import history_model

    database = schema_editor.connection.alias
    hits = apps.get_model("fasthits", "Hits").objects.using(database)
    kinds = apps.get_model("contenttypes", "ContentType").objects.using(database)
    for model in installed.get_models():
        parent = history_model(model)
        if parent is model._meta.concrete_model:
            continue
        child_type = kinds.filter(app_label=model._meta.app_label, model=model._meta.model_name).first()
        if child_type is None or not hits.filter(content_type=child_type).exists():
            continue
        parent_type, _ = kinds.get_or_create(app_label=parent._meta.app_label, model=parent._meta.model_name)
        rows = hits.filter(content_type=child_type).values_list("pk", "date", "object_id", "views")
        for key, date, object_id, views in list(rows):  # an open cursor could return changed rows again
            same = hits.filter(content_type=parent_type, date=date, object_id=object_id)
            if same.update(views=models.F("views") + views):
                hits.filter(pk=key).delete()
            else:
                hits.filter(pk=key).update(content_type=parent_type)


class Migration(migrations.Migration):
    """Create it."""

    dependencies = (("fasthits", "0001_initial"),)
    operations = (
        migrations.CreateModel(
            name="MostRead",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("first", models.DateField()),
                ("object_id", models.CharField(max_length=255)),
                ("views", models.PositiveBigIntegerField()),
                ("newest", models.BigIntegerField()),
                (
                    "content_type",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="contenttypes.contenttype"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("content_type", "first", "object_id"), name="fasthits_most_read_once"
                    )
                ],
            },
        ),
        migrations.RunPython(join_histories, migrations.RunPython.noop),
    )
