"""The roofline: how fast this machine can label a folder, by a loop tuned by hand.

One process, a thread for each core; each thread reads, decodes and computes its own tiles, so that
no core waits for another. No code of imgq, no queue, no database, nothing kept but the labels.
"""

import argparse
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
from PIL import Image

from bench.network import Recipe, read_network, read_recipe
from bench.pictures import pictures_in

Pixels = npt.NDArray[np.uint8]
Prepare = Callable[[Path], Pixels]

#: Pictures in a tile: whose values stay in the caches beside the weights. Those of Lite0 are few.
TILE, TILE_OF_LITE0 = 16, 4
TOP = 5
RESIZE = {
    "bicubic": torch.ops.aten._upsample_bicubic2d_aa.default,
    "bilinear": torch.ops.aten._upsample_bilinear2d_aa.default,
}
PILLOW = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def main() -> None:
    """Label a folder and print what it took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--precision", choices=("bf16", "exact"), default="bf16")
    parser.add_argument("--decode", choices=("turbo", "pillow"), default="turbo")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tile", type=int)
    asked = parser.parse_args()
    recipe = read_recipe(asked.artifact)
    tile = asked.tile or (TILE_OF_LITE0 if "lite" in recipe.architecture else TILE)
    torch.set_num_threads(1)
    compiled = compile_network(asked.artifact, recipe, tile, asked.precision, asked.threads)
    least_side = 2 * recipe.resize if asked.precision == "bf16" else 0
    prepare = by_turbo(recipe, least_side) if asked.decode == "turbo" else by_pillow(recipe)
    paths = pictures_in(asked.folder)
    loop = Loop(paths, prepare, compiled, tile, recipe.crop)
    print(json.dumps(loop.run(asked.threads)))


class Loop:
    """Threads that take tiles of pictures from one list until it is empty."""

    def __init__(
        self, paths: list[Path], prepare: Prepare, compiled: Any, tile: int, crop: int
    ) -> None:
        self.paths, self.prepare, self.compiled, self.tile = paths, prepare, compiled, tile
        self.shape = (tile, crop, crop, 3)
        self.labels: dict[Path, list[int]] = {}
        self._firsts = iter(range(0, len(paths), tile))
        self._lock = threading.Lock()

    def run(self, threads: int) -> dict[str, float]:
        """Return what labelling took, once every thread has computed its first tile for nothing."""
        start = threading.Barrier(threads + 1)
        running = [threading.Thread(target=self._work, args=(start,)) for _ in range(threads)]
        for thread in running:
            thread.start()
        start.wait()
        began, cpu = time.perf_counter(), time.process_time()
        for thread in running:
            thread.join()
        assert len(self.labels) == len(self.paths)
        return {
            "images": len(self.paths),
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }

    def _work(self, start: threading.Barrier) -> None:
        request, pixels = self.compiled.create_infer_request(), np.zeros(self.shape, np.uint8)
        pixels[0] = self.prepare(self.paths[0])
        request.infer([pixels], share_inputs=True)
        start.wait()
        for paths in self._tiles():
            for place, path in enumerate(paths):
                pixels[place] = self.prepare(path)
            (logits,) = request.infer([pixels], share_inputs=True).values()
            best = top_labels(logits[: len(paths)])
            self.labels.update(zip(paths, best, strict=True))

    def _tiles(self) -> Iterator[list[Path]]:
        while True:
            with self._lock:
                first = next(self._firsts, None)
            if first is None:
                return
            yield self.paths[first : first + self.tile]


def top_labels(logits: npt.NDArray[np.float32]) -> list[list[int]]:
    """Return the best labels of each row, best first, after a softmax."""
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = grown / grown.sum(axis=1, keepdims=True)
    best: list[list[int]] = np.argsort(-scores, axis=1)[:, :TOP].tolist()
    return best


def by_turbo(recipe: Recipe, least_side: int) -> Prepare:
    """Decode with libjpeg-turbo, resize in torch on bytes.

    least_side: decode at a half, quarter or eighth where both sides keep that much; 0 for never.
    """
    resize = RESIZE[recipe.interpolation]

    def prepare(path: Path) -> Pixels:
        picture = simplejpeg.decode_jpeg(
            path.read_bytes(), "RGB", min_height=least_side, min_width=least_side
        )
        wide, high, left, top = geometry(picture.shape[1], picture.shape[0], recipe)
        planes = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0)
        resized = resize(planes, [high, wide], False, None, None)[0].permute(1, 2, 0).numpy()
        kept: Pixels = resized[top : top + recipe.crop, left : left + recipe.crop]
        return kept

    return prepare


def by_pillow(recipe: Recipe) -> Prepare:
    """Decode and resize with plain Pillow, as the network was trained."""

    def prepare(path: Path) -> Pixels:
        with Image.open(path) as image:
            picture = image.convert("RGB")
        wide, high, left, top = geometry(picture.width, picture.height, recipe)
        resized = picture.resize((wide, high), PILLOW[recipe.interpolation])
        return np.asarray(resized.crop((left, top, left + recipe.crop, top + recipe.crop)))

    return prepare


def geometry(width: int, height: int, recipe: Recipe) -> tuple[int, int, int, int]:
    """Return the size after resizing, and where the square begins: wide, high, left, top."""
    shorter = recipe.resize
    if width <= height:
        wide, high = shorter, int(shorter * height / width)
    else:
        wide, high = int(shorter * width / height), shorter
    return wide, high, round((wide - recipe.crop) / 2), round((high - recipe.crop) / 2)


class PixelNetwork(torch.nn.Module):
    """A network that takes bytes as they are decoded: (B, H, W, 3) -> (B, K)."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: torch.nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (recipe.mean, recipe.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, pixels: torch.Tensor) -> Any:
        return self.network(pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift)


def compile_network(artifact: Path, recipe: Recipe, tile: int, precision: str, threads: int) -> Any:
    """Return the network compiled by OpenVINO, for one request in each thread."""
    import openvino

    example = torch.zeros((tile, recipe.crop, recipe.crop, 3), dtype=torch.uint8)
    network = PixelNetwork(read_network(artifact), recipe).eval()
    trace: Any = torch.jit.trace
    with torch.no_grad():
        model = openvino.convert_model(
            trace(network, example, check_trace=False), example_input=example, input=[example.shape]
        )
    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    return openvino.Core().compile_model(model, "CPU", hints)


if __name__ == "__main__":
    main()
