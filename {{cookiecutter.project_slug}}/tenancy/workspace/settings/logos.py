"""A workspace's logo: an image that was uploaded, drawn anew.

So nothing of the file is kept but its pixels: no metadata, no second format, no program.
"""

import hashlib
from functools import partial
from io import BytesIO

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, ImageOps

from tenancy import lifecycle
from tenancy.concrete import Tenant

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_BYTES = 2 * 1024 * 1024
MAX_PIXELS = 10_000_000  # four bytes each, once it is unpacked
SIDE = 256  # pixels of the longer one, as it is kept


def redraw(upload: UploadedFile) -> bytes:
    """Return the upload's first picture as WebP. Raises ValidationError.

    The size is read from the file's head, so that a picture with too many pixels isn't unpacked.
    """
    if upload.size > MAX_BYTES:
        raise ValidationError(_("The file is too large: a logo has up to 2 MB."))
    try:
        with Image.open(upload, formats=FORMATS) as image:
            drawn = None if image.width * image.height > MAX_PIXELS else pixels_of(image)
    except Exception:  # Pillow's decoders raise many kinds
        text = _("This is not a readable image. A logo is a PNG, JPEG, WebP or GIF file.")
        raise ValidationError(text) from None
    if drawn is None:
        raise ValidationError(_("The image is too large: a logo has up to 10 megapixels."))
    file = BytesIO()
    drawn.save(file, "WEBP", quality=90)
    return file.getvalue()


def pixels_of(image: Image.Image) -> Image.Image:
    """Return a small upright copy, without what a format may have beside the pixels."""
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((SIDE, SIDE))
    drawn = Image.new("RGBA", upright.size)
    drawn.paste(upright.convert("RGBA"))
    return drawn


def change(tenant: Tenant, by: str, image: bytes) -> None:
    """Keep the image as the tenant's logo, in place of any earlier one; empty: have none.

    Raises IllegalTransition.
    """
    before = tenant.logo_file
    name = f"workspace/logo-{hashlib.sha256(image).hexdigest()[:16]}.webp" if image else ""
    if name == before:
        return
    with tenant:
        name = name and default_storage.save(name, ContentFile(image))
    try:
        lifecycle.change(tenant, by, logo_file=name)
    except BaseException:
        remove(tenant, name)
        raise
    transaction.on_commit(partial(remove, tenant, before), robust=True)


def remove(tenant: Tenant, name: str) -> None:
    if name:
        with tenant:
            default_storage.delete(name)
