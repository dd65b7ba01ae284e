"""The linear probe of a network: fitted on its features, and put on as its head."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from imgq_trainer.datasets.values import Split
from imgq_trainer.training.candidates import Candidate, Workshop
from imgq_trainer.training.checkpoints import Memory
from imgq_trainer.training.embedding import Features, embed
from imgq_trainer.training.events import Stage
from imgq_trainer.training.pictures import Pictures, identity
from imgq_trainer.training.probing import Logits, Probe, choose_probe, fit_probe
from imgq_trainer.training.starting import Start, head_of


@dataclass(frozen=True, slots=True, eq=False)
class Prober:
    """Makes the probe of one network on one kind of pictures."""

    shop: Workshop
    start: Start
    pictures: Pictures

    def make(self) -> tuple[Candidate, Probe]:
        """Fit on training's pictures; choose by validation's."""
        keeper, name = self.shop.loop.keeper, "probe"
        memory = keeper.finished.get(name)
        if memory is None:
            memory = self._fit()
            keeper.finish(name, memory, stage=Stage.PROBE, run=1, epoch=0)
        probe = Probe(memory.tensors["weight"], memory.tensors["bias"], memory.facts["l2"])
        logits: Logits = memory.tensors["val_logits"].numpy()
        return self._candidate(probe, logits), probe

    def refit(self, probe: Probe, logits: Logits) -> tuple[Candidate, Probe]:
        """Fit once more, as strongly, on training's and validation's pictures."""
        both = (Split.TRAIN, Split.VAL)
        rows = self.shop.pool.rows(*both)
        with self.shop.loop.machine.repeatable():
            (again,) = fit_probe(
                self.features()[rows],
                self.shop.pool.truth[rows],
                self.shop.balance(*both),
                [probe.l2],
                self.shop.config.probe.iterations,
                alive=self._alive,
            )
        return self._candidate(again, logits), again

    def features(self) -> Features:
        """Return every picture's features, (N, D), computed at the first call of all."""
        name = identity(self.shop.pool.examples, self.pictures.how)
        path = self.shop.folder / f"features-{name}-{self.start.architecture.name}.npy"
        if path.exists():
            stored: Features = np.load(path)
            return stored
        machine = self.shop.loop.machine
        network = self.start.build(self.shop.classes)
        features = embed(
            network,
            self.pictures,
            str(machine.device),
            self.shop.crew,
            machine.stop,
            self.shop.loop.events.progress,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new.npy")
        np.save(fresh, features)
        fresh.replace(path)
        return features

    def _fit(self) -> Memory:
        features, pool, knobs = self.features(), self.shop.pool, self.shop.config.probe
        train, val = pool.rows(Split.TRAIN), pool.rows(Split.VAL)
        with self.shop.loop.machine.repeatable():
            probes = fit_probe(
                features[train],
                pool.truth[train],
                self.shop.balance(Split.TRAIN),
                knobs.l2,
                knobs.iterations,
                alive=self._alive,
            )
        best = choose_probe(probes, features[val], pool.truth[val])
        logits = torch.from_numpy(best.logits(features[val]))
        tensors = {"weight": best.weight, "bias": best.bias, "val_logits": logits}
        return Memory({"l2": best.l2}, tensors)

    def _alive(self) -> None:
        count = len(self.pictures)
        self.shop.loop.events.progress(count, count)

    def _candidate(self, probe: Probe, logits: Logits) -> Candidate:
        network = with_probe(self.start.build(self.shop.classes), probe)
        how, seed = self.pictures.how, self.shop.seed
        state = network.state_dict()
        return Candidate("probe", Stage.PROBE, self.start, how, state, logits, 0, 0, (), seed)


def with_probe(network: nn.Module, probe: Probe) -> nn.Module:
    """Put a probe on as the network's head."""
    head = head_of(network)
    if head is None or head.weight.shape != probe.weight.shape:
        raise ValueError("the network's head is no linear one of the probe's size")
    with torch.no_grad():
        head.weight.copy_(probe.weight)
        if head.bias is not None:
            head.bias.copy_(probe.bias)
    return network
