from datetime import UTC, datetime

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, IntegerRangeField, RangeOperators
from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models
from django.db.models import Deferrable, F, Q, Value
from django.db.models.functions import Lower, Now

from engine.exotic.migrations import HOSTILE

NEW_YEAR = datetime(2020, 1, 1, tzinfo=UTC)

KINDS = r"""
    CREATE TYPE "Mood;" AS ENUM ('sad', 'o''k', ';');
    CREATE TYPE pair AS (one int, other text COLLATE "C");
    CREATE DOMAIN plz AS varchar(5) DEFAULT '00000' NOT NULL CHECK (VALUE ~ '^\d+;?$');
    CREATE COLLATION "by code" (provider = libc, locale = 'C');
    CREATE SEQUENCE odd AS smallint START 7 INCREMENT 2 MAXVALUE 99 CYCLE CACHE 3;
    CREATE TABLE old (
        id serial PRIMARY KEY,
        number bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5),
        mood "Mood;" DEFAULT 'o''k',
        pair pair,
        zip plz,
        name varchar(9) COLLATE "by code",
        price numeric(12,3)[] DEFAULT '{}',
        odd smallint DEFAULT nextval('odd'),
        at timestamptz(3),
        author bigint CONSTRAINT written_by REFERENCES public.users_user DEFERRABLE,
        begin int
    ) WITH (fillfactor = 70);
    COMMENT ON CONSTRAINT written_by ON old IS 'who; did';
    ALTER TABLE old ALTER name SET STATISTICS 50, ALTER name SET STORAGE EXTERNAL;
    ALTER TABLE old REPLICA IDENTITY FULL;
    CREATE STATISTICS of_old (dependencies) ON number, zip FROM old;
    CREATE TABLE parts (at date NOT NULL, text text) PARTITION BY RANGE (at);
    CREATE TABLE parts_2020 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE INDEX parts_at ON parts (at DESC NULLS LAST);
    CREATE TABLE child (more text) INHERITS (old);
    CREATE UNLOGGED TABLE quick (id int, CONSTRAINT "Quick-1" UNIQUE NULLS NOT DISTINCT (id));
    ALTER TABLE quick ADD CONSTRAINT later CHECK (id > 0) NOT VALID;
"""

CODE = r"""
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $out$
    BEGIN
        -- a comment; with $_$ and '
        NEW.name := left(replace(NEW.name, $q$;$q$, '$$ \ END;'), 9);
        RETURN NEW;
    END;
    $out$;
    CREATE FUNCTION sign(number bigint) RETURNS text LANGUAGE sql IMMUTABLE
    BEGIN ATOMIC
        SELECT 'BEGIN ATOMIC; END'::text;
        SELECT CASE WHEN number > 0 THEN CASE number WHEN 1 THEN ';' ELSE '+' END ELSE '-' END;
    END;
    CREATE FUNCTION twice(number int DEFAULT 3) RETURNS int RETURN number * 2;
    CREATE PROCEDURE tidy() LANGUAGE sql BEGIN ATOMIC DELETE FROM quick; DELETE FROM parts; END;
    CREATE FUNCTION newest() RETURNS bigint LANGUAGE sql AS 'SELECT max(number) FROM old';
    ALTER TABLE parts ADD CONSTRAINT looks CHECK (newest() IS NULL OR text <> '');
    CREATE AGGREGATE longest(text) (sfunc = text_larger, stype = text);
    CREATE OPERATOR <=== (leftarg = int, rightarg = int, function = int4le);
    CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OF name ON old
        FOR EACH ROW WHEN (NEW.name <> ';') EXECUTE FUNCTION stamp();
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON quick DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION stamp();
    ALTER TABLE quick DISABLE TRIGGER late;
    CREATE VIEW seen WITH (security_barrier) AS
        SELECT id, sign(number) AS "a;b", 'x -- y' AS "--" FROM old WHERE number <> 3;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS "number" FROM old;
    CREATE UNIQUE INDEX counted_once ON counted (number);
    CREATE MATERIALIZED VIEW filled_later AS SELECT 1 AS number WITH NO DATA;
    CREATE RULE away AS ON DELETE TO seen DO INSTEAD
        (DELETE FROM quick; DELETE FROM parts WHERE text = OLD."--");
    CREATE INDEX signed ON old (sign(number)) INCLUDE (zip) WHERE name IS NOT NULL;
    ALTER TABLE old ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON old FOR SELECT USING (name = CURRENT_USER OR name = ';');
    GRANT SELECT ON old TO PUBLIC;
    GRANT UPDATE (name) ON old TO PUBLIC;
    COMMENT ON FUNCTION twice IS 'twice; '' $$';
    COMMENT ON VIEW seen IS E'two\nlines \\';
    COMMENT ON COLUMN seen."a;b" IS ';';
    COMMENT ON INDEX signed IS '--';
    COMMENT ON TYPE "Mood;" IS 'mood';
    COMMENT ON TRIGGER stamp ON old IS 'stamped';
"""


