"""timm's way to label a folder, with the defaults of its inference.py.

That script is in timm's repository, not in its package: this has its shape, by timm's own
create_dataset and create_loader, in batches of 256 from 2 worker processes.
"""

from collections.abc import Iterator

import safetensors.torch
import timm
import torch
from timm.data.config import resolve_data_config
from timm.data.dataset_factory import create_dataset
from timm.data.loader import create_loader

from bench.peers.steady import Asked, pictures_in, read_arguments, report_stream

BATCH = 256
WORKERS = 2


def main() -> None:
    """Label the long folder."""
    asked = read_arguments()
    report_stream(label(asked), warm=BATCH, total=len(pictures_in(asked.long)))


def label(asked: Asked) -> Iterator[int]:
    """Yield how many pictures each batch has labelled."""
    device = torch.device("cpu")
    network = timm.create_model("resnet18", pretrained=False)
    network.load_state_dict(safetensors.torch.load_file(asked.weights))
    network = network.to(device).eval()
    config = resolve_data_config({}, model=network)  # type: ignore[no-untyped-call]
    loader = create_loader(
        create_dataset("", root=str(asked.long)),
        batch_size=BATCH,
        use_prefetcher=True,
        num_workers=WORKERS,
        device=device,
        **config,
    )
    with torch.inference_mode():
        for batch, _ in loader:
            _, best = network(batch).softmax(-1).topk(5)
            yield len(best.numpy())


if __name__ == "__main__":
    main()
