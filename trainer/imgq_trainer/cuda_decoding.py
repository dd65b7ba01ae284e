"""JPEG files decoded and cut to size on an NVIDIA GPU. Never run on one: docs/gpu.md.

nvJPEG, as torchvision calls it, is not label-faithful: where a file stores colours at half the
resolution, as most do, it repeats them instead of interpolating, and it forgives damage inside of
the picture's data. So it decodes only where that is asked for, and nothing in exact mode.
"""

import functools
import io
import logging
from collections.abc import Iterator, Sequence

import torch
from PIL import Image
from torchvision.io import ImageReadMode

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.completeness import is_cut_short
from imgq_trainer.engines import EXACT
from imgq_trainer.formats import Format
from imgq_trainer.plain_jpeg import PlainJpeg, scan_jpeg
from imgq_trainer.preprocessing import LONG, TORCH_FILTERS, Pixels, resized_size

#: part of a prediction's identity, beside the name of the decoder that takes the other files
NAME = "nvjpeg-1"
#: Pixels that are decoded by one call: 3 bytes each there, and 12 while one picture is resized.
CALL_PIXELS = 64 << 20
#: A larger picture is left to the CPU, which shrinks it while it decodes.
MAX_PIXELS = 32 << 20

_log = logging.getLogger(__name__)


def device_decodes(device: str, precision: str, *, wanted: bool) -> bool:
    """Tell whether JPEG files shall be decoded on the device, and can be."""
    if not wanted or precision == EXACT or torch.device(device).type != "cuda":
        return False
    why_not = _missing(device)
    if why_not:
        _log.warning("the CPU decodes all pictures: %s has no nvJPEG (%s)", device, why_not)
    return not why_not


def decode_on_device(
    files: Sequence[bytes], how: Preprocessing, device: str, *, max_pixels: int
) -> list[Pixels | None]:
    """Return each file's square of pixels, (crop, crop, 3); None: the CPU must decode it.

    None is for whatever is no plain JPEG, or larger than max_pixels, or not decoded without an
    error: the CPU's decoders find the words for it. And for all where `how` cuts no square out.
    """
    pixels: list[Pixels | None] = [None] * len(files)
    if how.fit != "crop":
        return pixels
    for group in _groups(files, max_pixels):
        pictures = _decode([jpeg for _, jpeg in group], torch.device(device))
        found = [
            (at, jpeg, p) for (at, jpeg), p in zip(group, pictures, strict=True) if p is not None
        ]
        if not found:
            continue
        squares = torch.stack([_square(_turn(p, jpeg.orientation), how) for _, jpeg, p in found])
        for (at, _, _), square in zip(found, squares.cpu().numpy(), strict=True):
            pixels[at] = square
    return pixels


def suits_device(jpeg: PlainJpeg, max_pixels: int) -> bool:
    """Tell a file that a GPU decodes as the CPU would, but for the colours' interpolation."""
    long, short = max(jpeg.width, jpeg.height), min(jpeg.width, jpeg.height)
    return (
        not jpeg.progressive
        and long * short <= min(max_pixels, MAX_PIXELS)
        and long <= LONG * short
        and not _has_own_colours(jpeg.data)
        and not is_cut_short(jpeg.data, Format.JPEG)
    )


def _groups(files: Sequence[bytes], max_pixels: int) -> Iterator[list[tuple[int, PlainJpeg]]]:
    """Files that suit the device, with their places, as many as a call may hold."""
    group: list[tuple[int, PlainJpeg]] = []
    held_pixels = 0
    for at, data in enumerate(files):
        jpeg = scan_jpeg(data)
        if jpeg is None or not suits_device(jpeg, max_pixels):
            continue
        size = jpeg.width * jpeg.height
        if group and held_pixels + size > CALL_PIXELS:
            yield group
            group, held_pixels = [], 0
        group.append((at, jpeg))
        held_pixels += size
    if group:
        yield group


def _has_own_colours(data: bytes) -> bool:
    """Whether an Adobe segment, or components called R, G, B, may say that it is no YCbCr."""
    at = 2
    while data[at + 1] != 0xDA:
        if data[at + 1] == 0xEE:
            return True
        if data[at + 1] in (0xC0, 0xC1) and data[at + 9] == 3:
            return bytes(data[at + 10 : at + 19 : 3]) == b"RGB"
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _decode(jpegs: Sequence[PlainJpeg], device: torch.device) -> list[torch.Tensor | None]:
    """Decode files to (3, H, W); one that fails fails the call, so each is then tried alone."""
    try:
        return list(_call([jpeg.data for jpeg in jpegs], device))
    except torch.OutOfMemoryError:
        return [None] * len(jpegs)
    except RuntimeError:
        if len(jpegs) == 1:
            return [None]
        return [picture for jpeg in jpegs for picture in _decode([jpeg], device)]


def _call(files: Sequence[bytes], device: torch.device) -> Sequence[torch.Tensor]:
    """Decode by torchvision's operators: its functions warn, at each call, that they will go."""
    tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]
    rgb = ImageReadMode.RGB.value
    if device.type == "cuda":
        decoded: list[torch.Tensor] = torch.ops.image.decode_jpegs_cuda(tensors, rgb, device)
        return decoded
    return [torch.ops.image.decode_jpeg(tensor, rgb, False) for tensor in tensors]


def _turn(stored: torch.Tensor, orientation: int) -> torch.Tensor:
    """Turn (3, H, W) upright; the orientation is EXIF's."""
    match orientation:
        case 2:
            return stored.flip(2)
        case 3:
            return stored.flip(1, 2)
        case 4:
            return stored.flip(1)
        case 5:
            return stored.transpose(1, 2)
        case 6:
            return stored.rot90(3, (1, 2))
        case 7:
            return stored.flip(1, 2).transpose(1, 2)
        case 8:
            return stored.rot90(1, (1, 2))
        case _:
            return stored


def _square(picture: torch.Tensor, how: Preprocessing) -> torch.Tensor:
    """Resize and cut (3, H, W) to (crop, crop, 3).

    In floats, because a GPU resizes no bytes, but rounded after each direction as Pillow does:
    photos came within 2 levels of the CPU's, and within 9 when rounded only at the end.
    """
    wide, high = resized_size((picture.shape[2], picture.shape[1]), how.resize)
    left, top = round((wide - how.crop) / 2), round((high - how.crop) / 2)
    values = picture.to(torch.float32).unsqueeze(0)
    for size in ((picture.shape[1], wide), (high, wide)):
        values = _resize(values, size, how).round_().clamp_(0, 255)
    kept = values[0, :, top : top + how.crop, left : left + how.crop]
    return kept.to(torch.uint8).permute(1, 2, 0)


def _resize(values: torch.Tensor, size: tuple[int, int], how: Preprocessing) -> torch.Tensor:
    resized: torch.Tensor = TORCH_FILTERS[how.interpolation](values, size, False, None, None)
    return resized


@functools.cache
def _missing(device: str) -> str:
    """Try a tiny file; return why it cannot be decoded there, or nothing."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    try:
        _call([buffer.getvalue()], torch.device(device))
    except (RuntimeError, AttributeError) as error:  # a torchvision without the operator
        return str(error).partition("\n")[0] or type(error).__name__
    return ""
