"""Numbers for the words of texts."""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._configurable import Configurable
from rnncore.layers.string_lookup import MODES, StringLookup, batches_of, strings

__all__ = ["TextVectorization"]

Array = npt.NDArray[Any]
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
STANDARDIZERS: dict[str, Callable[[str], str]] = {
    "lower_and_strip_punctuation": lambda text: text.lower().translate(_NO_PUNCTUATION),
    "lower": str.lower,
    "strip_punctuation": lambda text: text.translate(_NO_PUNCTUATION),
}
SPLITTERS: dict[str, Callable[[str], list[str]]] = {"whitespace": str.split, "character": list}


class TextVectorization(Configurable, registry="text vectorization"):
    """Turn texts into rows of word numbers, padded with 0, or into a vector for each text.

    It is plain Python, called on texts before a model sees them, and no part of a model: keep it by its `get_config`,
    which holds the vocabulary. With the mode "int" 0 is padding and 1 any word that is not known.

    Parameters
    ----------
    max_tokens : int, optional
        The most entries of the vocabulary, padding and the unknown included.
    standardize : {"lower_and_strip_punctuation", "lower", "strip_punctuation"}, None or function
        What is done to each text first; a function takes a text and returns one. Default as listed first.
    split : {"whitespace", "character"}, None or function
        How a text becomes words; a function returns a list of them. With None it stays one. Default "whitespace".
    ngrams : int or sequence of int, optional
        Whether groups of so many words, up to a number or of these numbers, are taken for words.
    output_mode : {"int", "one_hot", "multi_hot", "count", "tf_idf"}, default "int"
        As of `StringLookup`.
    output_sequence_length : int, optional
        The number of columns in the mode "int": rows are cut or padded; by default the longest decides.
    pad_to_max_tokens : bool, default False
        Whether vectors have `max_tokens` numbers.
    vocabulary : sequence of str, or path of a text file with one on each line, optional
        In place of `adapt`.
    idf_weights : sequence of float, optional
        One for each entry of a `vocabulary` for "tf_idf".
    ragged : bool, default False
        Whether rows stay as long as they are: a list of arrays, which models take.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> vectorize = layers.TextVectorization()
    >>> vectorize.adapt(["A fine film.", "Fine actors!"])
    >>> vectorize.get_vocabulary()
    ['', '[UNK]', 'fine', 'film', 'actors', 'a']
    >>> vectorize(["a fine day", "film"])
    array([[5, 2, 1],
           [3, 0, 0]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[str], str] | None = "lower_and_strip_punctuation",
        split: str | Callable[[str], list[str]] | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Sequence[str] | str | os.PathLike[str] | None = None,
        idf_weights: Sequence[float] | None = None,
        ragged: bool = False,
    ) -> None:
        self.standardize, self.split = standardize, split
        self._standardize = _chosen("standardize", standardize, STANDARDIZERS, lambda text: text)
        self._split = _chosen("split", split, SPLITTERS, lambda text: [text])
        self.output_mode = check.lookup("output_mode", output_mode, {mode: mode for mode in MODES})
        if isinstance(ngrams, (list, tuple)):
            self.ngrams: Any = [check.positive_int("each of ngrams", width) for width in ngrams]
        else:
            self.ngrams = None if ngrams is None else check.positive_int("ngrams", ngrams)
        self.output_sequence_length = None
        if output_sequence_length is not None:
            self.output_sequence_length = check.positive_int("output_sequence_length", output_sequence_length)
        self.ragged = check.boolean("ragged", ragged)
        if output_mode != "int" and (ragged or output_sequence_length is not None):
            raise ValueError("output_sequence_length and ragged need the output_mode 'int'")
        mask = "" if output_mode == "int" else None
        padded = pad_to_max_tokens
        self._lookup = StringLookup(max_tokens, 1, mask, "[UNK]", vocabulary, idf_weights, False, output_mode, padded)

    @property
    def max_tokens(self) -> int | None:
        """The most entries of the vocabulary, or None."""
        return self._lookup.max_tokens

    @property
    def pad_to_max_tokens(self) -> bool:
        """Whether vectors have `max_tokens` numbers."""
        return self._lookup.pad_to_max_tokens

    def _words(self, text: str) -> list[str]:
        words = [check.name("each word", word) for word in self._split(self._standardize(text))]
        if self.ngrams is None:
            return words
        widths = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams
        return [" ".join(words[k : k + width]) for width in widths for k in range(len(words) - width + 1)]

    def _texts(self, argument: str, given: Any) -> Array:
        texts = strings(argument, given)
        if texts.ndim == 2 and texts.shape[1] == 1:
            texts = texts[:, 0]
        if texts.ndim > 1:
            raise ValueError(f"{argument} must be one text, or texts of shape (N,) or (N, 1), got {texts.shape}")
        return texts

    def adapt(self, data: Any) -> None:
        """Number the words of texts by how often they are there; see `StringLookup.adapt`.

        Parameters
        ----------
        data : str, array_like of str (N,) or (N, 1), or an iterator of them

        Examples
        --------
        >>> from rnncore import layers
        >>> vectorize = layers.TextVectorization(split="character")
        >>> vectorize.adapt(["aba"])
        >>> vectorize.get_vocabulary()
        ['', '[UNK]', 'a', 'b']
        """
        self._lookup._learn(
            self._words(str(text)) for batch in batches_of(data) for text in np.atleast_1d(self._texts("data", batch))
        )

    def set_vocabulary(
        self, vocabulary: Sequence[str] | str | os.PathLike[str], idf_weights: Sequence[float] | None = None
    ) -> None:
        """Take this vocabulary; see `StringLookup.set_vocabulary`.

        Examples
        --------
        >>> from rnncore import layers
        >>> vectorize = layers.TextVectorization()
        >>> vectorize.set_vocabulary(["fine", "film"])
        >>> vectorize("A fine film")
        array([1, 2, 3])
        """
        self._lookup.set_vocabulary(vocabulary, idf_weights)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words in the order of their numbers.

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.TextVectorization(vocabulary=["a"]).get_vocabulary(include_special_tokens=False)
        ['a']
        """
        return self._lookup.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many entries there are, special ones included: the `input_dim` of an `Embedding`.

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.TextVectorization(vocabulary=["a"]).vocabulary_size()
        3
        """
        return self._lookup.vocabulary_size()

    def __call__(self, inputs: Any) -> Any:
        """The numbers of the words of texts (N, T) of int64, with `ragged` a list of arrays, or vectors of float32.

        Raises
        ------
        TypeError, ValueError
            For other data, and before there is a vocabulary.
        """
        texts = self._texts("inputs", inputs)
        rows = [np.array(self._words(str(text)), dtype=str) for text in texts.ravel()]
        found = [self._lookup(row) for row in rows]
        if self.output_mode != "int":
            if self.output_mode == "one_hot":
                raise_unequal(found)
            return np.stack(found) if texts.ndim else found[0]
        limit = self.output_sequence_length
        if self.ragged:
            return [row[:limit] for row in found] if texts.ndim else found[0][:limit]
        steps = max(map(len, found), default=0) if limit is None else limit
        padded = np.zeros((len(found), steps), np.int64)
        for row, numbers in zip(padded, found, strict=True):
            row[: len(numbers)] = numbers[:steps]
        return padded if texts.ndim else padded[0]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the vocabulary of `adapt` among them: JSON-serialisable.

        Raises
        ------
        ValueError
            If one of them is a function.
        """
        for name in ("standardize", "split"):
            if callable(getattr(self, name)):
                raise ValueError(f"{name} is a function, which a config cannot hold; keep get_vocabulary() yourself")
        of_lookup = self._lookup.get_config()
        names = ("standardize", "split", "ngrams", "output_mode", "output_sequence_length", "ragged")
        kept = ("max_tokens", "pad_to_max_tokens", "vocabulary", "idf_weights")
        return {**{name: getattr(self, name) for name in names}, **{name: of_lookup[name] for name in kept}}


def raise_unequal(found: list[Array]) -> None:
    """ValueError for rows of different lengths, of which one_hot makes no array."""
    if len({row.shape for row in found}) > 1:
        raise ValueError("output_mode 'one_hot' needs texts of equally many words")


def _chosen(argument: str, given: Any, known: dict[str, Any], otherwise: Any) -> Any:
    if given is None:
        return otherwise
    return given if callable(given) else check.lookup(argument, given, known)
