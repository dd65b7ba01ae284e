"""Pictures of two colours that are easily told apart, each a little other than the next."""

from pathlib import Path

from PIL import Image

COLOURS = {"jay": (40, 80, 200), "wren": (150, 90, 40)}


def paint_striped(folder: Path, *, side: int) -> Path:
    """Paint twenty square pictures of each colour, in a folder for each. side: a multiple of 32."""
    unit = side // 32
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(20):
            picture = Image.new("RGB", (side, side), colour)
            size = (3 * unit + number, side - unit * number)
            picture.paste(Image.new("RGB", size, (number * 12, 255, 9)), (unit * number // 2,) * 2)
            picture.save(folder / label / f"{number:02}.png")
    return folder
