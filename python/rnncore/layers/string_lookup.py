"""Numbers for strings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._configurable import Configurable
from rnncore.layers.operators import Operators

__all__ = ["StringLookup"]

Array = npt.NDArray[Any]
MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")


class StringLookup(Configurable, registry="vocabulary"):
    """Turn strings into numbers, or numbers into strings, by a vocabulary.

    It is plain Python, called on arrays of strings before a model sees them, and no part of a model: keep it by its
    `get_config`, which holds the vocabulary. Index 0 is that of `mask_token`, if there is one; the next is that of
    strings that are not known, then come those that are.

    Parameters
    ----------
    max_tokens : int, optional
        The most entries of the vocabulary, special ones included.
    num_oov_indices : {0, 1}, default 1
        With 0 a string that is not known is an error.
    mask_token : str, optional
        Has the number 0.
    oov_token : str, default "[UNK]"
        Stands for strings that are not known.
    vocabulary : sequence of str, or path of a text file with one on each line, optional
        In place of `adapt`.
    idf_weights : sequence of float, optional
        One for each entry of a `vocabulary` for "tf_idf".
    invert : bool, default False
        Whether numbers become strings.
    output_mode : {"int", "one_hot", "multi_hot", "count", "tf_idf"}, default "int"
        A number for each string; a vector for each; or for each row a vector that says which strings are in it, how
        many times, or that times log(1 + rows / (1 + rows with the string)).
    pad_to_max_tokens : bool, default False
        Whether these vectors have `max_tokens` numbers.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> lookup = layers.StringLookup()
    >>> lookup.adapt(["red", "blue", "red", "green"])
    >>> lookup.get_vocabulary()
    ['[UNK]', 'red', 'green', 'blue']
    >>> lookup(["blue", "pink"])
    array([3, 0])
    >>> layers.StringLookup.from_config(lookup.get_config())("green")
    array(2)
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Sequence[str] | str | os.PathLike[str] | None = None,
        idf_weights: Sequence[float] | None = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
    ) -> None:
        self.num_oov_indices = check.integer("num_oov_indices", num_oov_indices, low=0)
        if self.num_oov_indices > 1:
            raise ValueError(
                f"num_oov_indices must be 0 or 1: there is one number for the unknown, got {self.num_oov_indices}"
            )
        self.mask_token = None if mask_token is None else check.name("mask_token", mask_token)
        self.oov_token = check.name("oov_token", oov_token)
        self.invert = check.boolean("invert", invert)
        self.output_mode = check.lookup("output_mode", output_mode, {mode: mode for mode in MODES})
        self.max_tokens = None if max_tokens is None else check.integer("max_tokens", max_tokens, low=1)
        self.pad_to_max_tokens = check.boolean("pad_to_max_tokens", pad_to_max_tokens)
        if self.max_tokens is not None and self.max_tokens <= len(self._special()):
            raise ValueError(
                f"max_tokens must be more than the {len(self._special())} special tokens, got {max_tokens}"
            )
        if self.pad_to_max_tokens and (self.max_tokens is None or self.output_mode == "int"):
            raise ValueError("pad_to_max_tokens needs max_tokens, and an output_mode of vectors")
        if self.invert and self.output_mode != "int":
            raise ValueError(f"output_mode must be 'int' with invert, got {self.output_mode!r}")
        self._tokens: list[str] = []
        self._numbers: dict[str, int] = {}
        self._weights: Array | None = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        elif idf_weights is not None:
            raise ValueError("idf_weights must be given with a vocabulary")

    def _special(self) -> list[str]:
        """What stands before the vocabulary."""
        mask = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        return [*mask, *[self.oov_token] * self.num_oov_indices]

    def set_vocabulary(
        self, vocabulary: Sequence[str] | str | os.PathLike[str], idf_weights: Sequence[float] | None = None
    ) -> None:
        """Take this vocabulary; special tokens may stand at its beginning.

        Raises
        ------
        TypeError, ValueError
            If it is empty, too long or has an entry twice, or weights do not fit; nothing is changed.

        Examples
        --------
        >>> from rnncore import layers
        >>> lookup = layers.StringLookup()
        >>> lookup.set_vocabulary(["a", "b"])
        >>> lookup(["b", "c", "a"])
        array([2, 0, 1])
        """
        if isinstance(vocabulary, (str, os.PathLike)):
            with open(vocabulary, encoding="utf-8") as file:
                vocabulary = file.read().splitlines()
        given, special = [check.name("each entry of vocabulary", token) for token in list(vocabulary)], self._special()
        begins = bool(special) and given[: len(special)] == special
        tokens = given[len(special) :] if begins else given
        if not tokens:
            raise ValueError("vocabulary must have entries, got none")
        repeated = sorted(token for token, count in Counter(tokens).items() if count > 1)
        if repeated:
            raise ValueError(f"vocabulary must have each entry once, got {', '.join(map(repr, repeated[:5]))} again")
        if self.mask_token is not None and self.mask_token in tokens:
            raise ValueError(f"vocabulary must have mask_token {self.mask_token!r} at its beginning, or not at all")
        if self.max_tokens is not None and len(special) + len(tokens) > self.max_tokens:
            raise ValueError(
                f"vocabulary must have at most {self.max_tokens} entries, got {len(special) + len(tokens)}"
            )
        weights = None
        if (idf_weights is not None) != (self.output_mode == "tf_idf"):
            raise ValueError(f"idf_weights must be given with output_mode 'tf_idf' alone, got {self.output_mode!r}")
        if idf_weights is not None:
            weights = check.real_array("idf_weights", idf_weights, (len(given),)).astype(np.float64)
            if not begins:
                weights = np.concatenate([[weights.mean()] * len(special), weights])
        self._take(tokens, weights)

    def _take(self, tokens: list[str], weights: Array | None) -> None:
        special = self._special()
        self._numbers = {token: number for number, token in enumerate(tokens, start=len(special))}
        if self.mask_token is not None and self.output_mode == "int":
            self._numbers[self.mask_token] = 0
        self._tokens, self._weights = tokens, weights

    def adapt(self, data: Any) -> None:
        """Number the strings of data by how often they are there.

        Of those equally frequent, the last of the alphabet comes first, as in Keras.

        Parameters
        ----------
        data : str, array_like of str, or an iterator of them

        Raises
        ------
        TypeError, ValueError
            If there are no strings; nothing is changed.

        Examples
        --------
        >>> from rnncore import layers
        >>> lookup = layers.StringLookup(max_tokens=3)
        >>> lookup.adapt([["a", "b"], ["b", "c"]])
        >>> lookup.get_vocabulary()
        ['[UNK]', 'b', 'c']
        """
        self._learn(row for batch in batches_of(data) for row in np.atleast_1d(strings("data", batch)))

    def _learn(self, rows: Iterable[Iterable[str]]) -> None:
        """Count the strings, and the rows they are in."""
        counts: Counter[str] = Counter()
        documents: Counter[str] = Counter()
        total = 0
        for row in rows:
            tokens = [str(row)] if isinstance(row, str) else list(map(str, np.asarray(row).ravel()))
            counts.update(tokens)
            documents.update(set(tokens))
            total += 1
        for token in (self.oov_token, *self._special()):
            counts.pop(token, None)
        if not counts:
            raise ValueError("data must hold strings to learn, got none")
        tokens = sorted(counts, key=lambda token: (counts[token], token), reverse=True)
        special = self._special()
        if self.max_tokens is not None:
            tokens = tokens[: self.max_tokens - len(special)]
        weights = None
        if self.output_mode == "tf_idf":
            known = np.log(1 + total / (1 + np.array([documents[token] for token in tokens])))
            weights = np.concatenate([[known.mean()] * len(special), known])
        self._take(tokens, weights)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The strings in the order of their numbers.

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.StringLookup(vocabulary=["a"], mask_token="").get_vocabulary()
        ['', '[UNK]', 'a']
        """
        return [*(self._special() if include_special_tokens else ()), *self._tokens]

    def vocabulary_size(self) -> int:
        """How many entries there are, special ones included.

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.StringLookup(vocabulary=["a", "b"]).vocabulary_size()
        3
        """
        return len(self._special()) + len(self._tokens)

    def __call__(self, inputs: Any) -> Array:
        """The numbers of strings, an array of int64, or with `invert` the strings of numbers; vectors are float32.

        Raises
        ------
        TypeError, ValueError
            For other data, strings that are not known where there is no number for them, and before there is a
            vocabulary.
        """
        if not self._tokens:
            raise ValueError(f"{type(self).__name__} has no vocabulary yet: call adapt or set_vocabulary")
        if self.invert:
            return self._strings(inputs)
        given = strings("inputs", inputs)
        return self._encoded(self._found(given))

    def _found(self, given: Array) -> Array:
        unknown = int(self.mask_token is not None and self.output_mode == "int")
        if not self.num_oov_indices and (missing := [s for s in given.ravel() if str(s) not in self._numbers]):
            raise ValueError(f"inputs must be of the vocabulary, which lacks {str(missing[0])!r}")
        numbers = [self._numbers.get(str(token), unknown) for token in given.ravel()]
        return np.array(numbers, np.int64).reshape(given.shape)

    def _encoded(self, numbers: Array) -> Array:
        """What the output mode makes of numbers."""
        if self.output_mode == "int":
            return numbers
        size = self.max_tokens if self.pad_to_max_tokens and self.max_tokens else self.vocabulary_size()
        vectors = np.eye(size, dtype=np.float32)[numbers]
        if self.output_mode == "one_hot":
            return vectors[..., 0, :] if numbers.ndim > 1 and numbers.shape[-1] == 1 else vectors
        sums = vectors.sum(axis=-2) if numbers.ndim else vectors
        if self.output_mode == "multi_hot":
            return np.minimum(sums, np.float32(1))
        return sums if self.output_mode == "count" else self._weighted(sums)

    def _weighted(self, counts: Array) -> Array:
        assert self._weights is not None
        weights = np.zeros(counts.shape[-1], np.float32)
        weights[: len(self._weights)] = self._weights
        return counts * weights

    def _strings(self, inputs: Any) -> Array:
        numbers = np.asarray(inputs)
        if numbers.dtype.kind not in "iu":
            raise TypeError(f"inputs must be integers with invert, got dtype {numbers.dtype}")
        known = dict(enumerate(self.get_vocabulary()))
        found = [known.get(int(number), self.oov_token) for number in numbers.ravel()]
        return np.array(found, dtype=str).reshape(numbers.shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the vocabulary of `adapt` among them: JSON-serialisable."""
        names = (
            "max_tokens",
            "num_oov_indices",
            "mask_token",
            "oov_token",
            "invert",
            "output_mode",
            "pad_to_max_tokens",
        )
        weights = None if self._weights is None else self._weights.tolist()
        vocabulary = {"vocabulary": self.get_vocabulary() if self._tokens else None, "idf_weights": weights}
        return {**{name: getattr(self, name) for name in names}, **vocabulary}


def strings(argument: str, given: Any) -> Array:
    """An array of strings; TypeError for anything else."""
    if isinstance(given, Operators):
        raise TypeError(f"{argument} must be strings: number them before the model, which reads the numbers")
    array = np.asarray(given)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "UT" and not (array.dtype == object and all(isinstance(s, str) for s in array.ravel())):
        raise TypeError(f"{argument} must be an array of strings, got {array.dtype}")
    return array


def batches_of(data: Any) -> Iterable[Any]:
    """Data as batches: an iterator gives some, anything else is one."""
    return data if isinstance(data, Iterator) else [data]
