"""timm's way to label a folder, with the defaults of its inference.py.

That script is in timm's repository, not in its package: this has its shape, by timm's own
create_dataset and create_loader, in batches of 256 from 2 worker processes.
"""

from functools import partial
from pathlib import Path

import safetensors.torch
import timm
import torch
from timm.data.config import resolve_data_config
from timm.data.dataset_factory import create_dataset
from timm.data.loader import create_loader

from bench.peers.steady import read_arguments, report_difference

BATCH = 256
WORKERS = 2


def main() -> None:
    """Label both folders."""
    asked = read_arguments()
    network = timm.create_model("resnet18", pretrained=False)
    network.load_state_dict(safetensors.torch.load_file(asked.weights))
    report_difference(partial(label, network.eval()), asked)


def label(network: torch.nn.Module, folder: Path) -> int:
    """Return how many pictures of a folder were labelled."""
    config = resolve_data_config({}, model=network)  # type: ignore[no-untyped-call]
    loader = create_loader(
        create_dataset("", root=str(folder)),
        batch_size=BATCH,
        use_prefetcher=True,
        num_workers=WORKERS,
        device=torch.device("cpu"),
        **config,
    )
    labels = []
    with torch.inference_mode():
        for batch, _ in loader:
            _, best = network(batch).softmax(-1).topk(5)
            labels += best.tolist()
    return len(labels)


if __name__ == "__main__":
    main()
