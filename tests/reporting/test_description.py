from types import SimpleNamespace

from hydra import compose, initialize_config_dir

from jointdec.config import conf_folder, parse
from jointdec.reporting.description import description
from jointdec.specimens import Finding


def describe(*overrides, outcome="finished", results=(), final=None, label_warning=None, finding=None):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = parse(compose("config", overrides=list(overrides)))
    dataset = SimpleNamespace(name="molecules", train=range(4000), digest="abc123", label_warning=label_warning)
    return description(config, dataset, outcome, results, final or {}, finding)


def test_it_says_what_was_trained_on_what_and_how_it_ended():
    text = describe("loss=tf_native", "loss.weights.edges=3", final={"test/exact": 0.25})
    for fact in ("**tf_native**", "1 · nodes + 3 · edges", "4,000 molecules", "abc123", "**finished**", "0.2500"):
        assert fact in text


def test_it_names_the_first_bad_step_of_a_run_that_diverged():
    text = describe(outcome="diverged", results=[SimpleNamespace(diverged_at=17)])
    assert "not finite came in step 17" in text


def test_it_warns_of_labels_that_are_no_distributions():
    text = describe(label_warning="5 of 6 labels are no distributions.")
    assert "5 of 6 labels are no distributions." in text
    assert "no lower bound" in text
    assert "no lower bound" not in describe()


def test_it_explains_a_specimen_and_gives_the_evidence():
    text = describe("loss=answer", outcome="specimen_failed", finding=Finding("nan", "It came in step 3."))
    for fact in ("specimen", "Found (nan): It came in step 3.", "takes probabilities", "Instead: loss=split"):
        assert fact in text
    assert "specimen" not in describe("loss=split")
