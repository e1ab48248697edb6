"""What is wrong with a problem of the user's is one sentence that names their file, line, function or head."""

import textwrap

import pytest
from hydra import compose, initialize_config_dir

from jointdec.config import conf_folder, parse
from jointdec.dataset import silent
from jointdec.errors import UserError
from jointdec.objective.formulation import make_formulation
from jointdec.problems import find
from jointdec.problems.compose import with_problem
from jointdec.training.from_config import fit_labels

GOOD = {
    "imports": "import keras\nimport numpy as np\nimport jointdec\n",
    "data": """
        def data(rows: int = 30):
            rng = np.random.default_rng(0)
            return rng.normal(size=(rows, 3)), {"price": rng.normal(size=rows), "kind": rng.integers(0, 2, rows)}
    """,
    "model": """
        def model(width: int = 4):
            inputs = keras.Input((3,))
            x = keras.layers.Dense(width)(inputs)
            return keras.Model(inputs, {"price": keras.layers.Dense(1)(x), "kind": keras.layers.Dense(2)(x)})
    """,
    "problem": """
        problem = jointdec.Problem(
            data=data, model=model, heads={"price": jointdec.Head("real"), "kind": jointdec.Head("classes")}
        )
    """,
}


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Write house.py with other parts, and do all that a run does before it trains."""
    monkeypatch.chdir(tmp_path)

    def prepare(*overrides, **parts):
        text = "\n".join(textwrap.dedent(part) for part in (GOOD | parts).values())
        (tmp_path / "house.py").write_text(text)
        return prepare_file("problem=house.py", *overrides)

    def prepare_file(*overrides):
        lines = with_problem([*overrides, "tracking=none"])
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            config = parse(compose("config", overrides=lines))
        dataset = find(config.problem).load(config.data, silent)
        formulation = make_formulation(config, dataset.train.x)
        return config, fit_labels(dataset, formulation), formulation

    prepare.file = prepare_file
    return prepare


def heads(text, more=""):
    return {"problem": f"problem = jointdec.Problem(data=data, model=model, heads={{{text}}}{more})\n"}


BOTH = '"price": jointdec.Head("real"), "kind": jointdec.Head("classes")'
RETURNED = (
    "rng = np.random.default_rng(0); x = rng.normal(size=(30, 3)); y = rng.normal(size=30); k = rng.integers(0, 2, 30)"
)


def data(line, keywords="rows: int = 30", before=RETURNED):
    return {"data": f"def data({keywords}):\n    {before}\n    {line}\n"}


WRONG = {
    "a syntax error": ({"data": "def data(:\n    pass\n"}, r"house\.py:\d+: "),
    "no problem": (
        {"problem": ""},
        r"house\.py defines no problem: it must hold problem = jointdec\.Problem\(\.\.\.\)",
    ),
    "another thing": ({"problem": "problem = 3"}, r"problem in house\.py is int 3"),
    "an error of the user's": ({"problem": "problem = 1 / 0"}, r"house\.py:\d+: ZeroDivisionError: division by zero"),
    "an unknown kind": (
        heads('"price": jointdec.Head("clases")'),
        r"house\.py:\d+.*'clases' \(did you mean 'classes'\?\)",
    ),
    "no heads": (heads(""), "heads must be a dict with at least one head"),
    "two heads of one name": (
        heads('"price": jointdec.Head("real"), "price": jointdec.Head("classes")'),
        r"house\.py:\d+: heads has 'price' twice",
    ),
    "a head's name that is no key": (heads('"the price": jointdec.Head("real")'), "heads has 'the price'"),
    "a head named as the total": (heads('"loss": jointdec.Head("real")'), "a name of jointdec's own"),
    "a term named as a head": (heads(BOTH, ', terms={"kind": len}'), "'kind' is in heads and in terms"),
    "a term that is no function": (heads(BOTH, ', terms={"gap": 3}'), r"terms\['gap'\] is 3"),
    "a model without a head's output": (
        heads(BOTH + ', "size": jointdec.Head("real")') | data('return x, {"price": y, "kind": k, "size": y}'),
        r"model\(\) in house\.py has no output for the head 'size': its outputs are price, kind",
    ),
    "a model that is none": ({"model": "def model():\n    return 3\n"}, r"model\(\) in house\.py gives a int"),
    "a model that fails": (
        {"model": "def model():\n    return keras.layers.Dense('wide')\n"},
        r"house\.py:\d+ in model\(\): ",
    ),
    "labels of another shape": (
        data('return x, {"price": np.stack([y, y], 1), "kind": k}'),
        r"y\['price'\] of .* has the shape \(24, 2\), but the model's output 'price' is \(n, 1\)",
    ),
    "a loss that is one number": (
        heads(
            '"price": jointdec.Head("real", loss=lambda y, p: keras.ops.mean(y - p)), "kind": jointdec.Head("classes")'
        ),
        "The loss of the head 'price' in house.py gives one number, but must give a value for each place",
    ),
    "an unknown loss": (
        heads('"price": jointdec.Head("real", loss="msee"), "kind": jointdec.Head("classes")'),
        r"loss of the head 'price' in house\.py is 'msee' \(did you mean 'mse'\?\)",
    ),
    "NaN labels": (
        data('y[3] = np.nan; return x, {"price": y, "kind": k}'),
        r"y\['price'\] of data\(\) in house\.py holds 1 labels that are NaN or infinite, the first at index \[3\]",
    ),
    "fractions for classes": (
        data('return x, {"price": y, "kind": k + 0.5}'),
        r"y\['kind'\] .* holds 30 numbers that are not whole",
    ),
    "texts for classes": (
        data('return x, {"price": y, "kind": k.astype(str)}'),
        r"y\['kind'\] .* is of type <U21, but classes labels are whole numbers from 0",
    ),
    "a class outside of the logits": (
        data('return x, {"price": y, "kind": k + 1}'),
        r"y\['kind'\] of .* class indices outside 0 to 1",
    ),
    "NaN inputs": (data('x[2, 1] = np.nan; return x, {"price": y, "kind": k}'), r"x of data\(\) .* 1 NaN .*\[2, 1\]"),
    "weights of another shape": (
        data('return x, {"price": y, "kind": k}, {"kind": np.ones((30, 2))}'),
        r"weights\['kind'\] .* \(30, 2\)",
    ),
    "weights below zero": (
        data('return x, {"price": y, "kind": k}, {"kind": k - 1.0}'),
        r"weights\['kind'\] .* below 0",
    ),
    "weights that are all 0": (
        data('return x, {"price": y, "kind": k}, {"kind": 0 * y}'),
        r"y\['kind'\] of data\(\) in house\.py has no label in the train split",
    ),
    "an unknown head's labels": (data('return x, {"price": y, "kind": k, "size": y}'), "y of .* has 'size'"),
    "a head without labels": (data('return x, {"price": y}'), "no labels of the head 'kind'"),
    "other lengths": (data('return x, {"price": y[:-1], "kind": k}'), r"y\['price'\] .* \(29,\), but x has 30 rows"),
    "not a tuple": (data("return x"), r"data\(\) in house\.py gives a ndarray, but must give x, y or x, y, weights"),
    "too few rows": (data('return x[:2], {"price": y[:2], "kind": k[:2]}'), "gives 2 rows, but at least 3 are needed"),
    "a data function that fails": (data("return open('houses.csv')"), r"house\.py:\d+ in data\(\): FileNotFoundError"),
    "a data function that downloads": (
        data("import urllib.request; return urllib.request.urlopen('http://example.org/houses.csv')"),
        r"data\(\) in house\.py wants to fetch something from example\.org: jointdec downloads nothing",
    ),
    "a keyword without annotation": (
        data('return x, {"price": y, "kind": k}', "rows=30"),
        r"data\(\) in house\.py has the keyword 'rows' without an annotation: write rows: int = 30",
    ),
    "a keyword of a strange type": (data("return x", "rows: dict = None"), "annotates 'rows' with dict, but a key is"),
    "a default that does not fit": (data("return x", "rows: int = 'many'"), "default that does not fit its annotation"),
    "keywords without names": (data("return x", "**keys: int"), r"takes \*\*keys: int, but its keywords are its keys"),
}


@pytest.mark.parametrize(("parts", "sentence"), WRONG.values(), ids=WRONG)
def test_it_is_one_sentence(prepare, parts, sentence):
    with pytest.raises(UserError, match=sentence) as told:
        prepare(**parts)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["problem=hause.py"], "problem is 'hause.py', but there is no such file in"),
        (["problem=nopackage.house"], "there is no module 'nopackage' here"),
        (["problem=molecule"], r"problem is 'molecule' \(did you mean 'molecules'\?\)"),
    ],
)
def test_a_problem_that_is_not_there(prepare, overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        prepare.file(*overrides)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.width=wide", "model.width: "),
        ("+model.with=3", r"There is no key 'model.with' \(did you mean 'model.width'\?\)"),
        ("loss.weights.price=-1", "loss.weights.price is -1.0, but must be at least 0"),
        ("loss.weights.price=inf", "loss.weights.price is inf, but must be a finite number"),
        ("+loss.weights.prize=1", r"There is no key 'loss.weights.prize' \(did you mean 'loss.weights.price'\?\)"),
        ("loss=tf_native", "must be one of joint, split, zero_plus_total, mse for problem=house.py: it belongs to"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_the_right_ones(prepare, override, sentence):
    with pytest.raises(UserError, match=sentence):
        prepare(override)


def test_a_term_that_asks_for_an_unknown_head_is_told_before_there_is_a_run(prepare):
    term = ', terms={"gap": lambda y, y_pred: y_pred["prize"][:, 0]}'
    with pytest.raises(
        UserError, match=r"The term 'gap' in house\.py asks for the head 'prize' \(did you mean 'price'\?\)"
    ):
        prepare(**heads(BOTH, term))


def test_terms_need_a_formulation_that_sees_all_heads(prepare):
    more = heads(BOTH, ', terms={"gap": lambda y, y_pred: y_pred["price"][:, 0] ** 2}')
    with pytest.raises(UserError, match=r"loss=split has one loss a head, and the term 'gap' looks at several"):
        prepare("loss=split", **more)
    config, _, _ = prepare("loss=split", "loss.terms.gap=0", **more)
    assert config.loss.terms == {"gap": 0.0}


def test_a_good_one_is_prepared(prepare):
    config, dataset, formulation = prepare("data.rows=40", "model.width=5")
    assert (config.model.width, len(dataset.train), len(dataset.val), len(dataset.test)) == (5, 32, 4, 4)
    assert formulation.count_parameters() == 3 * 5 + 5 + 5 + 1 + 10 + 2
    assert dataset.train.y["price"].shape == (32, 1)
