"""Calls of layers that begin from given states."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore._pages import see
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.layers.symbolic import SymbolicValue, symbolic_values
from rnncore.parameters import Array
from rnncore.program import Shape

__all__ = ["TakesInitialState"]


class TakesInitialState(Layer, registered=False):
    """Base of the layers that run over a sequence (N, T, I) and may be given the states to begin with.

    A stateful layer begins each batch with the states after the batch before, row by row, unless a call gives it
    an `initial_state`.
    """

    def _state_sizes(self) -> tuple[tuple[str, int], ...]:
        """The name and the size H of each state (N, H)."""
        raise NotImplementedError

    go_backwards: bool = False
    stateful: bool = False
    _states_kept: list[Array] | None = None  # (N, H) each; where the engine reads and writes them; None: zeros

    @property
    def states(self) -> list[Array]:
        """The live states (N, H) of a stateful layer, from which the next batch goes on."""
        if self._states_kept is None:
            if not self._keeps_states():
                raise AttributeError(f"{self.name!r} keeps no states: make it with stateful=True and build it")
            rows = self.input_shape[0] if self.input_shape else None
            self._states_kept = self._first_states(rows or 0)
        return self._states_kept

    def _first_states(self, rows: int) -> list[Array]:
        """The states (rows, H) that a sequence begins with: zeros, unless the layer has learned others."""
        return [np.zeros((rows, size), np.float32) for _, size in self._state_sizes()]

    def _keeps_states(self) -> bool:
        return self.stateful and self.built and self._keeps_own_states()

    def build(self, input_shape: Shape) -> None:
        """Make the weights; states that are kept need a fixed batch size."""
        if self.stateful and not self.built and input_shape[0] is None:
            raise ValueError(
                f"{self.name!r} is stateful and needs a fixed batch size: give Input a batch_size or batch_shape, got"
                f" shape {input_shape}{see('guide/recurrent')}"
            )
        super().build(input_shape)

    def _keeps_own_states(self) -> bool:
        """Whether the states of a stateful layer are its own rather than those of layers inside."""
        return True

    def reset_states(self, states: Any = None) -> None:
        """Let the next batch begin from zeros or what the layer has learned, or from the given states.

        Parameters
        ----------
        states : array_like or list of array_like, (N, H) each, optional

        Raises
        ------
        TypeError, ValueError
            If the layer is not stateful or not built, or a state has another shape.

        Examples
        --------
        >>> from rnncore import layers
        >>> layer = layers.GRU(2, stateful=True)
        >>> y = layer(layers.Input(batch_shape=(1, None, 3)))
        >>> layer.reset_states([[1.0, 2.0]])
        >>> layer.states
        [array([[1., 2.]], dtype=float32)]
        """
        if not self._keeps_states():
            raise ValueError(f"{self.name!r} keeps no states to reset: make it with stateful=True and build it")
        kept = self.states
        given: list[Any] = list(self._first_states(len(kept[0])))
        if states is not None:
            is_list = isinstance(states, (list, tuple)) and (len(kept) > 1 or np.ndim(states) > 2)
            given = list(states) if is_list else [states]
        if len(given) != len(kept):
            raise ValueError(f"states of {self.name!r} must be {len(kept)} arrays, got {len(given)}")
        checked = [
            check.real_array(f"state {name} of {self.name!r}", value, state.shape)
            for (name, _), value, state in zip(self._state_sizes(), given, kept, strict=True)
        ]
        for state, value in zip(kept, checked, strict=True):
            state[...] = value

    reset_state = reset_states

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, I) with a known I."""
        check.sequence_shape(self.name, shape)
        self._features(shape)

    def __call__(  # type: ignore[override]  # Keras's arguments
        self,
        inputs: Any,
        initial_state: Any = None,
        mask: SymbolicValue | None = None,
        *,
        resets: SymbolicValue | None = None,
    ) -> Any:
        """Describe this layer applied to a sequence, from zeros or from the given states.

        Parameters
        ----------
        inputs : SymbolicValue of shape (N, T, I), or a list of it and the initial states
        initial_state : SymbolicValue or list of them, each of shape (N, H), optional
        mask : SymbolicValue of shape (N, T), optional
            An `Input` of integers or booleans, zero where a step is to be skipped: the state is held there. It takes
            the place of the mask that comes with `inputs`.
        resets : SymbolicValue of shape (N, T), optional
            An `Input` of integers or booleans, not zero where a step begins a new sequence: before that step the state
            is zero, or the one that the layer has learned, whatever `initial_state` is, and no gradient passes. So is a
            row that is read backwards: each sequence by itself. At masked steps it means nothing.

        Returns
        -------
        SymbolicValue, or with `return_state` a list of the output and each state.
        """
        values = symbolic_values(f"inputs of {self.name!r}", inputs)
        if initial_state is not None:
            values = (*values, *symbolic_values(f"initial_state of {self.name!r}", initial_state))
        return self._describe(values, mask, resets)

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless these are a sequence and no or all initial states."""
        super()._check_values(values[:1])
        states, expected = values[1:], self._state_sizes()
        if len(states) not in (0, len(expected)):
            names = ", ".join(name for name, _ in expected)
            raise ValueError(
                f"initial_state of {self.name!r} must be {len(expected)} values ({names}), got {len(states)}"
            )
        for state, (_, units) in zip(states, expected, strict=False):
            if len(state.shape) != 2 or state.shape[1] != units or state.dtype != "float":
                raise ValueError(f"initial_state of {self.name!r} must have shape (N, {units}), got {state}")

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """As in `Layer`; beside a reversed sequence, padding is reversed."""
        given = super()._emit_masks(builder, inputs, masks)
        return (builder.reversed_mask(self.name, inputs[0], given[0]), *given[1:]) if self.go_backwards else given