def write(apps, schema_editor):
    Thing = apps.get_model("exotic", "Thing")
    for number, text in enumerate(HOSTILE):
        Thing.objects.create(
            text=text, data={"text": text}, tags=[text[:5]], price=number / 8, made=NEW_YEAR
        )
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval('odd'), setval('old_id_seq', 41), setval('old_number_seq', 7)"
        )
        for text in HOSTILE:
            cursor.execute("INSERT INTO old (name, pair) VALUES (%s, (1, %s))", [text[:9], text])
        cursor.execute("INSERT INTO parts VALUES ('2020-02-02', ';')")
        cursor.execute("INSERT INTO child (number, more) VALUES (1, 'more')")
        cursor.execute("REFRESH MATERIALIZED VIEW counted")


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Thing",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("text", models.TextField(db_comment="what's; said", db_default="'; --")),
                ("code", models.CharField(max_length=17, db_default="x")),
                ("price", models.DecimalField(max_digits=12, decimal_places=3)),
                (
                    "gross",
                    models.GeneratedField(
                        expression=F("price") * Value(2),
                        output_field=models.DecimalField(max_digits=13, decimal_places=3),
                        db_persist=True,
                    ),
                ),
                ("made", models.DateTimeField(db_default=Now())),
                ("data", models.JSONField(default=dict)),
                ("tags", ArrayField(models.CharField(max_length=5))),
                ("span", IntegerRangeField(null=True)),
                ("address", models.GenericIPAddressField(null=True)),
                ("took", models.DurationField(null=True)),
                ("blob", models.BinaryField(default=b"\x00;'")),
                ("parent", models.ForeignKey("self", models.CASCADE, null=True)),
                ("friends", models.ManyToManyField("self")),
            ],
            options={
                "db_table": "Exotic-Thing",
                "db_table_comment": "A table; with ' and \\",
                "indexes": [
                    models.Index(Lower("text").desc(), name="Exotic-lower"),
                    models.Index(fields=["code"], name="exotic_some", condition=Q(price__gt=1)),
                    models.Index(fields=["price"], name="exotic_covering", include=["code"]),
                    GinIndex(fields=["data"], name="exotic_gin", opclasses=["jsonb_path_ops"]),
                ],
                "constraints": [
                    models.CheckConstraint(condition=Q(price__gte=0), name="exotic;check"),
                    models.UniqueConstraint("code", Lower("text"), name="exotic_expression"),
                    models.UniqueConstraint(
                        fields=["code", "id"],
                        name="exotic_deferred",
                        deferrable=Deferrable.DEFERRED,
                    ),
                    ExclusionConstraint(
                        name="exotic_apart", expressions=[("span", RangeOperators.OVERLAPS)]
                    ),
                ],
            },
        ),
        migrations.RunSQL(KINDS),
        migrations.RunSQL(CODE),
        migrations.RunPython(write, migrations.RunPython.noop),
        migrations.RenameField("thing", "took", "lasted"),
        migrations.RemoveField("thing", "blob"),
    ]
