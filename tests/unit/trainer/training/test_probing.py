import numpy as np
import torch

from imgq_trainer.training.probing import choose_probe, fit_probe, log_loss
from imgq_trainer.training.weighing import decide_balance

DRAW = np.random.default_rng(3)
TRUTH = np.arange(90) % 3
CENTRES = DRAW.normal(size=(3, 6)) * 3
FEATURES = (CENTRES[TRUTH] + DRAW.normal(size=(90, 6))).astype(np.float32) * 7 + 100
EVEN = decide_balance("none", [30, 30, 30], TRUTH, 1.0)


def test_a_probe_separates_what_can_be_separated() -> None:
    (probe,) = fit_probe(FEATURES, TRUTH, EVEN, [1e-3], 100, alive=lambda: None)
    assert (probe.logits(FEATURES).argmax(1) == TRUTH).mean() > 0.95


def test_the_solution_does_not_depend_on_where_it_began() -> None:
    alone = fit_probe(FEATURES, TRUTH, EVEN, [0.01], 200, alive=lambda: None)[0]
    after = fit_probe(FEATURES, TRUTH, EVEN, [1.0, 0.1, 0.01], 200, alive=lambda: None)[-1]
    torch.testing.assert_close(alone.weight, after.weight, rtol=0.02, atol=1e-4)


def test_a_stronger_l2_gives_smaller_weights() -> None:
    strong, weak = fit_probe(FEATURES, TRUTH, EVEN, [0.001, 1.0], 100, alive=lambda: None)
    assert (strong.l2, weak.l2) == (1.0, 0.001)
    assert strong.weight.norm() < weak.weight.norm()


def test_validation_chooses_the_strength() -> None:
    probes = fit_probe(FEATURES[:60], TRUTH[:60], EVEN, [10.0, 0.01], 100, alive=lambda: None)
    best = choose_probe(probes, FEATURES[60:], TRUTH[60:])
    losses = [log_loss(probe.logits(FEATURES[60:]), TRUTH[60:]) for probe in probes]
    assert log_loss(best.logits(FEATURES[60:]), TRUTH[60:]) == min(losses)


def test_a_feature_that_never_varies_does_no_harm() -> None:
    features = np.concatenate([FEATURES, np.full((90, 1), 5.0, np.float32)], 1)
    (probe,) = fit_probe(features, TRUTH, EVEN, [1e-3], 50, alive=lambda: None)
    assert np.isfinite(probe.logits(features)).all()
