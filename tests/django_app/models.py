"""The site's models: press releases by slug, photos by UUID, tags by name, issues by year and number."""

import uuid

from django.db import models
from django.urls import reverse

from fasthits.django.models import HitsMixin


class PressRelease(HitsMixin):
    """A page at its slug. Former slugs lead to it, too."""

    title = models.CharField(max_length=100)
    slug = models.SlugField(unique=True)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the URL of its page."""
        return reverse("press_release", args=[self.slug])


class OldSlug(models.Model):
    """A former slug of a press release."""

    slug = models.SlugField(primary_key=True)
    press_release = models.ForeignKey(PressRelease, models.CASCADE)


class Photo(HitsMixin):
    """A page at its primary key, a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    caption = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.caption

    def get_absolute_url(self) -> str:
        """Return the URL of its page."""
        return reverse("photo", args=[self.pk])


class Tag(HitsMixin):
    """A page at its primary key, a string."""

    name = models.CharField(max_length=50, primary_key=True)

    def get_absolute_url(self) -> str:
        """Return the URL of its page."""
        return reverse("tag", args=[self.name])


class Issue(HitsMixin):
    """A page at a year and a number."""

    year = models.IntegerField()
    number = models.IntegerField()

    def get_absolute_url(self) -> str:
        """Return the URL of its page."""
        return reverse("issue", args=[self.year, self.number])


class Note(models.Model):
    """A model without HitsMixin and without a page."""

    slug = models.SlugField(unique=True)


class Day(models.Model):
    """A model without HitsMixin, with a primary key that the history cannot have."""

    day = models.DateField(primary_key=True)
    slug = models.SlugField(unique=True)


class Headline(PressRelease):
    """A proxy of a press release."""

    class Meta:
        proxy = True


class Place(HitsMixin):
    """A page at its primary key, also of its multi-table children."""

    name = models.CharField(max_length=50)

    def get_absolute_url(self) -> str:
        """Return the URL of its page."""
        return reverse("place", args=[self.pk])


class Restaurant(Place):
    """A multi-table child: a place with a page of its own."""

    stars = models.IntegerField(default=0)

    def get_absolute_url(self) -> str:
        """Return the URL of its page."""
        return reverse("restaurant", args=[self.pk])
