from types import SimpleNamespace

import numpy as np
from hydra import compose, initialize_config_dir

from jointdec.config import conf_folder, parse
from jointdec.divergence.record import Divergence
from jointdec.divergence.runaway import Runaway
from jointdec.problems.molecules.specimens import Finding
from jointdec.reporting.description import description
from jointdec.reporting.findings import Findings


def describe(*overrides, outcome="finished", final=None, warnings=(), findings=None):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = parse(compose("config", overrides=list(overrides)))
    dataset = SimpleNamespace(name="molecules", train=range(4000), digest="abc123", warnings=warnings, missing={})
    return description(config, dataset, outcome, [], final or {}, findings or Findings())


def test_it_says_what_was_trained_on_what_and_how_it_ended():
    text = describe("loss=tf_native", "loss.weights.edges=3", final={"test/exact": 0.25})
    for fact in ("**tf_native**", "1 · nodes + 3 · edges", "4,000 examples", "abc123", "**finished**", "0.2500"):
        assert fact in text


def test_it_says_of_a_run_that_diverged_what_where_why_and_what_to_try():
    divergence = Divergence(17, np.arange(3), "edges_gram", "It is inf.", "learning_rate", "It moved.", [], False)
    text = describe(outcome="diverged", findings=Findings(divergence=divergence))
    for fact in ("step 17", "edges_gram", "It is inf.", "**learning_rate**", "It moved.", divergence.remedy):
        assert fact in text


def test_it_says_when_a_loss_ran_away_while_finite():
    runaway = Runaway(step=5, head="nodes", kind="growth", value=1e6, median=2.0)
    assert "The nodes loss ran away in step 5" in describe(findings=Findings(runaway=runaway))


def test_it_warns_of_labels_that_are_no_distributions():
    text = describe(warnings=["5 of 6 labels are no distributions."])
    assert "5 of 6 labels are no distributions." in text
    assert "Warning" not in describe()


def test_it_explains_a_specimen_and_gives_the_evidence():
    text = describe("loss=answer", outcome="specimen_failed", findings=Findings(Finding("nan", "It came in step 3.")))
    for fact in ("specimen", "Found (nan): It came in step 3.", "takes probabilities", "Instead: loss=split"):
        assert fact in text
    assert "specimen" not in describe("loss=split")
