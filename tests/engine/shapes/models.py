from django.contrib.gis.db import models


class Shape(models.Model):
    """What columns of PostGIS can be: kinds, dimensions, coordinate systems, indexes."""

    solid = models.PolygonField(srid=3857, dim=3, null=True)
    ways = models.MultiLineStringField(geography=True, null=True)
    anything = models.GeometryField(srid=25832, spatial_index=False, null=True)
    many = models.GeometryCollectionField(null=True)

    def __str__(self):
        return str(self.pk)
